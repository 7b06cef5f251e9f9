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
        inode::{Metadata, TypedInode},
        journal::{CLOSED, deal_block, records_to},
        known_inode::KnownInode,
        mapping::MappingState,
        metadata::{DIRTY, FIRST, metadata_page, page_without_data},
        page_charge::{is_waiting, take_tag},
        page_kind::{
            BUFFER, CACHE, JOURNALLED, LOG, METADATA, OTHER, RAW, page_kind, while_committing,
        },
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

    /// `page.mapping` of the folio's head.
    #[inline(always)]
    pub fn mapping(&self, scratch: &mut u64) -> Option<u64> {
        Some(self.folio(scratch)?.mapping)
    }

    #[inline(always)]
    fn folio(&self, scratch: &mut u64) -> Option<Folio> {
        Folio::of_typed(self.page, self.address, scratch)
    }

    /// The host of the page's own mapping, if it has one. Only for the first page of a folio.
    #[inline(always)]
    fn inode(&self) -> Option<TypedInode> {
        let mapping = self.page.pointer(layout!(page_mapping));
        (!mapping.is_null()).then(|| TypedInode::of(mapping))
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
    if folio.mapping == last.mapping
        && folio.head == page.address
        && let Some(inode) = page.inode()
    {
        last.charged.known.read_typed(inode);
    }
    let mut kind = page_kind(&folio, &mut last.charged.known)?;
    last.mapping = last.charged.known.mapping;
    if submitter.commits {
        kind = while_committing(kind);
    }
    let without_data = |kind| {
        let dirty = if folio.is_dirty() { DIRTY } else { 0 };
        let bits = kind | bio.bits(submitter.kthread) | FIRST | dirty;
        let (page, private) = (page.address, bio.private);
        Charge(page_without_data(
            page,
            private,
            bio.dev,
            submitter.slot,
            bits,
        ))
    };
    let (charge, taken) = match kind {
        // `submit_bh` leaves the page dirty. The next change then causes no dirty event.
        RAW if !is_waiting(page.address) => (without_data(RAW), Tag::NONE),
        CACHE | JOURNALLED | RAW => {
            let keep = kind == JOURNALLED && submitter.commits;
            let by_tag = take_tag(page.address, folio.mapping, keep, now())?;
            let is_shared = folio.nr_pages() > 1
                && MappingState::of(folio.mapping)
                    .is_some_and(|state| state.folios().knows_whole_only());
            let charge = match is_shared {
                true => by_tag.charge.shared(),
                // A kernel thread made it dirty.
                false if kind == RAW && by_tag.charge.is_metadata() => without_data(RAW),
                false => by_tag.charge,
            };
            (charge, by_tag.taken)
        }
        METADATA => {
            let Metadata { class, file_system } = last.charged.known.metadata;
            records_to(bio.dev, file_system);
            let charge = metadata_page(page.address, class, file_system);
            (Charge(charge), Tag::NONE)
        }
        LOG => {
            last.charged.known.forget();
            (without_data(LOG), Tag::NONE)
        }
        BUFFER => (without_data(BUFFER), Tag::NONE),
        _ => match Charge::of_other(bio, submitter) {
            Charge::UNKNOWN => (without_data(OTHER), Tag::NONE),
            charge => (charge, Tag::NONE),
        },
    };
    last.charged.charge = charge;
    last.charged.taken = taken;
    Some(())
}

/// Charges a write by the kind of its first page; the other pages are of the same kind.
/// It needs no loop, and it does not take the tags that tell page cache's owners.
#[inline(always)]
pub fn charge_by_kind(
    epoch: &CpuEpoch,
    bio: &Bio,
    submitter: &Submitter,
    first: Option<FirstPage>,
    last: &mut LastTask,
) {
    last.charged.known = KnownInode::mapping(0, epoch.wants_flushes());
    let page = first.map_or(0, |page| page.address);
    let kind = first.and_then(|page| page.kind(&mut last.charged.known, &mut last.scratch));
    let kind = match kind {
        Some(kind) if submitter.commits => while_committing(kind),
        Some(kind) => kind,
        None => CACHE,
    };
    last.charged.charge = match kind {
        CACHE | JOURNALLED => Charge::UNKNOWN,
        METADATA => {
            let Metadata { class, file_system } = last.charged.known.metadata;
            Charge::metadata(deal_block(file_system, CLOSED), class)
        }
        kind => match Charge::of_other(bio, submitter) {
            charge if kind == OTHER && charge != Charge::UNKNOWN => charge,
            _ => {
                let bits = kind | bio.bits(submitter.kthread) | FIRST;
                let private = bio.private;
                Charge(page_without_data(
                    page,
                    private,
                    bio.dev,
                    submitter.slot,
                    bits,
                ))
            }
        },
    };
    last.charged.taken = Tag::NONE;
}
