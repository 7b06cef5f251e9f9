//! The walk over a bio's pages: one flat loop, runs of one owner and one
//! inode added up before they are counted.

use core::ffi::c_void;

use aya_ebpf::{helpers::generated::bpf_loop, macros::map, maps::PerCpuArray};
use iotop_common::{Control, FactKey, Lost, TURNS, Tick, layout::BVEC_BYTES, tag::Slot};

use crate::{
    charge::{self, BUFFER, CACHE, Charge, Known},
    count::{Part, lose},
    flush,
    kernel::{Words, clear, layout, now},
    page::Folio,
    submitted::{Bio, Submitter},
};

/// More steps than a bio can have pages: `bi_size` is 32 bits.
const MAX_STEPS: u32 = 1 << 20;
/// Pages in a row without `bpf_loop`, and rows: 65,536 pages. The verifier bears
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
    /// 1: it is dirty again.
    dirty_again: u32,
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
    walk.control = part.control();
    part.tick(now);
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
    context.give_up();
    Some(())
}

/// The same on a kernel without `bpf_loop`, if a walk was begun.
#[inline(always)]
pub fn all_by_calls() -> Option<()> {
    for _ in 0..ROW {
        if walk_row() == 0 {
            return Some(());
        }
    }
    Context::of_this_cpu(0)?.give_up();
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
    if context.walk.bio_left != 0 && context.page().is_none() {
        context.give_up();
    }
    u32::from(context.walk.bio_left != 0)
}

/// One page.
extern "C" fn step(_: u32, context: *mut Context) -> i64 {
    // SAFETY: bpf_loop passes the context that `all` gave it.
    let context = unsafe { &mut *context };
    match context.page() {
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
        Some(Context { walk, part })
    }

    /// Nobody can tell whose the pages are that are left.
    #[inline(always)]
    fn give_up(&mut self) {
        let bytes = self.walk.bio_left;
        if bytes != 0 {
            lose(Lost::LongBios, 1);
            clear(&mut self.walk.known);
            self.walk.bio_left = 0;
            self.charge(Charge::UNKNOWN, bytes);
        }
    }

    #[inline(always)]
    fn page(&mut self) -> Option<()> {
        if self.walk.bvec_left == 0 {
            self.walk.enter_bvec()?;
        }
        if self.walk.folio_left == 0 {
            self.walk.enter_folio()?;
        }
        let page_size = 1 << layout!(page_shift);
        let bytes = self.walk.bvec_left.min(page_size - self.walk.offset);
        match self.walk.what {
            CACHE => self.charge_by_tag(bytes)?,
            BUFFER => self.charge(Charge::METADATA, bytes),
            _ => self.charge(self.walk.other, bytes),
        }

        let walk = &mut *self.walk;
        walk.bvec_left -= bytes;
        walk.bio_left -= bytes;
        walk.offset += bytes;
        if walk.offset == page_size {
            walk.offset = 0;
            walk.page += 1 << layout!(page_struct_shift);
            walk.folio_left -= 1;
        }
        Some(())
    }

    #[inline(never)]
    fn charge_by_tag(&mut self, bytes: u32) -> Option<()> {
        let walk = &*self.walk;
        let by_tag = charge::by_tag(
            walk.page,
            walk.known.mapping,
            walk.dirty_again != 0,
            Tick(walk.now),
        )?;
        let waited = by_tag.waited(walk.offset);
        self.charge(by_tag.charge, bytes);
        self.part.waited(waited);
        Some(())
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

    #[inline(never)]
    fn enter_folio(&mut self) -> Option<()> {
        let folio = Folio::of(self.page)?;
        let passed = ((self.page - folio.head) >> layout!(page_struct_shift)) as u32;
        self.folio_left = folio.nr_pages().saturating_sub(passed).max(1);
        self.what = charge::look(&folio, &mut self.known)?;
        self.dirty_again = u32::from(folio.is_dirty());
        if self.for_a_flusher != 0 && self.what == CACHE {
            self.for_a_flusher = 0;
            if let Some((worker, flush)) = flush::of_inode(&self.known) {
                self.submitter = worker;
                self.flush = flush.0;
            }
        }
        Some(())
    }
}
