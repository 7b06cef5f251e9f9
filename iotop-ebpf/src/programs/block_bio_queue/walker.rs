//! Charges the pages of a walk. Runs of pages with one owner and one inode are added up
//! before they are counted.

use iotop_common::{FactKey, Lost, Tag, Tick, tag::Pair};

use super::walk_state::WalkState;
use crate::{
    counters::lose,
    kernel::{layout::layout, verifier::clear},
    model::{
        charge::Charge,
        epoch::CpuEpoch,
        flushed,
        folio::Folio,
        frame::Frame,
        inode::Metadata,
        journal::records_to,
        mapping::MappingState,
        metadata::{DIRTY, FIRST, metadata_page, page_without_data},
        page_charge::{is_waiting, take_tag},
        page_kind::{
            BUFFER, CACHE, JOURNALLED, LOG, METADATA, OTHER, RAW, page_kind, while_committing,
        },
    },
};

/// The pages of a folio that one step visits one by one.
const PAGES: u32 = 8;
/// The pairs of pages that one step visits, where they have the last page's tag.
const PAIRS: u32 = 32;

/// A program's walk, with what it counts to.
pub struct Walker {
    walk: &'static mut WalkState,
    epoch: CpuEpoch,
    order: u32,
}

impl Walker {
    #[inline(always)]
    pub fn of_this_cpu(order: u32) -> Option<Self> {
        let walk = WalkState::of_this_cpu(order)?;
        let epoch = CpuEpoch::of(walk.control, order)?;
        Some(Walker { walk, epoch, order })
    }

    /// Whether the bio has pages that are not charged yet.
    #[inline(always)]
    pub fn has_bytes_left(&self) -> bool {
        self.walk.bio_left != 0
    }

    /// Ends the walk.
    #[inline(always)]
    pub fn end(&mut self) {
        self.give_up();
        self.end_run();
    }

    /// Charges the remaining pages to no owner.
    #[inline(always)]
    pub fn give_up(&mut self) {
        let bytes = self.walk.bio_left;
        if bytes != 0 {
            lose(Lost::LongBios, 1);
            self.end_run();
            clear(&mut self.walk.known);
            self.walk.bio_left = 0;
            self.charge(Charge::UNKNOWN, bytes);
        }
    }

    /// Charges some pages of one folio.
    #[inline(always)]
    pub fn pages(&mut self) -> Option<()> {
        if self.walk.bvec_left == 0 {
            self.walk.enter_bvec()?;
        }
        if self.walk.folio_left == 0 {
            self.enter_folio()?;
        }
        match self.walk.kind {
            CACHE | JOURNALLED | RAW => self.cached_pages()?,
            OTHER if self.walk.other != Charge::UNKNOWN => {
                self.charge_folio(self.walk.other, u32::MAX);
            }
            _ => {
                if self.walk.piece_left == 0 {
                    deal_piece(self.order);
                }
                self.charge_folio(self.walk.dealt, self.walk.piece_left);
            }
        }
        Some(())
    }

    /// Charges pages of one folio, each by its tag.
    #[inline(always)]
    fn cached_pages(&mut self) -> Option<()> {
        let page_size = 1 << layout!(page_shift);
        if self.walk.folio_left >= 2 && self.walk.tag != 0 && pairs_of_run(self.order) != 0 {
            return Some(());
        }
        for _ in 0..PAGES {
            let walk = &mut *self.walk;
            if walk.bvec_left == 0 || walk.folio_left == 0 {
                break;
            }
            let bytes = walk.bvec_left.min(page_size - walk.offset);
            match Frame::of(walk.page).tag() {
                // SAFETY: a map value of one aligned word.
                Some(place) if walk.tag != 0 && unsafe { *place } == walk.tag => {
                    // SAFETY: as above.
                    unsafe { *place = walk.submitted };
                    walk.run += 1;
                    self.epoch.fact().bytes += u64::from(bytes);
                }
                _ if page_by_tag(self.order, bytes) == 0 => return None,
                _ => {}
            }
            self.walk.advance(bytes);
        }
        Some(())
    }

