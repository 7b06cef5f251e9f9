//! An inode is written back.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{
    kernel::{constants::BTRFS_SUPER_MAGIC, layout::layout, typed::Typed},
    model::{
        acts_for, control::control, current::with_own_slot, flushed, inode::TypedInode,
        last_dirtier, program::Program, slot::is_kthread,
    },
};

/// Fires in the task that writes an inode back, a flusher or another one. A flusher changes
/// metadata too: it allocates the file's blocks. On btrfs, other workers submit what this task
/// puts under writeback.
#[btf_tracepoint(function = "writeback_single_inode_start")]
pub fn inode_flushed(ctx: BtfTracePointContext) -> i32 {
    let inode = Typed::arg(&ctx, 0);
    let magic: u64 = inode
        .pointer(layout!(inode_i_sb))
        .field(layout!(sb_s_magic));
    let Some(current) = with_own_slot(Program::InodeFlushed) else {
        return 0;
    };
    if magic == BTRFS_SUPER_MAGIC {
        if control().flushes != 0 {
            flushed::record(&current, inode);
        }
    // SAFETY: an element of `OWNERS`.
    } else if unsafe { is_kthread(current.owner) } {
        let inode = TypedInode::new(inode);
        // SAFETY: a map value of this CPU, and only this program's.
        let address = inode.address(unsafe { &raw mut (*current.last).scratch });
        let key = inode.key(address);
        acts_for::record(&current, key.dev, last_dirtier::slot_of(&key));
    }
    0
}
