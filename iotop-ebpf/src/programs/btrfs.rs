//! btrfs: tasks create files, and workers write extents for them.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};

use crate::{
    kernel::{constants::BTRFS_SUPER_MAGIC, layout::layout, memory::read},
    model::{
        acts_for,
        current::{with_own_slot, with_slot},
        inode::Inode,
        journal::{RUNNING, join_transaction},
        last_dirtier,
        program::Program,
        slot::is_kthread,
    },
};

/// Fires in the task that creates a file. Trees are dealt to the tasks that change them, and a
/// tree has too few pages to tell how much each task changes. `(inode)`.
#[raw_tracepoint]
pub fn btrfs_inode_new(ctx: RawTracePointContext) -> i32 {
    created(ctx.arg(0));
    0
}

#[inline(always)]
fn created(inode: u64) -> Option<()> {
    let current = with_slot(Program::BtrfsInodeCreated)?;
    let inode = inode + u64::from(layout!(btrfs_inode_new_vfs_inode));
    let sb = read::<u64>(inode, layout!(inode_i_sb))?;
    // The event may pass a struct whose type is not known: a module that was loaded late.
    if read::<u64>(sb, layout!(sb_s_magic))? != BTRFS_SUPER_MAGIC {
        return None;
    }
    let dev = read::<u32>(sb, layout!(sb_s_dev))?;
    join_transaction(dev, RUNNING, current.slot, 1);
    Some(())
}

/// Fires in the task that submits the extent, just before. A worker that compresses data
/// submits pages of its own: this event tells for which file. `(inode, ordered)`.
#[raw_tracepoint]
pub fn btrfs_ordered_extent_add(ctx: RawTracePointContext) -> i32 {
    extent_added(ctx.arg(0));
    0
}

#[inline(always)]
fn extent_added(btrfs_inode: u64) -> Option<()> {
    let current = with_own_slot(Program::BtrfsExtentAdded)?;
    // SAFETY: an element of `OWNERS`.
    if unsafe { is_kthread(current.owner) } {
        let inode = Inode::at(btrfs_inode + u64::from(layout!(btrfs_vfs_inode)));
        let key = inode.key()?;
        acts_for::record(&current, key.dev, last_dirtier::slot_of(&key));
    }
    Some(())
}