    /// Takes whole pages that have the run's tag, two at a time. Returns the number of
    /// pairs.
    #[inline(always)]
    fn pairs_of_run(&mut self) -> u32 {
        let walk = &mut *self.walk;
        let page = Frame::of(walk.page).0;
        if walk.offset != 0 || page & 1 != 0 {
            return 0;
        }
        let most = walk.folio_left.min(walk.bvec_left >> layout!(page_shift)) / 2;
        let (old, new) = (Pair::of(Tag(walk.tag)).0, Pair::of(Tag(walk.submitted)).0);
        let mut pairs = 0;
        for n in 0..PAIRS {
            if n >= most {
                break;
            }
            let Some(place) = Frame(page.wrapping_add(2 * n)).pair() else {
                break;
            };
            // SAFETY: a map value of one aligned word.
            if unsafe { *place } != old {
                break;
            }
            // SAFETY: as above.
            unsafe { *place = new };
            pairs = n + 1;
        }
        let bytes = (2 * pairs) << layout!(page_shift);
        walk.run += 2 * pairs;
        walk.advance(bytes);
        self.epoch.fact().bytes += u64::from(bytes);
        pairs
    }

    /// Charges a page whose tag differs from the last page's.
    #[inline(always)]
    fn page_by_tag(&mut self, bytes: u32) -> Option<()> {
        self.end_run();
        let walk = &*self.walk;
        if walk.kind == RAW && !is_waiting(walk.page) {
            let charge = self.without_data();
            self.charge(charge, bytes);
            return Some(());
        }
        let (now, keep) = (Tick(walk.now), walk.kind == JOURNALLED && walk.commits != 0);
        let by_tag = take_tag(walk.page, walk.known.mapping, keep, now)?;
        let charge = match walk.is_shared != 0 {
            true => by_tag.charge.shared(),
            // A kernel thread made it dirty.
            false if walk.kind == RAW && by_tag.charge.is_metadata() => self.without_data(),
            false => by_tag.charge,
        };
        self.charge(charge, bytes);
        let walk = &mut *self.walk;
        walk.tag = by_tag.taken.0;
        walk.submitted = by_tag.taken.submitted(now).0;
        walk.run = u32::from(by_tag.taken != Tag::NONE);
        Some(())
    }

    /// Counts the run: the pages that had one tag.
    #[inline(always)]
    fn end_run(&mut self) {
        let walk = &mut *self.walk;
        if walk.run != 0 {
            self.epoch
                .waited(walk.run, Tag(walk.tag).age(Tick(walk.now)));
            if let Some(state) = MappingState::of(walk.known.mapping) {
                state.sub(walk.run);
            }
            walk.run = 0;
            walk.tag = 0;
        }
    }

    /// Finds the charge of the next piece, which carries no data.
    #[inline(always)]
    fn deal_piece(&mut self) {
        let walk = &mut *self.walk;
        let page = ((1 << layout!(page_shift)) - walk.offset).min(walk.bvec_left);
        let charge = match walk.kind {
            METADATA => {
                walk.piece_left = page;
                let Metadata { class, file_system } = walk.known.metadata;
                Charge(metadata_page(walk.page, class, file_system))
            }
            kind => {
                walk.piece_left = match kind {
                    BUFFER => page,
                    _ => walk.piece,
                };
                self.without_data()
            }
        };
        self.walk.dealt = charge;
    }

    /// The charge of the current page, which carries no data.
    #[inline(always)]
    fn without_data(&mut self) -> Charge {
        let walk = &mut *self.walk;
        let bits = walk.kind | walk.bits;
        walk.bits &= !FIRST;
        let submitter = walk.submitter;
        Charge(page_without_data(
            walk.page,
            walk.private,
            walk.dev,
            submitter,
            bits,
        ))
    }

