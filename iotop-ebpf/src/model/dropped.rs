//! Clears the tags of pages that are dropped. A tag that is still live says that the
//! page's data was never written.

use core::ffi::c_void;

use aya_ebpf::{helpers::generated::bpf_loop, macros::map, maps::PerCpuArray};
use iotop_common::{
    Lost, Tag,
    tag::{SLOT_NONE, Slot},
};

use super::{frame::Frame, mapping::MappingState};
use crate::{
    counters::{add, lose},
    maps::OWNERS,
};

/// The drop in progress on each CPU. It lies in a map because the verifier forgets what
/// is written there.
#[map]
static DROPPED: PerCpuArray<Dropped> = PerCpuArray::with_max_entries(Dropper::COUNT, 0);

/// The program that drops tags. Each has its own element of `DROPPED`.
#[derive(Clone, Copy)]
pub enum Dropper {
    /// `folio_dropped` or `page_dropped`.
    Folio = 0,
    /// `iomap_invalidate_folio`.
    Invalidated = 1,
    /// `ext4_punch_hole`.
    Hole = 2,
    /// `ext4_zero_range`.
    Zeroes = 3,
    /// `ext4_truncate_enter`.
    Truncated = 4,
}

impl Dropper {
    const COUNT: u32 = 5;
}

/// Pages that are dropped together.
#[repr(C)]
pub struct Dropped {
    /// For [`crate::kernel::typed::Typed::address`].
    pub scratch: u64,
    /// The first frame.
    first: Frame,
    /// The number of frames.
    pages: u32,
    /// The owner of the current run of live tags.
    slot: Slot,
    /// The length of that run.
    run: u32,
    /// The number of live tags so far.
    live: u32,
    _reserved: u32,
}

impl Dropped {
    /// This CPU's element of a program.
    #[inline(always)]
    pub fn of_this_cpu(dropper: u32) -> Option<&'static mut Dropped> {
        // SAFETY: a map value of this CPU, and only this program's.
        Some(unsafe { &mut *DROPPED.get_ptr_mut(dropper)? })
    }

    /// Begins with the first frame and the number of frames.
    #[inline(always)]
    pub fn begin(&mut self, first: Frame, pages: u32) {
        self.first = first;
        self.pages = pages;
        self.slot = SLOT_NONE;
        self.run = 0;
        self.live = 0;
    }

    /// Clears one tag.
    #[inline(always)]
    pub fn clear(&mut self, frame: Frame) {
        let Some(place) = frame.tag() else {
            lose(Lost::Tags, 1);
            return;
        };
        // SAFETY: a map value of one aligned word; the folio is locked.
        let tag = Tag(unsafe { *place });
        if tag == Tag::NONE {
            return;
        }
        // SAFETY: as above.
        unsafe { *place = Tag::NONE.0 };
        if !tag.is_live() {
            return;
        }
        self.live += 1;
        if self.slot != tag.slot() {
            self.end_run();
            self.slot = tag.slot();
        }
        self.run += 1;
    }

    #[inline(always)]
    fn end_run(&mut self) {
        if self.slot != SLOT_NONE
            && let Some(owner) = OWNERS.get_ptr_mut(self.slot)
        {
            // SAFETY: a map value; only the fields' addresses are taken.
            unsafe {
                add(&raw mut (*owner).cancelled_pages, u64::from(self.run));
                add(&raw mut (*owner).cleaned_pages, u64::from(self.run));
            }
        }
        self.run = 0;
    }

    /// Counts what was cleared.
    #[inline(always)]
    pub fn end(&mut self, state: MappingState) {
        self.end_run();
        if self.live != 0 {
            state.sub(self.live);
        }
    }
}

/// Pages in one step of the loop.
const PAGES: u32 = 16;

/// Clears all tags of a program's current drop, which has `pages` pages.
#[inline(always)]
pub fn clear_all(mut dropper: u32, pages: u32) {
    // SAFETY: the callback takes the context it is given here, and the kernel
    // calls it only until bpf_loop returns.
    unsafe {
        bpf_loop(
            pages.div_ceil(PAGES),
            step as *mut c_void,
            (&raw mut dropper).cast(),
            0,
        );
    }
}

extern "C" fn step(n: u32, dropper: *mut u32) -> i64 {
    // SAFETY: bpf_loop passes the context that `clear_all` gave it.
    let Some(dropped) = Dropped::of_this_cpu(unsafe { *dropper }) else {
        return 1;
    };
    let mut page = n * PAGES;
    for _ in 0..PAGES {
        if page >= dropped.pages {
            return 1;
        }
        dropped.clear(Frame(dropped.first.0.wrapping_add(page)));
        page += 1;
    }
    0
}
