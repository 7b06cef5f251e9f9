//! The walk over a bio's pages: one flat loop, runs of one owner and one
//! inode added up before they are counted.

use core::ffi::c_void;

use aya_ebpf::{helpers::generated::bpf_loop, macros::map, maps::PerCpuArray};
use iotop_common::{
    Control, FactKey, Lost, TURNS, Tag, Tick,
    layout::BVEC_BYTES,
    tag::{Pair, Slot},
};

use crate::{
    charge::{self, BUFFER, CACHE, Charge, JOURNALLED, Known},
    count::{Part, lose},
    flush,
    kernel::{Words, clear, layout, now},
    mappings::Place,
    page::{Folio, Frame},
    submitted::{Bio, Submitter},
};

/// More steps than a bio can have pages: `bi_size` is 32 bits.
const MAX_STEPS: u32 = 1 << 20;
/// Pages of a folio in one step, one by one.
const PAGES: u32 = 8;
/// Or so many pairs, where the last page's tag goes on.
const PAIRS: u32 = 32;
/// Steps in a row without `bpf_loop`, and rows: 65,536 pages. The verifier bears
/// 8,192 calls in a row.
const ROW: u32 = 256;

/// Where the walk stands.
#[repr(C)]
pub struct Walk {
    /// The next bio_vec's address.
    bvec: u64,
    /// The current page.
    page: u64,
    /// Of the current folio, where it is page cache.
    known: Known,
    /// To whom and to which inode the last bytes were charged: consecutive ones
    /// of one owner and one inode are one fact.
    charged: Charge,
    charged_file: u32,
    charged_ino: u64,
    /// Where in the current page the next byte lies.
    offset: u32,
    bvec_left: u32,
    bvec_skip: u32,
    bio_left: u32,
    /// Pages left of the current folio.
    folio_left: u32,
    /// What the current folio is.
    what: u32,
    /// The live tag that the last page had, 0 where it had none. Consecutive pages
    /// with the same one are a run, which is counted when it ends.
    tag: u32,
    /// What becomes of that tag.
    submitted: u32,
    /// How many pages the run has.
    run: u32,
    /// 1: the current folio's pages may be of several tasks, of which one is known.
    is_shared: u32,
    /// 1: tags of journalled pages stay live, for this is the journal's log.
    is_log: u32,
    /// What a page is charged as that is not page cache, and to whom.
    other: Charge,
    dev: u32,
    submitter: Slot,
    flush: u32,
    /// 1: its first page of the page cache may tell of a flusher that it is for.
    for_a_flusher: u32,
    /// 0 before the first bytes are charged.
    begun: u32,
    now: u32,
    /// What the user half said when the walk began.
    control: Control,
}

/// The walk of each CPU, for each program that walks. It lies in a map because the
/// verifier forgets what is written there: on the stack it would follow every
/// value through every page. The kernel never runs a program twice at once on one
/// CPU.
#[map]
static WALK: PerCpuArray<Walk> = PerCpuArray::with_max_entries(TURNS - 1, 0);

/// What a step is given.
struct Context<'a> {
    walk: &'a mut Walk,
    part: Part,
    turn: u32,
}

