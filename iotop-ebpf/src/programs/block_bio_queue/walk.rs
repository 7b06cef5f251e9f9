//! The walk over a bio's pages: one flat loop. Runs of pages with one owner and one
//! inode are added up before they are counted.

use core::ffi::c_void;

use aya_ebpf::{helpers::generated::bpf_loop, macros::map, maps::PerCpuArray};
use iotop_common::{
    Control, FactKey, Lost, TURNS, Tag, Tick,
    layout::BVEC_BYTES,
    tag::{Pair, Slot},
};

use crate::{
    counters::lose,
    kernel::{clock::now, layout::layout, memory::Words, verifier::clear},
    model::{
        bio::Bio,
        charge::Charge,
        epoch::CpuEpoch,
        flushed,
        folio::Folio,
        frame::Frame,
        known_inode::KnownInode,
        mapping::MappingState,
        page_charge::take_tag,
        page_kind::{BUFFER, CACHE, JOURNALLED, page_kind},
        submitter::Submitter,
    },
};

/// More steps than a bio can have pages: `bi_size` is 32 bits.
const MAX_STEPS: u32 = 1 << 20;
/// The pages of a folio that one step visits one by one.
const PAGES: u32 = 8;
/// The pairs of pages that one step visits, where they have the last page's tag.
const PAIRS: u32 = 32;
/// Without `bpf_loop`: the steps in a row, and the number of rows. That is 65,536 pages.
/// The verifier accepts 8,192 calls in a row.
const ROW: u32 = 256;

/// Where the walk stands.
#[repr(C)]
pub struct Walk {
    /// The next bio_vec's address.
    bvec: u64,
    /// The current page.
    page: u64,
    /// The inode of the current folio, where the folio is page cache.
    known: KnownInode,
    /// The charge and the inode of the last bytes. Consecutive bytes with one owner and
    /// one inode are one fact.
    charged: Charge,
    charged_file: u32,
    charged_ino: u64,
    /// The offset of the next byte in the current page.
    offset: u32,
    bvec_left: u32,
    bvec_skip: u32,
    bio_left: u32,
    /// Pages left of the current folio.
    folio_left: u32,
    /// The kind of the current folio's pages, see [`page_kind`].
    kind: u32,
    /// The live tag of the last page; 0 where it had none. Consecutive pages with the
    /// same tag are a run. A run is counted when it ends.
    tag: u32,
    /// The tag that replaces it.
    submitted: u32,
    /// The number of pages in the run.
    run: u32,
    /// 1: several tasks may have dirtied the current folio, and only one is known.
    is_shared: u32,
    /// 1: the bio belongs to a journal's log, so tags of journalled pages stay live.
    is_log: u32,
    /// The charge of pages that are not page cache.
    other: Charge,
    dev: u32,
    submitter: Slot,
    flush: u32,
    /// 1: the bio may be submitted for a flusher. Its first page-cache page tells.
    for_a_flusher: u32,
    /// 0 before the first bytes are charged.
    begun: u32,
    now: u32,
    /// The user half's requests when the walk began.
    control: Control,
}

/// The walk of each CPU, for each program that walks. It lies in a map because the
/// verifier forgets what is written there. On the stack, it would follow every value
/// through every page. The kernel never runs a program twice at once on one CPU.
#[map]
static WALK: PerCpuArray<Walk> = PerCpuArray::with_max_entries(TURNS - 1, 0);

/// The context of a step.
struct Context<'a> {
    walk: &'a mut Walk,
    epoch: CpuEpoch,
    turn: u32,
}

/// Begins the walk over a write's pages. `mapping` was found to be the page cache's
/// before.
#[inline(always)]
pub fn begin<const TURN: u32>(
    epoch: &CpuEpoch,
    bio: &Bio,
    submitter: &Submitter,
    mapping: u64,
) -> Option<()> {
    let place = WALK.get_ptr_mut(TURN)?;
    // SAFETY: this CPU's element, which only this program uses.
    let walk = unsafe { &mut *place };
    let now = now();
    clear(walk);
    walk.bvec = bio.bvec;
    walk.known.mapping = mapping;
    walk.known.wants_file = u32::from(epoch.wants_flushes());
    walk.bvec_skip = bio.bvec_done;
    walk.bio_left = bio.size;
    walk.other = Charge::of_other(bio, submitter);
    walk.dev = bio.dev;
    walk.submitter = submitter.slot;
    walk.flush = submitter.flush(epoch);
    walk.for_a_flusher = u32::from(submitter.may_be_for_a_flusher(epoch));
    walk.now = now.0;
    walk.is_log = u32::from(submitter.is_log);
    walk.control = epoch.control();
    Some(())
}

/// Charges every page of the write that was begun.
#[inline(always)]
pub fn all<const TURN: u32>() -> Option<()> {
    let mut context = Context::of_this_cpu(TURN)?;
    // SAFETY: the callback takes the context it is given here, and the kernel
    // calls it only until bpf_loop returns.
    unsafe {
        bpf_loop(MAX_STEPS, step as *mut c_void, (&raw mut context).cast(), 0);
    }
    context.end();
    Some(())
}

/// The same on a kernel without `bpf_loop`. Charges nothing if no walk was begun.
#[inline(always)]
pub fn all_by_calls() -> Option<()> {
    for _ in 0..ROW {
        if walk_row() == 0 {
            break;
        }
    }
    Context::of_this_cpu(0)?.end();
    Some(())
}

