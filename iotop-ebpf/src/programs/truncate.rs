//! A range of a file is truncated or punched out: pages are cut off folios that stay.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};

use crate::{
    kernel::{layout::layout, memory::read},
    model::{
        dropped::{Dropped, Dropper, clear_all},
        folio::nr_folio_pages,
        frame::Frame,
        mapping::MappingState,
        page_cache::CachedFolio,
    },
};

/// Fires when part of a folio is invalidated on xfs, or all of it.
/// `(inode, offset, length)`.
#[raw_tracepoint]
pub fn iomap_invalidate_folio(ctx: RawTracePointContext) -> i32 {
    cut_off(ctx.arg(0), ctx.arg(1), ctx.arg(2), Dropper::Invalidated);
    0
}

/// Fires before a hole is punched. `(inode, offset, length, mode)`.
#[raw_tracepoint]
pub fn ext4_punch_hole(ctx: RawTracePointContext) -> i32 {
    cut_off(ctx.arg(0), ctx.arg(1), ctx.arg(2), Dropper::Hole);
    0
}

/// Fires before a range is made to read as zeroes, which drops its pages.
/// `(inode, offset, length, mode)`.
#[raw_tracepoint]
pub fn ext4_zero_range(ctx: RawTracePointContext) -> i32 {
    cut_off(ctx.arg(0), ctx.arg(1), ctx.arg(2), Dropper::Zeroes);
    0
}

/// Fires when a file is truncated to its new size. `(inode)`.
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

/// The whole pages of a range are gone. A folio that lies entirely in the range has a
/// drop event of its own. Only the folios at the two ends of the range remain.
#[inline(always)]
fn cut_off(inode: u64, begin: u64, len: u64, dropper: Dropper) -> Option<()> {
    let mapping = inode + u64::from(layout!(inode_i_data));
    let state = MappingState::of(mapping)?;
    if !state.has_live_tags() {
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

/// Drops the pages from `first` to before `behind` of the folio at index `at`, where the
/// folio has other pages too. Returns the index behind the folio. A global function,
/// see the crate documentation.
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
    let folio = CachedFolio::at(mapping, at)?;
    let pages = u64::from(nr_folio_pages(folio.head, folio.flags));
    let begin = at.wrapping_sub(u64::from((at as u32).wrapping_sub(folio.index)));
    let end = begin + pages;
    if first <= begin && end <= behind || pages == 1 {
        return Some(end);
    }
    let (from, to) = (first.max(begin), behind.min(end));
    let dropped = Dropped::of_this_cpu(dropper)?;
    let frame = Frame::of(folio.head).0.wrapping_add((from - begin) as u32);
    let pages = (to - from) as u32;
    dropped.begin(Frame(frame), pages);
    clear_all(dropper, pages);
    dropped.end(MappingState::of(mapping)?);
    Some(end)
}
