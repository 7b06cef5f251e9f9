//! An inode is written back.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{
    kernel::{constants::BTRFS_SUPER_MAGIC, layout::layout, typed::Typed},
    model::{control::control, current::with_own_slot, flushed, program::Program},
};

/// Fires in the task that writes an inode back, a writeback worker or another one. On
/// btrfs, other workers submit what this task puts under writeback.
#[btf_tracepoint(function = "writeback_single_inode_start")]
pub fn inode_flushed(ctx: BtfTracePointContext) -> i32 {
    let inode = Typed::arg(&ctx, 0);
    let magic: u64 = inode
        .pointer(layout!(inode_i_sb))
        .field(layout!(sb_s_magic));
    if magic == BTRFS_SUPER_MAGIC
        && control().flushes != 0
        && let Some(current) = with_own_slot(Program::InodeFlushed)
    {
        flushed::record(&current, inode);
    }
    0
}
