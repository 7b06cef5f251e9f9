//! The same as [`super::xfs`] where xfs's types are not known: it is a module, and modules have
//! no BTF before 5.11. The tracepoints' records have devices and inode numbers. Buffers are not
//! among them.

use aya_ebpf::{macros::tracepoint, programs::TracePointContext};

use crate::{
    kernel::layout::layout,
    model::{
        acts_for::{self, changer},
        current::current,
        journal::{RUNNING, join_transaction},
        numbered,
        program::Program,
        slot::is_kthread,
    },
};

/// A task commits a transaction.
#[tracepoint]
pub fn xfs_committed(ctx: TracePointContext) -> u32 {
    if let Some(dev) = device(&ctx)
        && let Some(slot) = changer(Program::XfsCommitted, dev)
    {
        join_transaction(dev, RUNNING, slot, 1);
    }
    0
}

/// A worker updates a file's size.
#[tracepoint]
pub fn xfs_size_set(ctx: TracePointContext) -> u32 {
    works_on(&ctx, Program::XfsSizeSet);
    0
}

/// A worker converts an extent.
#[tracepoint]
pub fn xfs_converted(ctx: TracePointContext) -> u32 {
    works_on(&ctx, Program::XfsConverted);
    0
}

/// Every record of xfs begins with the device (fs/xfs/xfs_trace.h).
#[inline(always)]
fn device(ctx: &TracePointContext) -> Option<u32> {
    let at = layout!(trace_entry_size) as usize;
    // SAFETY: the verifier refuses a read beyond the record.
    unsafe { ctx.read_at(at) }.ok()
}

#[inline(always)]
fn works_on(ctx: &TracePointContext, program: Program) -> Option<()> {
    let current = current(program)?;
    // SAFETY: an element of `OWNERS`.
    if !unsafe { is_kthread(current.owner) } {
        return None;
    }
    let dev = device(ctx)?;
    // The inode's number follows, aligned to 8 bytes.
    let at = (layout!(trace_entry_size) as usize + size_of::<u32>()).next_multiple_of(8);
    // SAFETY: as above.
    let ino: u64 = unsafe { ctx.read_at(at) }.ok()?;
    acts_for::record(&current, dev, numbered::last_dirtier(dev, ino));
    Some(())
}
