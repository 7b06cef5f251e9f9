//! A page leaves the page cache, or is cut off a folio that stays: a tag that is
//! still live says that its data was never written.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::generated::bpf_loop,
    macros::{btf_tracepoint, map, raw_tracepoint},
    maps::PerCpuArray,
    programs::{BtfTracePointContext, RawTracePointContext},
};
use iotop_common::{
    Lost, Tag,
    tag::{SLOT_NONE, Slot},
};

use crate::{
    cached::Cached,
    count::{add, lose},
    kernel::{Typed, layout, read},
    mappings::Place,
    maps::OWNERS,
    page::{Frame, LARGE, SINGLE, nr_cache_pages, nr_folio_pages},
};

/// What is under way on each CPU, in a map because the verifier forgets what is
/// written there.
#[map]
static DROPPED: PerCpuArray<Dropped> = PerCpuArray::with_max_entries(Dropper::COUNT, 0);

/// Which program drops tags: each has a memory of its own.
#[derive(Clone, Copy)]
enum Dropper {
    Folio = 0,
    Invalidated = 1,
    Hole = 2,
    Zeroes = 3,
    Truncated = 4,
}

impl Dropper {
    const COUNT: u32 = 5;
}

#[repr(C)]
struct Dropped {
    /// See [`Typed::number`].
    number: u64,
    /// Tags of these frames.
    first: Frame,
    pages: u32,
    /// A run of live tags with the same owner, and how many there were in all.
    slot: Slot,
    run: u32,
    live: u32,
    _reserved: u32,
}

/// Fires when a folio is truncated, reclaimed or invalidated. `PG_dirty` is
/// already clear by then. Where nothing of the file waits, no tag is live.
#[btf_tracepoint(function = "mm_filemap_delete_from_page_cache")]
pub fn folio_dropped(ctx: BtfTracePointContext) -> i32 {
    dropped::<LARGE>(Typed::arg(&ctx, 0));
    0
}

/// The same before 5.18.
#[btf_tracepoint(function = "mm_filemap_delete_from_page_cache")]
pub fn page_dropped(ctx: BtfTracePointContext) -> i32 {
    dropped::<SINGLE>(Typed::arg(&ctx, 0));
    0
}

/// Fires when a part of a folio is invalidated on xfs, or all of it.
/// `(inode, offset, length)`.
#[raw_tracepoint]
pub fn iomap_invalidate_folio(ctx: RawTracePointContext) -> i32 {
    cut_off(ctx.arg(0), ctx.arg(1), ctx.arg(2), Dropper::Invalidated);
    0
}

/// Fires when a hole is about to be punched. `(inode, offset, length, mode)`.
#[raw_tracepoint]
pub fn ext4_punch_hole(ctx: RawTracePointContext) -> i32 {
    cut_off(ctx.arg(0), ctx.arg(1), ctx.arg(2), Dropper::Hole);
    0
}

/// Fires when a range is about to read as zeroes: its pages are dropped.
/// `(inode, offset, length, mode)`.
#[raw_tracepoint]
pub fn ext4_zero_range(ctx: RawTracePointContext) -> i32 {
    cut_off(ctx.arg(0), ctx.arg(1), ctx.arg(2), Dropper::Zeroes);
    0
}

/// Fires when a file is truncated to its size. `(inode)`.
#[raw_tracepoint]
pub fn ext4_truncate_enter(ctx: RawTracePointContext) -> i32 {
    let inode = ctx.arg(0);
    match read::<u64>(inode, layout!(inode_i_size)) {
        None | Some(0) => {}
        Some(size) => {
            cut_off(inode, size, u64::from(u32::MAX), Dropper::Truncated);
        }
    }
    0
}