    /// Charges the pages that the bio has of a folio, at most `most` bytes.
    #[inline(always)]
    fn charge_folio(&mut self, charge: Charge, most: u32) {
        let walk = &*self.walk;
        let folio = u64::from(walk.folio_left) << layout!(page_shift);
        let rest = folio - u64::from(walk.offset);
        let bytes = u64::from(walk.bvec_left.min(most)).min(rest) as u32;
        self.charge(charge, bytes);
        self.walk.piece_left = self.walk.piece_left.saturating_sub(bytes);
        self.walk.advance(bytes);
    }

    /// Adds bytes to the fact of a charge.
    #[inline(always)]
    fn charge(&mut self, charge: Charge, bytes: u32) {
        let walk = &*self.walk;
        let same = walk.charged == charge
            && walk.charged_ino == walk.known.ino
            && walk.charged_file == walk.known.file;
        if walk.begun == 0 || !same {
            self.switch_to(charge);
        }
        self.epoch.fact().bytes += u64::from(bytes);
    }

    #[inline(never)]
    fn switch_to(&mut self, charge: Charge) {
        let walk = &mut *self.walk;
        walk.charged = charge;
        walk.charged_ino = walk.known.ino;
        walk.charged_file = walk.known.file;
        self.epoch.switch_to(&FactKey {
            ino: walk.known.ino,
            dev: walk.dev,
            class: charge.class(),
            owner: charge.owner(),
            submitter: walk.submitter,
            flush: walk.flush,
            file: walk.known.file,
        });
        if walk.begun == 0 {
            walk.begun = 1;
            self.epoch.fact().bios += 1;
        }
    }

    /// Reads the folio of the current page.
    #[inline(never)]
    fn enter_folio(&mut self) -> Option<()> {
        let folio = Folio::of(self.walk.page)?;
        if folio.mapping != self.walk.known.mapping {
            self.end_run();
        }
        let walk = &mut *self.walk;
        let passed = ((walk.page - folio.head) >> layout!(page_struct_shift)) as u32;
        walk.folio_left = folio.nr_pages().saturating_sub(passed).max(1);
        walk.kind = page_kind(&folio, &mut walk.known)?;
        walk.bits &= !DIRTY;
        if folio.is_dirty() {
            walk.bits |= DIRTY;
        }
        if walk.commits != 0 {
            walk.kind = while_committing(walk.kind);
        }
        match walk.kind {
            LOG => walk.known.forget(),
            METADATA => records_to(walk.dev, walk.known.metadata.file_system),
            _ => {}
        }
        let is_shared = folio.nr_pages() > 1
            && MappingState::of(walk.known.mapping)
                .is_some_and(|state| state.folios().knows_whole_only());
        if walk.is_shared != u32::from(is_shared) {
            self.end_run();
        }
        let walk = &mut *self.walk;
        walk.is_shared = u32::from(is_shared);
        if walk.kind != CACHE {
            self.end_run();
        }
        let walk = &mut *self.walk;
        if walk.for_a_flusher != 0 && matches!(walk.kind, CACHE | METADATA) {
            walk.for_a_flusher = 0;
            if let Some((worker, flush)) = flushed::flusher_of(&walk.known) {
                walk.submitter = worker;
                walk.flush = flush.0;
            }
        }
        Some(())
    }
}

/// See [`Walker::pairs_of_run`]. A global function, see the crate documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn pairs_of_run(order: u32) -> u32 {
    match Walker::of_this_cpu(order) {
        Some(mut walker) => walker.pairs_of_run(),
        None => 0,
    }
}

/// See [`Walker::page_by_tag`]; 0 where kernel memory could not be read. A global
/// function, see the crate documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn page_by_tag(order: u32, bytes: u32) -> u32 {
    match Walker::of_this_cpu(order) {
        Some(mut walker) => u32::from(walker.page_by_tag(bytes).is_some()),
        None => 0,
    }
}

/// See [`Walker::deal_piece`]. A global function, see the crate documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn deal_piece(order: u32) -> u32 {
    if let Some(mut walker) = Walker::of_this_cpu(order) {
        walker.deal_piece();
    }
    0
}
