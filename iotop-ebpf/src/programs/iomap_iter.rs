//! A system call or page fault writes a range through iomap (xfs, block devices).

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use iotop_common::Progress;

use crate::{
    kernel::{layout::layout, typed::Typed},
    model::{
        current::with_own_slot,
        program::Program,
        write_range::{begin, end, pages},
    },
};

// Flags of include/linux/iomap.h; macros, not in BTF.
const IOMAP_WRITE: u32 = 1 << 0;
const IOMAP_ZERO: u32 = 1 << 1;
const IOMAP_REPORT: u32 = 1 << 2;
const IOMAP_DIRECT: u32 = 1 << 4;
const IOMAP_UNSHARE: u32 = 1 << 7;
const IOMAP_DAX: u32 = 1 << 8;
/// Operations that make page cache dirty, unless one of the flags below is set.
const MAKES_DIRTY: u32 = IOMAP_WRITE | IOMAP_ZERO | IOMAP_UNSHARE;
const DOES_NOT: u32 = IOMAP_REPORT | IOMAP_DIRECT | IOMAP_DAX;

/// Fires in `iomap_iter` when the write of a range begins, and at the end of each
/// extent of the range (fs/iomap/iter.c).
#[btf_tracepoint(function = "iomap_iter")]
pub fn range_iterated(ctx: BtfTracePointContext) -> i32 {
    let iter = Typed::arg(&ctx, 0);
    let flags: u32 = iter.field(layout!(iter_flags));
    if flags & MAKES_DIRTY != 0 && flags & DOES_NOT == 0 {
        // No extent is known when the write begins.
        if iter.field::<u64>(layout!(iter_iomap_length)) == 0 {
            range_begins(iter, flags);
        } else {
            extent_ends(iter);
        }
    }
    0
}

#[inline(always)]
fn range_begins(iter: Typed, flags: u32) -> Option<()> {
    let pos: u64 = iter.field(layout!(iter_pos));
    let len: u64 = iter.field(layout!(iter_len));
    if len == 0 {
        return None;
    }
    let current = with_own_slot(Program::RangeIterated)?;
    // SAFETY: a map value of this CPU, and only this program's.
    let scratch = unsafe { &raw mut (*current.last).scratch };
    let inode = iter.pointer(layout!(iter_inode));
    let size: u64 = inode.field(layout!(inode_i_size));
    let inode = inode.address(scratch);
    let (first, last) = pages(pos, len);
    // Pages past the end of the file are in no dirty folio that begins before the end.
    // Unsharing makes only shared extents dirty.
    let tags_early = flags & IOMAP_UNSHARE == 0 && size > first << layout!(page_shift);
    let to = last.min(size.saturating_sub(1) >> layout!(page_shift));
    let to = tags_early.then_some(to);
    begin(&current, inode, (first, last), to, Program::RangeIterated)
}

/// An extent ends, and perhaps the call.
#[inline(always)]
fn extent_ends(iter: Typed) -> Option<()> {
    let pos: u64 = iter.field(layout!(iter_pos));
    let len: u64 = iter.field(layout!(iter_len));
    let progress = if layout!(iter_processed) != 0 {
        Progress::before_6_15(pos, len, iter.field(layout!(iter_processed)))
    } else {
        Progress::since_6_15(pos, len, iter.field(layout!(iter_status)))
    };
    let current = with_own_slot(Program::RangeIterated)?;
    // SAFETY: a map value; only the task itself writes these fields.
    let owner = unsafe { &mut *current.owner };
    if owner.writing.mapping == 0 {
        return None;
    }
    // The range shrinks to what is left of it. If the call has ended, a page that it
    // has begun to write counts as written.
    let begun = match progress.ended {
        true => (1 << layout!(page_shift)) - 1,
        false => 0,
    };
    let first = (progress.pos + begun) >> layout!(page_shift);
    let done = (first as u32).wrapping_sub(owner.writing.first);
    owner.writing.first = first as u32;
    owner.writing.pages = owner.writing.pages.saturating_sub(done);
    if progress.ended {
        end(current.slot, owner);
    }
    Some(())
}
