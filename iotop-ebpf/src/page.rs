//! `struct page`: folios, and the tag of each page.

use iotop_common::{
    layout::PAGE_BYTES,
    tag::{CHUNK_SHIFT, TAGS_PER_CHUNK},
};

use crate::{
    kernel::{Typed, Words, layout, read},
    maps::TAGS,
};

const PAGE_WORDS: usize = PAGE_BYTES as usize / 8;

/// What is needed of a folio.
pub struct Folio {
    /// The address of the head page.
    pub head: u64,
    /// `page.flags` of the head.
    pub flags: u64,
    /// `page.mapping` of the head.
    pub mapping: u64,
}

impl Folio {
    /// The folio that a page belongs to (`page_folio` of include/linux/page-flags.h).
    #[inline(always)]
    pub fn of(page: u64) -> Option<Folio> {
        let words = Words::<PAGE_WORDS>::read(page)?;
        let compound: u64 = words.at(layout!(page_compound));
        if compound & 1 == 0 {
            return Some(Folio::from_head(page, &words));
        }
        Folio::of_tail(page, compound)
    }

    /// The same for a page whose type the verifier knows. It takes the words
    /// that overlap in `struct page` for pointers: `number` is where they are
    /// made numbers.
    #[inline(always)]
    pub fn of_typed(page: Typed, address: u64, number: &mut u64) -> Option<Folio> {
        let compound = page.pointer(layout!(page_compound)).number(number);
        if compound & 1 == 0 {
            return Some(Folio {
                head: address,
                flags: page.field(layout!(page_flags)),
                mapping: page.pointer(layout!(page_mapping)).number(number),
            });
        }
        Folio::of_tail(address, compound)
    }

    #[inline(always)]
    fn of_tail(page: u64, compound: u64) -> Option<Folio> {
        let head = if layout!(compound_may_be_mask) != 0 && is_mask(compound & !1) {
            page & compound
        } else {
            compound - 1
        };
        Some(Folio::from_head(head, &Words::<PAGE_WORDS>::read(head)?))
    }

    #[inline(always)]
    fn from_head(head: u64, words: &Words<PAGE_WORDS>) -> Folio {
        Folio {
            head,
            flags: words.at(layout!(page_flags)),
            mapping: words.at(layout!(page_mapping)),
        }
    }

    /// How many pages it has.
    #[inline(always)]
    pub fn nr_pages(&self) -> u32 {
        nr_folio_pages(self.head, self.flags)
    }

    /// Whether `PG_writeback` is set: file systems set it on every page-cache
    /// page before they put it into a bio.
    #[inline(always)]
    pub fn is_under_writeback(&self) -> bool {
        self.flags >> layout!(pg_writeback) & 1 != 0
    }
}

/// How many pages the page-cache folio has that starts at `head`.
#[inline(always)]
pub fn nr_cache_pages<const FOLIOS: bool>(head: u64, flags: u64) -> u32 {
    match FOLIOS {
        LARGE => nr_folio_pages(head, flags),
        SINGLE => 1,
    }
}

/// How many pages the folio has that starts at `head`.
#[inline(always)]
pub fn nr_folio_pages(head: u64, flags: u64) -> u32 {
    if flags >> layout!(pg_head) & 1 == 0 {
        return 1;
    }
    if layout!(folio_nr_pages) != 0 {
        return read::<u32>(head, layout!(folio_nr_pages)).unwrap_or(1);
    }
    1 << (read::<u8>(head, layout!(folio_order)).unwrap_or(0) & 31)
}

/// A run of ones from the top bit down (7.2, include/linux/page-flags.h).
#[inline(always)]
fn is_mask(m: u64) -> bool {
    !m & (!m + 1) == 0
}

/// Where a page's tag lies. All `struct page`s lie in one range of addresses,
/// and the mask covers every page frame, so no two pages share a tag.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Frame(pub u32);

impl Frame {
    /// The frame of a page.
    #[inline(always)]
    pub fn of(page: u64) -> Frame {
        Frame((page >> layout!(page_struct_shift)) as u32)
    }

    /// The tag; `None` where the table has no place for it.
    #[inline(always)]
    pub fn tag(self) -> Option<*mut u32> {
        let frame = self.0 & layout!(tag_mask);
        let chunk = TAGS.get_ptr_mut(frame >> CHUNK_SHIFT)?;
        // SAFETY: the index is below the chunk's length.
        Some(unsafe {
            chunk
                .cast::<u32>()
                .add((frame & (TAGS_PER_CHUNK - 1)) as usize)
        })
    }

    /// This frame's tag and the next one's, when this frame's number is even.
    #[inline(always)]
    pub fn pair(self) -> Option<*mut u64> {
        let pair = (self.0 & layout!(tag_mask)) >> 1;
        let chunk = TAGS.get_ptr_mut(pair >> (CHUNK_SHIFT - 1))?;
        // SAFETY: the index is below half the chunk's length, and chunks are
        // aligned to 8 bytes.
        Some(unsafe {
            chunk
                .cast::<u64>()
                .add((pair & (TAGS_PER_CHUNK / 2 - 1)) as usize)
        })
    }
}

/// Whether page-cache folios that become dirty may have more than one page. File
/// systems have them since 5.18, and `bpf_loop`, which goes over all pages of one,
/// is there since 5.17: a kernel before that refuses a program that names it,
/// even where it is never called.
pub const LARGE: bool = true;
/// The other kernels.
pub const SINGLE: bool = false;
