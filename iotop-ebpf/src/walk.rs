//! The walk over a bio's pages: one flat loop, runs of one owner and one
//! inode added up before they are counted.

use core::ffi::c_void;

use aya_ebpf::{helpers::generated::bpf_loop, macros::map, maps::PerCpuArray};
use iotop_common::{Fact, FactKey, Lost, Tick, layout::BVEC_BYTES, tag::Slot};

use crate::{
    charge::{self, BUFFER, CACHE, Charge, Known, OTHER},
    count::{Part, lose},
    kernel::{Words, layout, now},
    page::Folio,
    submitted::{Bio, Submitter},
};

/// More steps than a bio can have pages: `bi_size` is 32 bits.
const MAX_STEPS: u32 = 1 << 20;

/// Consecutive bytes of one owner and one inode.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Run {
    ino: u64,
    bytes: u64,
    pages: u64,
    lag_sum: u64,
    lag_max: u64,
    charge: Charge,
    _reserved: u32,
}

/// Where the walk stands.
#[repr(C)]
pub struct Walk {
    /// The next bio_vec's address.
    bvec: u64,
    /// The current page.
    page: u64,
    /// Of the current folio, where it is page cache.
    known: Known,
    run: Run,
    /// Where in the current page the next byte lies.
    offset: u32,
    bvec_left: u32,
    bvec_skip: u32,
    bio_left: u32,
    /// Pages left of the current folio.
    folio_left: u32,
    /// What the current folio is.
    what: u32,
    /// What a page is charged as that is not page cache, and to whom.
    other: Charge,
    dev: u32,
    submitter: Slot,
    flush: u32,
    /// How many runs were begun.
    runs: u32,
    now: u32,
}

/// The walk of each CPU. It lies in a map because the verifier forgets what is
/// written there: on the stack it would follow every value through every page.
/// The kernel never runs a program twice at once on one CPU.
#[map]
static WALK: PerCpuArray<Walk> = PerCpuArray::with_max_entries(1, 0);

/// What a step is given.
struct Context<'a> {
    walk: &'a mut Walk,
    part: Part,
}

/// Charges every page of a write. `mapping` is one that was found to be the
/// page cache's before.
#[inline(always)]
pub fn pages(part: Part, bio: &Bio, submitter: &Submitter, mapping: u64) -> Option<()> {
    let place = WALK.get_ptr_mut(0)?;
    // SAFETY: this CPU's element, which only this program uses.
    let walk = unsafe { &mut *place };
    let now = now();
    *walk = Walk {
        bvec: bio.bvec,
        page: 0,
        known: Known { mapping, ino: 0 },
        run: Run::default(),
        offset: 0,
        bvec_left: 0,
        bvec_skip: bio.bvec_done,
        bio_left: bio.size,
        folio_left: 0,
        what: OTHER,
        other: Charge::of_other(bio, submitter),
        dev: bio.dev,
        submitter: submitter.slot,
        flush: submitter.flush,
        runs: 0,
        now: now.0,
    };
    part.tick(now);
    let mut context = Context { walk, part };
    // SAFETY: the callback takes the context it is given here, and the kernel
    // calls it only until bpf_loop returns.
    unsafe {
        bpf_loop(MAX_STEPS, step as *mut c_void, (&raw mut context).cast(), 0);
    }
    context.finish_run();
    if context.walk.bio_left != 0 {
        lose(Lost::LongBios, 1);
        let bytes = context.walk.bio_left;
        context.walk.known.ino = 0;
        context.start_run(Charge::UNKNOWN);
        context.walk.run.bytes = u64::from(bytes);
        context.finish_run();
    }
    Some(())
}

/// One page.
extern "C" fn step(_: u32, context: *mut Context) -> i64 {
    // SAFETY: bpf_loop passes the context that `pages` gave it.
    let context = unsafe { &mut *context };
    match context.page() {
        Some(()) if context.walk.bio_left != 0 => 0,
        _ => 1,
    }
}

impl Context<'_> {
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

    #[inline(always)]
    fn charge_by_tag(&mut self, bytes: u32) -> Option<()> {
        let walk = &*self.walk;
        let by_tag = charge::by_tag(walk.page, walk.known.mapping, Tick(walk.now))?;
        // A page of several blocks is one page.
        let waited = by_tag.live || by_tag.lost && walk.offset == 0;
        self.charge(by_tag.charge, bytes);
        let run = &mut self.walk.run;
        run.pages += u64::from(waited);
        if by_tag.live {
            run.lag_sum += by_tag.age;
            run.lag_max = run.lag_max.max(by_tag.age);
        }
        Some(())
    }

    #[inline(always)]
    fn charge(&mut self, charge: Charge, bytes: u32) {
        let walk = &*self.walk;
        if walk.runs == 0 || walk.run.charge != charge || walk.run.ino != walk.known.ino {
            self.finish_run();
            self.start_run(charge);
        }
        self.walk.run.bytes += u64::from(bytes);
    }

    #[inline(always)]
    fn start_run(&mut self, charge: Charge) {
        self.walk.runs += 1;
        self.walk.run = Run {
            ino: self.walk.known.ino,
            charge,
            ..Run::default()
        };
    }

    #[inline(never)]
    fn finish_run(&self) {
        let walk = &*self.walk;
        if walk.runs == 0 {
            return;
        }
        let run = &walk.run;
        let key = FactKey {
            ino: run.ino,
            dev: walk.dev,
            class: run.charge.class(),
            owner: run.charge.owner(),
            submitter: walk.submitter,
            flush: walk.flush,
            _reserved: 0,
        };
        let fact = Fact {
            bytes: run.bytes,
            bios: u64::from(walk.runs == 1),
            pages: run.pages,
            lag_sum: run.lag_sum,
            lag_max: run.lag_max,
        };
        self.part.fact(&key, &fact);
    }
}

impl Walk {
    #[inline(always)]
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

    #[inline(always)]
    fn enter_folio(&mut self) -> Option<()> {
        let folio = Folio::of(self.page)?;
        let passed = ((self.page - folio.head) >> layout!(page_struct_shift)) as u32;
        self.folio_left = folio.nr_pages().saturating_sub(passed).max(1);
        self.what = charge::look(&folio, &mut self.known)?;
        Some(())
    }
}
