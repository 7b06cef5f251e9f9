//! The walk over a bio's pages: one flat loop, runs of one owner and one
//! inode added up before they are counted.

use core::ffi::c_void;

use aya_ebpf::{helpers::generated::bpf_loop, macros::map, maps::PerCpuArray};
use iotop_common::{
    Class, Fact, FactKey, Lost, Tag,
    layout::BVEC_BYTES,
    owner::{MAPPING_BDEV, MAPPING_BTREE},
    tag::{
        SLOT_FIRST, SLOT_METADATA, SLOT_NONE, SLOT_OVERFLOW, SLOTS, SUBMITTED_ANSWERS_NS, Slot,
        TICK_SHIFT,
    },
};

use crate::{
    count::{add, fact, lose},
    inode::Inode,
    kernel::{Words, layout, now, try_read},
    maps::OWNERS,
    page::{Folio, Frame},
    submitted::{Bio, Submitter},
};

/// More steps than a bio can have pages: `bi_size` is 32 bits.
const MAX_STEPS: u32 = 1 << 20;

/// A `bio_vec`.
pub struct Bvec {
    /// The address of the page that comes first: `bv_offset` may lie beyond it.
    pub page: u64,
    offset: u32,
    len: u32,
}

impl Bvec {
    /// Reads the `bio_vec` at an address.
    #[inline(always)]
    pub fn read(address: u64) -> Option<Bvec> {
        let words = Words::<{ BVEC_BYTES as usize / 8 }>::read(address)?;
        Some(Bvec {
            page: words.at(layout!(bvec_bv_page)),
            offset: words.at(layout!(bvec_bv_offset)),
            len: words.at(layout!(bvec_bv_len)),
        })
    }
}

// What a page is, as far as its bio is concerned.
/// Page cache under writeback: its tag says whose it is.
const CACHE: u32 = 0;
/// A block device's page written through a buffer head: metadata.
const BUFFER: u32 = 1;
/// Anything else: the submitter's own memory, or a file system's.
const OTHER: u32 = 2;

/// A slot and a [`Class`] in one word.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Default)]
struct Charge(u32);

impl Charge {
    #[inline(always)]
    const fn to(slot: Slot, class: Class) -> Charge {
        Charge(slot | (class as u32) << 16)
    }

    /// By the slot of a page's tag.
    #[inline(always)]
    fn by_tag(slot: Slot) -> Charge {
        match slot {
            SLOT_OVERFLOW => Charge::to(slot, Class::Overflow),
            SLOT_METADATA => Charge::to(slot, Class::Metadata),
            _ => Charge::to(slot, Class::Exact),
        }
    }

    #[inline(always)]
    fn slot(self) -> Slot {
        self.0 & (SLOTS - 1)
    }

    #[inline(always)]
    fn class(self) -> u32 {
        self.0 >> 16
    }
}

/// Consecutive bytes of one owner and one inode.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Run {
    ino: u64,
    bytes: u64,
    lag_pages: u64,
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
    /// The mapping last looked at, and what it was found to be.
    mapping: u64,
    ino: u64,
    now: u64,
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
    epoch: u32,
    dev: u32,
    submitter: Slot,
    /// How many runs were begun.
    runs: u32,
}

/// The walk of each CPU. It lies in a map because the verifier forgets what is
/// written there: on the stack it would follow every value through every page.
/// The kernel never runs a program twice at once on one CPU.
#[map]
static WALK: PerCpuArray<Walk> = PerCpuArray::with_max_entries(1, 0);

