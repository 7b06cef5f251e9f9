//! btrfs marks a range for delayed allocation, before its pages become dirty.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};

use crate::{
    kernel::{layout::layout, memory::read},
    model::{
        current::with_own_slot,
        program::Program,
        write_range::{begin, pages},
    },
};

/// Fires when bits of a btrfs extent tree are set. `EXTENT_DELALLOC` is set before the
/// pages of a range become dirty. `(tree, start, len, bits)`.
#[raw_tracepoint]
pub fn btrfs_set_extent_bit(ctx: RawTracePointContext) -> i32 {
    let bits: u64 = ctx.arg(3);
    if bits as u32 & layout!(extent_delalloc) != 0 {
        delayed(ctx.arg(0), ctx.arg(1), ctx.arg(2));
    }
    0
}

#[inline(always)]
fn delayed(tree: u64, start: u64, len: u64) -> Option<()> {
    let program = Program::BtrfsSetExtentBit;
    let current = with_own_slot(program)?;
    let btrfs_inode = read::<u64>(tree, layout!(extent_tree_inode))?;
    let inode = btrfs_inode + u64::from(layout!(btrfs_vfs_inode));
    let (first, last) = pages(start, len);
    let begun = begin(&current, inode, (first, last), Some(last), program);
    // The whole range becomes dirty, and no event marks the end.
    // SAFETY: a map value; only the task itself writes this field.
    unsafe { (*current.owner).writing.early = 0 };
    begun
}