/// Begins the walk over a write's pages. `mapping` is one that was found to be
/// the page cache's before.
#[inline(always)]
pub fn begin<const TURN: u32>(
    part: &Part,
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
    walk.known.wants_file = u32::from(part.wants_flushes());
    walk.bvec_skip = bio.bvec_done;
    walk.bio_left = bio.size;
    walk.other = Charge::of_other(bio, submitter);
    walk.dev = bio.dev;
    walk.submitter = submitter.slot;
    walk.flush = submitter.flush(part);
    walk.for_a_flusher = u32::from(submitter.may_be_for_a_flusher(part));
    walk.now = now.0;
    walk.is_log = u32::from(submitter.is_log);
    walk.control = part.control();
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

/// The same on a kernel without `bpf_loop`, if a walk was begun.
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

/// The next pages; 0 when there are none any more. A global function is verified
/// once, on its own, and its calls are not walked through.
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

/// The next page, likewise.
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

/// Some pages of one folio.
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
        let part = Part::of(walk.control, turn)?;
        Some(Context { walk, part, turn })
    }

    /// The walk is over.
    #[inline(always)]
    fn end(&mut self) {
        self.give_up();
        self.end_run();
    }

    /// Nothing tells whose the pages are that are left.
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

    #[inline(always)]
    fn pages(&mut self) -> Option<()> {
        if self.walk.bvec_left == 0 {
            self.walk.enter_bvec()?;
        }
        if self.walk.folio_left == 0 {
            self.enter_folio()?;
        }
        match self.walk.what {
            CACHE | JOURNALLED => self.cached_pages()?,
            BUFFER => self.rest_of_folio(Charge::METADATA),
            _ => self.rest_of_folio(self.walk.other),
        }
        Some(())
    }

    /// Pages of one folio, each by its tag.
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
                    self.part.fact().bytes += u64::from(bytes);
                }
                _ if page_by_tag(self.turn, bytes) == 0 => return None,
                _ => {}
            }
            self.walk.advance(bytes);
        }
        Some(())
    }

    /// Whole pages that have the run's tag, two at a time; how many pairs.
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
        self.part.fact().bytes += u64::from(bytes);
        pairs
    }

    /// A page whose tag is not the one that the last page had.
    #[inline(always)]
    fn page_by_tag(&mut self, bytes: u32) -> Option<()> {
        self.end_run();
        let walk = &*self.walk;
        let (now, keep) = (Tick(walk.now), walk.what == JOURNALLED && walk.is_log != 0);
        let by_tag = charge::by_tag(walk.page, walk.known.mapping, keep, now)?;
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

    /// Counts the pages that had one tag.
    #[inline(always)]
    fn end_run(&mut self) {
        let walk = &mut *self.walk;
        if walk.run != 0 {
            self.part
                .waited(walk.run, Tag(walk.tag).age(Tick(walk.now)));
            if let Some(place) = Place::of(walk.known.mapping) {
                place.sub(walk.run);
            }
            walk.run = 0;
            walk.tag = 0;
        }
    }

    /// All that the bio has of a folio.
    #[inline(always)]
    fn rest_of_folio(&mut self, charge: Charge) {
        let walk = &*self.walk;
        let folio = u64::from(walk.folio_left) << layout!(page_shift);
        let rest = folio - u64::from(walk.offset);
        let bytes = u64::from(walk.bvec_left).min(rest) as u32;
        self.charge(charge, bytes);
        self.walk.advance(bytes);
    }

    #[inline(always)]
    fn charge(&mut self, charge: Charge, bytes: u32) {
        let walk = &*self.walk;
        let same = walk.charged == charge
            && walk.charged_ino == walk.known.ino
            && walk.charged_file == walk.known.file;
        if walk.begun == 0 || !same {
            self.turn_to(charge);
        }
        self.part.fact().bytes += u64::from(bytes);
    }

    #[inline(never)]
    fn turn_to(&mut self, charge: Charge) {
        let walk = &mut *self.walk;
        walk.charged = charge;
        walk.charged_ino = walk.known.ino;
        walk.charged_file = walk.known.file;
        self.part.turn_to(&FactKey {
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
            self.part.fact().bios += 1;
        }
    }

    #[inline(never)]
    fn enter_folio(&mut self) -> Option<()> {
        let folio = Folio::of(self.walk.page)?;
        if folio.mapping != self.walk.known.mapping {
            self.end_run();
        }
        let walk = &mut *self.walk;
        let passed = ((walk.page - folio.head) >> layout!(page_struct_shift)) as u32;
        walk.folio_left = folio.nr_pages().saturating_sub(passed).max(1);
        walk.what = charge::look(&folio, &mut walk.known)?;
        let is_shared = folio.nr_pages() > 1
            && Place::of(walk.known.mapping).is_some_and(|place| place.folios().knows_whole_only());
        if walk.is_shared != u32::from(is_shared) {
            self.end_run();
        }
        let walk = &mut *self.walk;
        walk.is_shared = u32::from(is_shared);
        if walk.what != CACHE {
            self.end_run();
        } else if walk.for_a_flusher != 0 {
            walk.for_a_flusher = 0;
            if let Some((worker, flush)) = flush::of_inode(&walk.known) {
                walk.submitter = worker;
                walk.flush = flush.0;
            }
        }
        Some(())
    }
}

/// See [`Context::pairs_of_run`].
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn pairs_of_run(turn: u32) -> u32 {
    match Context::of_this_cpu(turn) {
        Some(mut context) => context.pairs_of_run(),
        None => 0,
    }
}

/// See [`Context::page_by_tag`]; 0 where kernel memory could not be read. A global
/// function is verified once, on its own.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn page_by_tag(turn: u32, bytes: u32) -> u32 {
    match Context::of_this_cpu(turn) {
        Some(mut context) => u32::from(context.page_by_tag(bytes).is_some()),
        None => 0,
    }
}

impl Walk {
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
        // bv_offset may lie beyond the bio_vec's first page.
        let pages = u64::from(offset >> layout!(page_shift));
        let first: u64 = bvec.at(layout!(bvec_bv_page));
        self.page = first + (pages << layout!(page_struct_shift));
        self.offset = offset & ((1 << layout!(page_shift)) - 1);
        self.folio_left = 0;
        Some(())
    }

    /// So many bytes are done, of one folio.
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