/// Charges every page of a write.
#[inline(always)]
pub fn pages(epoch: u32, bio: &Bio, submitter: &Submitter) -> Option<()> {
    let place = WALK.get_ptr_mut(0)?;
    // SAFETY: this CPU's element, which only this program uses.
    let mut walk = unsafe { &mut *place };
    *walk = Walk {
        bvec: bio.bvec,
        page: 0,
        mapping: 0,
        ino: 0,
        now: now(),
        run: Run::default(),
        offset: 0,
        bvec_left: 0,
        bvec_skip: bio.bvec_done,
        bio_left: bio.size,
        folio_left: 0,
        what: OTHER,
        other: other(bio, submitter),
        epoch,
        dev: bio.dev,
        submitter: submitter.slot,
        runs: 0,
    };
    // SAFETY: the callback takes the context it is given here, and the kernel
    // calls it only until bpf_loop returns.
    unsafe {
        bpf_loop(MAX_STEPS, step as *mut c_void, (&raw mut walk).cast(), 0);
    }
    walk.finish_run();
    if walk.bio_left != 0 {
        lose(Lost::LongBios, 1);
        let bytes = walk.bio_left;
        walk.start_run(Charge::to(SLOT_NONE, Class::Unknown));
        walk.run.bytes = u64::from(bytes);
        walk.finish_run();
    }
    Some(())
}

/// A write that does not come from the page cache. File systems mark their
/// own (xfs buffers and log, btrfs super blocks) `REQ_META`. What a user task
/// submits itself is `O_DIRECT`; for a kernel thread nothing tells.
#[inline(always)]
fn other(bio: &Bio, submitter: &Submitter) -> Charge {
    if bio.opf & layout!(req_swap) != 0 {
        Charge::to(SLOT_NONE, Class::Swap)
    } else if bio.opf & layout!(req_meta) != 0 {
        Charge::to(SLOT_NONE, Class::Metadata)
    } else if submitter.kthread {
        Charge::to(SLOT_NONE, Class::Unknown)
    } else if submitter.slot == SLOT_OVERFLOW {
        Charge::to(SLOT_NONE, Class::Overflow)
    } else {
        Charge::to(submitter.slot, Class::Direct)
    }
}

/// One page.
extern "C" fn step(_: u32, walk: *mut &mut Walk) -> i64 {
    // SAFETY: bpf_loop passes the context that `pages` gave it.
    let walk = unsafe { &mut **walk };
    match walk.page() {
        Some(()) if walk.bio_left != 0 => 0,
        _ => 1,
    }
}

impl Walk {
    #[inline(always)]
    fn page(&mut self) -> Option<()> {
        if self.bvec_left == 0 {
            self.enter_bvec()?;
        }
        if self.folio_left == 0 {
            self.enter_folio()?;
        }
        let page_size = 1 << layout!(page_shift);
        let bytes = self.bvec_left.min(page_size - self.offset);
        match self.what {
            CACHE => self.charge_by_tag(bytes)?,
            BUFFER => self.charge(Charge::to(SLOT_NONE, Class::Metadata), bytes),
            _ => self.charge(self.other, bytes),
        }

        self.bvec_left -= bytes;
        self.bio_left -= bytes;
        self.offset += bytes;
        if self.offset == page_size {
            self.offset = 0;
            self.page += 1 << layout!(page_struct_shift);
            self.folio_left -= 1;
        }
        Some(())
    }

    #[inline(always)]
    fn enter_bvec(&mut self) -> Option<()> {
        let bvec = Bvec::read(self.bvec)?;
        self.bvec += u64::from(layout!(bvec_size));
        let offset = bvec.offset + self.bvec_skip;
        self.bvec_left = bvec.len.saturating_sub(self.bvec_skip).min(self.bio_left);
        self.bvec_skip = 0;
        if self.bvec_left == 0 {
            return None;
        }
        self.page =
            bvec.page + (u64::from(offset >> layout!(page_shift)) << layout!(page_struct_shift));
        self.offset = offset & ((1 << layout!(page_shift)) - 1);
        self.folio_left = 0;
        Some(())
    }

    #[inline(always)]
    fn enter_folio(&mut self) -> Option<()> {
        let folio = Folio::of(self.page)?;
        let passed = ((self.page - folio.head) >> layout!(page_struct_shift)) as u32;
        self.folio_left = folio.nr_pages().saturating_sub(passed).max(1);
        let writeback = folio.is_under_writeback();
        if folio.mapping == self.mapping && self.what == CACHE && writeback {
            return Some(());
        }
        self.what = OTHER;
        self.ino = 0;
        self.mapping = 0;
        if !is_page_cache(folio.mapping) {
            return Some(());
        }
        let inode = Inode::of(folio.mapping)?;
        if writeback {
            self.what = CACHE;
            self.mapping = folio.mapping;
            self.ino = inode.ino;
        } else if inode.kind() == MAPPING_BDEV {
            // submit_bh writes one buffer and leaves the page's state alone.
            self.what = BUFFER;
        }
        Some(())
    }