/// Charges the next pages; 0 when none are left. A global function, see the crate
/// documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn walk_row() -> u32 {
    for _ in 0..ROW {
        if walk_page() == 0 {
            return 0;
        }
    }
    1
}

/// Charges the next page; 0 when none is left. A global function, see the crate
/// documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn walk_page() -> u32 {
    let Some(mut context) = Context::of_this_cpu(0) else {
        return 0;
    };
    if context.walk.bio_left != 0 && context.pages().is_none() {
        context.give_up();
    }
    u32::from(context.walk.bio_left != 0)
}

/// One step of the loop: charges some pages of one folio.
extern "C" fn step(_: u32, context: *mut Context) -> i64 {
    // SAFETY: bpf_loop passes the context that `all` gave it.
    let context = unsafe { &mut *context };
    match context.pages() {
        Some(()) if context.walk.bio_left != 0 => 0,
        _ => 1,
    }
}

impl Context<'_> {
    #[inline(always)]
    fn of_this_cpu(turn: u32) -> Option<Self> {
        let place = WALK.get_ptr_mut(turn)?;
        // SAFETY: this CPU's element, which only this program uses.
        let walk = unsafe { &mut *place };
        let epoch = CpuEpoch::of(walk.control, turn)?;
        Some(Context { walk, epoch, turn })
    }

    /// Ends the walk.
    #[inline(always)]
    fn end(&mut self) {
        self.give_up();
        self.end_run();
    }

    /// Charges the remaining pages to no owner.
    #[inline(always)]
    fn give_up(&mut self) {
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
    fn pages(&mut self) -> Option<()> {
        if self.walk.bvec_left == 0 {
            self.walk.enter_bvec()?;
        }
        if self.walk.folio_left == 0 {
            self.enter_folio()?;
        }
        match self.walk.kind {
            CACHE | JOURNALLED => self.cached_pages()?,
            BUFFER => self.rest_of_folio(Charge::METADATA),
            _ => self.rest_of_folio(self.walk.other),
        }
        Some(())
    }

    /// Charges pages of one folio, each by its tag.
    #[inline(always)]
    fn cached_pages(&mut self) -> Option<()> {
        let page_size = 1 << layout!(page_shift);
        if self.walk.folio_left >= 2 && self.walk.tag != 0 && pairs_of_run(self.turn) != 0 {
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
                _ if page_by_tag(self.turn, bytes) == 0 => return None,
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
        let (now, keep) = (Tick(walk.now), walk.kind == JOURNALLED && walk.is_log != 0);
        let by_tag = take_tag(walk.page, walk.known.mapping, keep, now)?;
        let charge = match walk.is_shared {
            0 => by_tag.charge,
            _ => by_tag.charge.shared(),
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

    /// Charges all pages that the bio has of a folio.
    #[inline(always)]
    fn rest_of_folio(&mut self, charge: Charge) {
        let walk = &*self.walk;
        let folio = u64::from(walk.folio_left) << layout!(page_shift);
        let rest = folio - u64::from(walk.offset);
        let bytes = u64::from(walk.bvec_left).min(rest) as u32;
        self.charge(charge, bytes);
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
        } else if walk.for_a_flusher != 0 {
            walk.for_a_flusher = 0;
            if let Some((worker, flush)) = flushed::flusher_of(&walk.known) {
                walk.submitter = worker;
                walk.flush = flush.0;
            }
        }
        Some(())
    }
}

/// See [`Context::pairs_of_run`]. A global function, see the crate documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn pairs_of_run(turn: u32) -> u32 {
    match Context::of_this_cpu(turn) {
        Some(mut context) => context.pairs_of_run(),
        None => 0,
    }
}

/// See [`Context::page_by_tag`]; 0 where kernel memory could not be read. A global
/// function, see the crate documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn page_by_tag(turn: u32, bytes: u32) -> u32 {
    match Context::of_this_cpu(turn) {
        Some(mut context) => u32::from(context.page_by_tag(bytes).is_some()),
        None => 0,
    }
}

impl Walk {
    /// Reads the next bio_vec.
    #[inline(never)]
    fn enter_bvec(&mut self) -> Option<()> {
        let bvec = Words::<{ BVEC_BYTES as usize / 8 }>::read(self.bvec)?;
        let len: u32 = bvec.at(layout!(bvec_bv_len));
        let offset = bvec.at::<u32>(layout!(bvec_bv_offset)) + self.bvec_skip;
        self.bvec += u64::from(layout!(bvec_size));
        self.bvec_left = len.saturating_sub(self.bvec_skip).min(self.bio_left);
        self.bvec_skip = 0;
        if self.bvec_left == 0 {
            return None;
        }
        // bv_offset may point past the bio_vec's first page.
        let pages = u64::from(offset >> layout!(page_shift));
        let first: u64 = bvec.at(layout!(bvec_bv_page));
        self.page = first + (pages << layout!(page_struct_shift));
        self.offset = offset & ((1 << layout!(page_shift)) - 1);
        self.folio_left = 0;
        Some(())
    }

    /// Moves on by `bytes` bytes within one folio.
    #[inline(always)]
    fn advance(&mut self, bytes: u32) {
        self.bvec_left -= bytes;
        self.bio_left -= bytes;
        let end = self.offset + bytes;
        let pages = end >> layout!(page_shift);
        self.offset = end & ((1 << layout!(page_shift)) - 1);
        self.page += u64::from(pages) << layout!(page_struct_shift);
        self.folio_left -= pages;
    }
}
