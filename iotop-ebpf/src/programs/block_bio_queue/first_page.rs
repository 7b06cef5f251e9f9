//! Charges a bio by its first page, without a walk.

use iotop_common::Tag;

use crate::{
    kernel::{clock::now, layout::layout, typed::Typed},
    model::{
        bio::Bio,
        charge::Charge,
        current::LastTask,
        epoch::CpuEpoch,
        folio::Folio,
        inode::{Inode, TypedInode},
        known_inode::KnownInode,
        mapping::MappingState,
        page_charge::take_tag,
        page_kind::{BUFFER, CACHE, JOURNALLED, OTHER, page_kind},
        submitter::Submitter,
    },
};

/// The page of the first bio_vec, reached through pointers whose types the verifier
/// knows.
#[derive(Clone, Copy)]
pub struct FirstPage {
    page: Typed,
    address: u64,
    offset: u32,
}

impl FirstPage {
    #[inline(always)]
    pub fn of(io_vec: Typed, scratch: &mut u64) -> FirstPage {
        let page = io_vec.pointer(layout!(bvec_bv_page));
        FirstPage {
            page,
            address: page.address(&raw mut *scratch),
            offset: io_vec.field(layout!(bvec_bv_offset)),
        }
    }

    /// Whether `size` bytes lie within this page.
    #[inline(always)]
    pub fn holds(&self, size: u32) -> bool {
        let page_size = 1 << layout!(page_shift);
        size <= page_size && self.offset <= page_size - size
    }

    /// The inode number of the page's file.
    #[inline(always)]
    pub fn ino(&self, scratch: &mut u64) -> Option<u64> {
        Inode::around(self.folio(scratch)?.mapping)?.ino()
    }

    #[inline(always)]
    fn folio(&self, scratch: &mut u64) -> Option<Folio> {
        Folio::of_typed(self.page, self.address, scratch)
    }

    /// The host of the page's own mapping. Only for the first page of a folio.
    #[inline(always)]
    fn inode(&self) -> TypedInode {
        let mapping = self.page.pointer(layout!(page_mapping));
        TypedInode::of(mapping)
    }

    /// See [`page_kind`].
    #[inline(always)]
    fn kind(&self, known: &mut KnownInode, scratch: &mut u64) -> Option<u32> {
        let folio = self.folio(scratch)?;
        page_kind(&folio, known)
    }
}

/// Charges a write of one page, by its tag. `None`: kernel memory could not be read.
#[inline(always)]
pub fn charge_page(
    epoch: &CpuEpoch,
    bio: &Bio,
    submitter: &Submitter,
    page: &FirstPage,
    last: &mut LastTask,
) -> Option<()> {
    let folio = page.folio(&mut last.scratch)?;
    last.charged.known = KnownInode::mapping(last.mapping, epoch.wants_flushes());
    if folio.mapping == last.mapping && folio.head == page.address {
        last.charged.known.read_typed(page.inode());
    }
    let kind = page_kind(&folio, &mut last.charged.known)?;
    last.mapping = last.charged.known.mapping;
    let (charge, taken) = match kind {
        CACHE | JOURNALLED => {
            let now = now();
            let keep = kind == JOURNALLED && submitter.is_log;
            let by_tag = take_tag(page.address, folio.mapping, keep, now)?;
            let is_shared = folio.nr_pages() > 1
                && MappingState::of(folio.mapping)
                    .is_some_and(|state| state.folios().knows_whole_only());
            match is_shared {
                true => (by_tag.charge.shared(), by_tag.taken),
                false => (by_tag.charge, by_tag.taken),
            }
        }
        BUFFER => (Charge::METADATA, Tag::NONE),
        _ => (Charge::of_other(bio, submitter), Tag::NONE),
    };
    last.charged.charge = charge;
    last.charged.taken = taken;
    Some(())
}

/// Charges a write by the kind of its first page; the other pages are of the same kind.
/// It needs no loop, and it does not read the tags that tell page cache's owners.
#[inline(always)]
pub fn charge_by_kind(
    epoch: &CpuEpoch,
    bio: &Bio,
    submitter: &Submitter,
    first: Option<FirstPage>,
    last: &mut LastTask,
) {
    last.charged.known = KnownInode::mapping(0, epoch.wants_flushes());
    let kind = first.and_then(|page| page.kind(&mut last.charged.known, &mut last.scratch));
    last.charged.charge = match kind {
        Some(OTHER) => Charge::of_other(bio, submitter),
        Some(BUFFER) => Charge::METADATA,
        _ => Charge::UNKNOWN,
    };
    last.charged.taken = Tag::NONE;
}