#[inline(always)]
fn dropped<const FOLIOS: bool>(folio: Typed) -> Option<()> {
    let which = Dropper::Folio;
    // SAFETY: a map value of this CPU, and only this program's.
    let dropped = unsafe { &mut *DROPPED.get_ptr_mut(which as u32)? };
    let mapping = folio.pointer(layout!(page_mapping));
    let place = Place::of(mapping.number(&raw mut dropped.number))?;
    if !place.has_live_tags() {
        return None;
    }
    let flags: u64 = folio.field(layout!(page_flags));
    let folio = folio.number(&raw mut dropped.number);
    let pages = nr_cache_pages::<FOLIOS>(folio, flags);
    dropped.begin(Frame::of(folio), pages);
    if FOLIOS == SINGLE || pages == 1 {
        dropped.clear(Frame::of(folio));
    } else {
        clear_all(which as u32, pages);
    }
    dropped.end(place);
    Some(())
}

/// The whole pages of a range are gone. Folios that lie in it whole are dropped each
/// by itself: what is left is those at its ends.
#[inline(always)]
fn cut_off(inode: u64, begin: u64, len: u64, dropper: Dropper) -> Option<()> {
    let mapping = inode + u64::from(layout!(inode_i_data));
    let place = Place::of(mapping)?;
    if !place.has_live_tags() {
        return None;
    }
    let first = (begin + (1 << layout!(page_shift)) - 1) >> layout!(page_shift);
    let behind = (begin + len) >> layout!(page_shift);
    if first >= behind {
        return None;
    }
    let dropper = dropper as u32;
    let end = pages_cut_off(mapping, first, first, behind, dropper);
    if end < behind {
        pages_cut_off(mapping, behind - 1, first, behind, dropper);
    }
    Some(())
}

/// Of the folio at an index the pages from `first` to before `behind`, where it has
/// others too; returns the index behind the folio. A global function is verified once,
/// on its own.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn pages_cut_off(
    mapping: u64,
    at: u64,
    first: u64,
    behind: u64,
    dropper: u32,
) -> u64 {
    folio_cut(mapping, at, first, behind, dropper).unwrap_or(at + 1)
}

#[inline(always)]
fn folio_cut(mapping: u64, at: u64, first: u64, behind: u64, dropper: u32) -> Option<u64> {
    let folio = Cached::at(mapping, at)?;
    let pages = u64::from(nr_folio_pages(folio.folio, folio.flags));
    let begin = at.wrapping_sub(u64::from((at as u32).wrapping_sub(folio.index)));
    let end = begin + pages;
    if first <= begin && end <= behind || pages == 1 {
        return Some(end);
    }
    let (from, to) = (first.max(begin), behind.min(end));
    // SAFETY: a map value of this CPU, and only this program's.
    let dropped = unsafe { &mut *DROPPED.get_ptr_mut(dropper)? };
    let frame = Frame::of(folio.folio).0.wrapping_add((from - begin) as u32);
    let pages = (to - from) as u32;
    dropped.begin(Frame(frame), pages);
    clear_all(dropper, pages);
    dropped.end(Place::of(mapping)?);
    Some(end)
}

/// Pages in one step of the loop.
const PAGES: u32 = 16;

#[inline(always)]
fn clear_all(mut which: u32, pages: u32) {
    // SAFETY: the callback takes the context it is given here, and the kernel
    // calls it only until bpf_loop returns.
    unsafe {
        bpf_loop(
            pages.div_ceil(PAGES),
            step as *mut c_void,
            (&raw mut which).cast(),
            0,
        );
    }
}

extern "C" fn step(n: u32, which: *mut u32) -> i64 {
    // SAFETY: bpf_loop passes the context that `clear_all` gave it.
    let Some(dropped) = DROPPED.get_ptr_mut(unsafe { *which }) else {
        return 1;
    };
    // SAFETY: a map value of this CPU, and only this program's.
    let dropped = unsafe { &mut *dropped };
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

impl Dropped {
    #[inline(always)]
    fn begin(&mut self, first: Frame, pages: u32) {
        self.first = first;
        self.pages = pages;
        self.slot = SLOT_NONE;
        self.run = 0;
        self.live = 0;
    }

    #[inline(always)]
    fn clear(&mut self, frame: Frame) {
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

    #[inline(always)]
    fn end(&mut self, place: Place) {
        self.end_run();
        if self.live != 0 {
            place.sub(self.live);
        }
    }
}
