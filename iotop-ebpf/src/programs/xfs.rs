//! xfs: tasks commit transactions to the log in memory, and log buffers and inodes (fs/xfs).

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};

use crate::{
    kernel::{layout::layout, memory::read},
    model::{
        acts_for::{self, changer},
        current::current,
        inode::Inode,
        journal::{self, RUNNING, join_transaction, records_to},
        last_dirtier, logged,
        program::Program,
        slot::is_kthread,
    },
};

/// Fires in the task that commits a transaction, also a part of a longer one. `(tp, caller_ip)`.
#[raw_tracepoint]
pub fn xfs_trans_commit(ctx: RawTracePointContext) -> i32 {
    committed(ctx.arg(0));
    0
}

#[inline(always)]
fn committed(transaction: u64) -> Option<()> {
    let mount = read::<u64>(transaction, layout!(xfs_trans_t_mountp))?;
    let sb = read::<u64>(mount, layout!(xfs_mount_m_super))?;
    let dev = read::<u32>(sb, layout!(sb_s_dev))?;
    let slot = changer(Program::XfsCommitted, dev)?;
    if !journal::exists(dev) {
        let target = read::<u64>(mount, layout!(xfs_mount_m_logdev_targp))?;
        records_to(read::<u32>(target, layout!(xfs_buftarg_bt_dev))?, dev);
    }
    join_transaction(dev, RUNNING, slot, 1);
    Some(())
}

/// Fires when a buffer that a transaction changed is pinned. `(bip)`.
#[raw_tracepoint]
pub fn xfs_buf_item_pin(ctx: RawTracePointContext) -> i32 {
    buffer_logged(ctx.arg(0), Program::XfsBufPinned);
    0
}

/// The same for a new buffer that is written without being logged. `(bip)`.
#[raw_tracepoint]
pub fn xfs_buf_item_ordered(ctx: RawTracePointContext) -> i32 {
    buffer_logged(ctx.arg(0), Program::XfsBufOrdered);
    0
}

#[inline(always)]
fn buffer_logged(item: u64, program: Program) -> Option<()> {
    let (slot, kthread) = logger(program, || device_of_item(item))?;
    let buffer = read::<u64>(item, layout!(xfs_buf_log_item_bli_buf))?;
    logged::record(buffer, slot, kthread);
    Some(())
}

/// Fires when an inode that a transaction changed is pinned. `(ip, caller_ip)`.
#[raw_tracepoint]
pub fn xfs_inode_pin(ctx: RawTracePointContext) -> i32 {
    inode_logged(ctx.arg(0));
    0
}

#[inline(always)]
fn inode_logged(inode: u64) -> Option<()> {
    let (slot, kthread) = logger(Program::XfsInodePinned, || {
        let inode = inode + u64::from(layout!(xfs_inode_i_vnode));
        let sb = read::<u64>(inode, layout!(inode_i_sb))?;
        read::<u32>(sb, layout!(sb_s_dev))
    })?;
    if !kthread {
        logged::record(inode, slot, false);
    }
    // The buffer that the inode will be written to, where it is known already.
    let item = read::<u64>(inode, layout!(xfs_inode_i_itemp))?;
    let buffer = read::<u64>(item, layout!(xfs_inode_log_item_li_buf))?;
    if buffer != 0 {
        logged::record(buffer, slot, kthread);
    }
    Some(())
}

/// The device of a buffer's file system.
#[inline(always)]
fn device_of_item(item: u64) -> Option<u32> {
    let buffer = read::<u64>(item, layout!(xfs_buf_log_item_bli_buf))?;
    let target = read::<u64>(buffer, layout!(xfs_buf_b_target))?;
    read::<u32>(target, layout!(xfs_buftarg_bt_dev))
}

/// The task that logs an object, and whether a kernel thread does it for that task.
#[inline(always)]
fn logger(program: Program, dev: impl Fn() -> Option<u32>) -> Option<(u32, bool)> {
    let current = current(program)?;
    // SAFETY: an element of `OWNERS`.
    match unsafe { is_kthread(current.owner) } {
        true => Some((acts_for::task_of(current.slot, dev()?)?, true)),
        false => current.has_slot().then_some((current.slot, false)),
    }
}

/// Fires before a worker updates a file's size: its data was written. `(ip, offset, count)`.
#[raw_tracepoint]
pub fn xfs_setfilesize(ctx: RawTracePointContext) -> i32 {
    works_on(ctx.arg(0), Program::XfsSizeSet);
    0
}

/// Fires before a worker converts an extent whose data was written. `(ip, offset, count)`.
#[raw_tracepoint]
pub fn xfs_unwritten_convert(ctx: RawTracePointContext) -> i32 {
    works_on(ctx.arg(0), Program::XfsConverted);
    0
}

/// Fires before a worker frees an inode that was deleted. `(ip)`.
#[raw_tracepoint]
pub fn xfs_inode_inactivating(ctx: RawTracePointContext) -> i32 {
    works_on(ctx.arg(0), Program::XfsInactivated);
    0
}

/// A kernel thread works on an inode, for the task that dirtied or logged it last.
#[inline(always)]
fn works_on(inode: u64, program: Program) -> Option<()> {
    let current = current(program)?;
    // SAFETY: an element of `OWNERS`.
    if !unsafe { is_kthread(current.owner) } {
        return None;
    }
    let key = Inode::at(inode + u64::from(layout!(xfs_inode_i_vnode))).key()?;
    let slot = last_dirtier::slot_of(&key).or_else(|| logged::changer(inode));
    acts_for::record(&current, key.dev, slot);
    Some(())
}