    /// The page's tag says whose it is, and is marked as submitted.
    #[inline(always)]
    fn charge_by_tag(&mut self, bytes: u32) -> Option<()> {
        let Some(place) = Frame::of(self.page).tag() else {
            lose(Lost::Tags, 1);
            self.charge(Charge::to(SLOT_NONE, Class::Overflow), bytes);
            return Some(());
        };
        // SAFETY: a map value of one aligned word.
        let tag = Tag(unsafe { *place });
        let age = u64::from(tag.age_ticks(self.now));
        if tag.is_live() {
            // SAFETY: as above.
            unsafe { *place = tag.submitted(self.now).0 };
            self.charge(Charge::by_tag(tag.slot()), bytes);
            self.run.lag_pages += 1;
            self.run.lag_sum += age;
            self.run.lag_max = self.run.lag_max.max(age);
        } else if tag != Tag::NONE && age <= SUBMITTED_ANSWERS_NS >> TICK_SHIFT {
            self.charge(Charge::by_tag(tag.slot()), bytes);
        } else {
            let charge = self.without_tag()?;
            self.charge(charge, bytes);
        }
        Some(())
    }

    /// A page without a tag: dirtied before the trace, or moved by migration.
    #[inline(always)]
    fn without_tag(&self) -> Option<Charge> {
        let inode = Inode::of(self.mapping)?;
        Some(match inode.kind() {
            MAPPING_BDEV | MAPPING_BTREE => Charge::to(SLOT_NONE, Class::Metadata),
            _ => match inode.last_dirtier() {
                Some(slot) => Charge::to(slot, Class::Shared),
                None => Charge::to(SLOT_NONE, Class::PreTrace),
            },
        })
    }

    #[inline(always)]
    fn charge(&mut self, charge: Charge, bytes: u32) {
        if self.runs == 0 || self.run.charge != charge || self.run.ino != self.ino {
            self.finish_run();
            self.start_run(charge);
        }
        self.run.bytes += u64::from(bytes);
    }

    #[inline(always)]
    fn start_run(&mut self, charge: Charge) {
        self.runs += 1;
        self.run = Run {
            ino: self.ino,
            charge,
            ..Run::default()
        };
    }

    #[inline(never)]
    fn finish_run(&self) {
        if self.runs == 0 {
            return;
        }
        let run = &self.run;
        let slot = run.charge.slot();
        // Every page with a lag had a live tag, which is live no longer.
        if run.lag_pages != 0
            && let Some(owner) = OWNERS.get_ptr_mut(slot)
        {
            // SAFETY: a map value; only the field's address is taken.
            add(unsafe { &raw mut (*owner).cleaned_pages }, run.lag_pages);
        }
        let key = FactKey {
            ino: run.ino,
            dev: self.dev,
            class: run.charge.class(),
            owner: if slot < SLOT_FIRST { SLOT_NONE } else { slot },
            submitter: self.submitter,
        };
        let value = Fact {
            bytes: run.bytes,
            bios: u64::from(self.runs == 1),
            lag_pages: run.lag_pages,
            lag_sum: run.lag_sum,
            lag_max: run.lag_max,
        };
        fact(self.epoch, &key, &value);
    }
}

/// Whether a `page.mapping` leads to an inode that says the same. Anonymous
/// memory has the lowest bits set, and slab pages keep other things there.
#[inline(always)]
pub fn is_page_cache(mapping: u64) -> bool {
    if mapping == 0 || mapping & 3 != 0 {
        return false;
    }
    match try_read::<u64>(mapping, layout!(mapping_host)) {
        Some(host) => host.wrapping_add(u64::from(layout!(inode_i_data))) == mapping,
        None => false,
    }
}
