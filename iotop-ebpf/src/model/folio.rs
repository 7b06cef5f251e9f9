//! Folios: from a page to its folio, and how many pages that has.

use iotop_common::layout::PAGE_BYTES;

use crate::kernel::{
    layout::layout,
    memory::{Words, read},
    typed::Typed,
};

const PAGE_WORDS: usize = PAGE_BYTES as usize / 8;

/// Page-cache folios that become dirty may have more than one page. File systems have
/// such folios since 5.18. `bpf_loop`, which visits all pages of one, exists since
/// 5.17. An older kernel refuses a program that names it, even if the program never
/// calls it.
pub const LARGE: bool = true;
/// Page-cache folios have one page: the kernels before 5.18.
pub const SINGLE: bool = false;

/// The fields of a folio's head page that are needed.
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

    /// The same for a page whose type the verifier knows. Fields of `struct page`
    /// overlap, and the verifier takes these words for pointers. They become numbers in
    /// `scratch`, see [`Typed::address`].
    #[inline(always)]
    pub fn of_typed(page: Typed, address: u64, scratch: &mut u64) -> Option<Folio> {
        let compound = page.pointer(layout!(page_compound)).address(scratch);
        if compound & 1 == 0 {
            return Some(Folio {
                head: address,
                flags: page.field(layout!(page_flags)),
                mapping: page.pointer(layout!(page_mapping)).address(scratch),
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

    /// The number of its pages.
    #[inline(always)]
    pub fn nr_pages(&self) -> u32 {
        nr_folio_pages(self.head, self.flags)
    }

    /// Whether `PG_dirty` is set.
    #[inline(always)]
    pub fn is_dirty(&self) -> bool {
        self.flags >> layout!(pg_dirty) & 1 != 0
    }

    /// Whether `PG_writeback` is set. File systems set it on every page-cache page
    /// before they put the page into a bio.
    #[inline(always)]
    pub fn is_under_writeback(&self) -> bool {
        self.flags >> layout!(pg_writeback) & 1 != 0
    }
}

/// The number of pages of the page-cache folio that starts at `head`. `FOLIOS` is
/// [`LARGE`] or [`SINGLE`].
#[inline(always)]
pub fn nr_cache_pages<const FOLIOS: bool>(head: u64, flags: u64) -> u32 {
    match FOLIOS {
        LARGE => nr_folio_pages(head, flags),
        SINGLE => 1,
    }
}

/// The number of pages of the folio that starts at `head`.
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

/// Whether the number is a run of ones from the top bit down (7.2,
/// include/linux/page-flags.h).
#[inline(always)]
fn is_mask(m: u64) -> bool {
    !m & (!m + 1) == 0
}
