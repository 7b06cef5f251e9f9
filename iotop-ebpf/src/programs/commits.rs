//! What makes ext4, xfs and btrfs commit, and who waits for a file to be written.
//!
//! ext4 logs through jbd2, whose thread commits. The tasks that ask for a commit show in
//! ext4's own events. xfs and btrfs have one event each that fires in the task that needs
//! the commit.

use aya_ebpf::{
    helpers::generated::bpf_get_current_task,
    macros::{raw_tracepoint, tracepoint},
    programs::{RawTracePointContext, TracePointContext},
};
use iotop_common::Cause;

use crate::{
    kernel::{
        layout::layout,
        memory::{read, try_read},
    },
    model::{
        at_journal::{recall, remember, remembered},
        cause::{Journal, count, count_of, task},
        control::control,
        current::{Current, current},
        program::Program,
        slot::is_kthread,
    },
};

/// What an fsync remembers: that it is a datasync. The lower half is the journal's
/// `j_commit_sequence`.
const DATASYNC: u64 = 1 << 32;
/// A handle rarely reserves more blocks than this (`jbd2_journal_start`).
const HANDLE_BLOCKS: u32 = 128;

/// Fires in a task that wants a file of ext4 to be on the device. `(file, datasync)`.
#[raw_tracepoint]
pub fn ext4_sync_file_enter(ctx: RawTracePointContext) -> i32 {
    fsync_begins(ctx.arg(0), ctx.arg(1));
    0
}

#[inline(always)]
fn fsync_begins(file: u64, datasync: u64) -> Option<()> {
    let task = synced(Program::Ext4SyncFileEnter)?;
    if control().flushes == 0 {
        return None;
    }
    let inode = read::<u64>(file, layout!(file_f_inode))?;
    let journal = ext4_journal(read::<u64>(inode, layout!(inode_i_sb))?)?;
    let committed = read::<u32>(journal, layout!(journal_commit_sequence))?;
    let datasync = if datasync as u32 == 0 { 0 } else { DATASYNC };
    remember(task.slot, journal, datasync | u64::from(committed));
    Some(())
}

/// Fires in a task that wants a file of xfs to be on the device. `(inode)`.
#[raw_tracepoint]
pub fn xfs_file_fsync(_: RawTracePointContext) -> i32 {
    synced(Program::XfsFileFsync);
    0
}

/// Fires in a task that wants a file of btrfs to be on the device. `(file, datasync)`.
#[raw_tracepoint]
pub fn btrfs_sync_file(_: RawTracePointContext) -> i32 {
    synced(Program::BtrfsSyncFile);
    0
}

/// The same since 7.x. `(file, datasync)`.
#[raw_tracepoint]
pub fn btrfs_sync_file_enter(_: RawTracePointContext) -> i32 {
    synced(Program::BtrfsSyncFile);
    0
}

/// Counts that the current task waits for a file to be written.
#[inline(always)]
fn synced(program: Program) -> Option<Current> {
    let task = current(program)?;
    count_of(&task, Journal { dev: 0, log: 0 }, Cause::Synced);
    Some(task)
}

/// Fires when the file is on the device. `(inode, ret)`.
#[raw_tracepoint]
pub fn ext4_sync_file_exit(ctx: RawTracePointContext) -> i32 {
    fsync_ends(ctx.arg(0));
    0
}

/// Counts an fsync whose file belonged to a transaction that was not committed before. An
/// fsync of a file that only has new data in old blocks needs no commit.
#[inline(always)]
fn fsync_ends(inode: u64) -> Option<()> {
    let task = task(Program::Ext4SyncFileExit)?;
    let sb = read::<u64>(inode, layout!(inode_i_sb))?;
    let journal = ext4_journal(sb)?;
    let begun = recall(task.slot, journal)?;
    let tid_at = match begun & DATASYNC {
        0 => layout!(ext4_sync_tid),
        _ => layout!(ext4_datasync_tid),
    };
    let ext4_inode = inode.wrapping_sub(u64::from(layout!(ext4_vfs_inode)));
    let tid = read::<u32>(ext4_inode, tid_at)?;
    let committed = read::<u32>(journal, layout!(journal_commit_sequence))?;
    // With fast_commit, the transaction may still be running: no commit was needed.
    if is_later(tid, begun as u32) && !is_later(tid, committed) {
        count_of(&task, jbd2(journal)?, Cause::Asked);
    }
    Some(())
}

/// `tid_gt` of include/linux/jbd2.h: transaction ids wrap.
#[inline(always)]
fn is_later(tid: u32, other: u32) -> bool {
    tid.wrapping_sub(other).cast_signed() > 0
}

/// Fires in a task that wants all of an ext4 to be on the device: sync(2), syncfs(2),
/// umount(2) or a freeze. It fires twice, the second time with `wait`. `(sb, wait)`.
#[raw_tracepoint]
pub fn ext4_sync_fs(ctx: RawTracePointContext) -> i32 {
    sync(ctx.arg(0), ctx.arg(1));
    0
}

/// Counts a sync that found a running transaction, which it then has committed.
#[inline(always)]
fn sync(sb: u64, wait: u64) -> Option<()> {
    let task = task(Program::Ext4SyncFs)?;
    let journal = ext4_journal(sb)?;
    let running = read::<u64>(journal, layout!(journal_running))?;
    if wait as u32 == 0 {
        remember(task.slot, journal, u64::from(running != 0));
        return Some(());
    }
    let asked_before = recall(task.slot, journal).is_some_and(|ran| ran != 0);
    if asked_before || running != 0 {
        count_of(&task, jbd2(journal)?, Cause::Asked);
    }
    Some(())
}

/// The journal of an ext4; `None` where it has none, or where the types are not known.
#[inline(always)]
fn ext4_journal(sb: u64) -> Option<u64> {
    if layout!(ext4_sb_journal) == 0 || layout!(transaction_requested) == 0 {
        return None;
    }
    let info = read::<u64>(sb, layout!(sb_s_fs_info))?;
    let journal = read::<u64>(info, layout!(ext4_sb_journal))?;
    (journal != 0).then_some(journal)
}

/// The devices of a journal of jbd2.
#[inline(always)]
pub(super) fn jbd2(journal: u64) -> Option<Journal> {
    let fs_dev = read::<u64>(journal, layout!(journal_j_fs_dev))?;
    let log_dev = read::<u64>(journal, layout!(journal_j_dev))?;
    let dev = read::<u32>(fs_dev, layout!(bdev_bd_dev))?;
    let log = match log_dev == fs_dev {
        true => dev,
        false => read::<u32>(log_dev, layout!(bdev_bd_dev))?,
    };
    Some(Journal { dev, log })
}

/// Counts why jbd2 begins to commit a transaction, if the user half wants flushes.
#[inline(always)]
pub(super) fn count_cause(
    task: &Current,
    journal: u64,
    transaction: u64,
    devices: Journal,
) -> Option<()> {
    if control().flushes == 0 || layout!(transaction_requested) == 0 {
        return None;
    }
    count(devices, Cause::Commit);
    // 0 until a task asks for the commit (`__jbd2_log_start_commit`).
    let requested = read::<u64>(transaction, layout!(transaction_requested))?;
    if requested == 0 {
        // SAFETY: an element of `OWNERS`.
        match unsafe { is_kthread(task.owner) } {
            true => count(devices, Cause::Timer),
            false => count_of(task, devices, Cause::Asked),
        }
        return Some(());
    }
    // Both are jiffies, which wrap.
    let expires = read::<u64>(transaction, layout!(transaction_expires))?;
    if requested.wrapping_sub(expires).cast_signed() >= 0 {
        count(devices, Cause::Old);
        return Some(());
    }
    // `add_transaction_credits` of fs/jbd2/transaction.c asks for the commit when the next
    // handle does not fit. No event tells how large that handle was.
    let credits = read::<u32>(transaction, layout!(transaction_credits))?;
    let most = read::<u32>(journal, layout!(journal_max_buffers))?;
    if credits.saturating_add(HANDLE_BLOCKS) > most && credits > most / 2 {
        count(devices, Cause::Full);
    }
    Some(())
}

/// Fires in a task that needs room in jbd2's log, and when a file system is unmounted or
/// frozen. `result` is above 0 where the log has nothing to give up before blocks are
/// written to their home. `(journal, result)`.
#[raw_tracepoint]
pub fn jbd2_checkpoint(ctx: RawTracePointContext) -> i32 {
    let result: u64 = ctx.arg(1);
    if (result as u32).cast_signed() > 0 {
        checkpoint(ctx.arg(0));
    }
    0
}

#[inline(always)]
fn checkpoint(journal: u64) -> Option<()> {
    let task = task(Program::Jbd2Checkpoint)?;
    if layout!(transaction_requested) == 0 {
        return None;
    }
    // `jbd2_log_space_left` of include/linux/jbd2.h.
    let free = read::<u64>(journal, layout!(journal_free))?;
    let committing = read::<u64>(journal, layout!(journal_committing))?;
    let credits = match committing {
        0 => 0,
        other => read::<u32>(other, layout!(transaction_credits))?,
    };
    let most = read::<u32>(journal, layout!(journal_max_buffers))?;
    if free < 32 + u64::from(credits) + u64::from(most) {
        count_of(&task, jbd2(journal)?, Cause::Waited);
    }
    Some(())
}

/// Fires in a task that forces xfs's log, once or twice each time. The events that belong
/// together have the same sequence, or 0 first. `(mount, sequence, caller)`.
#[raw_tracepoint]
pub fn xfs_log_force(ctx: RawTracePointContext) -> i32 {
    let sequence: u64 = ctx.arg(1);
    if sequence != 0 {
        force(ctx.arg(0), sequence);
    }
    0
}

#[inline(always)]
fn force(mount: u64, sequence: u64) -> Option<()> {
    let task = task(Program::XfsLogForce)?;
    let journal = xfs(mount)?;
    if is_counted(&task, mount, sequence) {
        return Some(());
    }
    // SAFETY: an element of `OWNERS`.
    if unsafe { is_kthread(task.owner) } && is_periodic(mount).unwrap_or(false) {
        count(journal, Cause::Timer);
    } else {
        count_of(&task, journal, Cause::Forced);
    }
    Some(())
}

/// Whether the event belongs to one that was counted.
#[inline(always)]
fn is_counted(task: &Current, mount: u64, sequence: u64) -> bool {
    let same = remembered(task.slot, mount) == Some(sequence);
    if !same {
        remember(task.slot, mount, sequence);
    }
    same
}

/// Whether the current kernel thread is a kworker that does the periodic work of this
/// file system's log (`xfs_log_worker`).
#[inline(always)]
fn is_periodic(mount: u64) -> Option<bool> {
    if layout!(task_worker_private) == 0 {
        return None;
    }
    // SAFETY: a helper without arguments.
    let task = unsafe { bpf_get_current_task() };
    let kthread = read::<u64>(task, layout!(task_worker_private))?;
    let worker = read::<u64>(kthread, layout!(kthread_data))?;
    let log = read::<u64>(mount, layout!(xfs_mount_m_log))?;
    // The data of another thread than a kworker is something else, or nothing.
    let work = try_read::<u64>(worker, layout!(worker_current_work))?;
    Some(work == log + u64::from(layout!(xlog_l_work)))
}

/// Fires in a task that waits for room in xfs's log. `(log, ticket)`.
#[raw_tracepoint]
pub fn xfs_log_grant_sleep(ctx: RawTracePointContext) -> i32 {
    grant_sleep(ctx.arg(0));
    0
}

#[inline(always)]
fn grant_sleep(log: u64) -> Option<()> {
    let task = task(Program::XfsLogGrantSleep)?;
    let journal = xfs(read::<u64>(log, layout!(xlog_l_mp))?)?;
    count_of(&task, journal, Cause::Waited);
    Some(())
}

/// The same as [`xfs_log_force`] where xfs's types are not known: its record has the device
/// and the sequence. Which kworker does the periodic work is not known then.
#[tracepoint]
pub fn xfs_log_forced(ctx: TracePointContext) -> u32 {
    force_by_record(&ctx);
    0
}

#[inline(always)]
fn force_by_record(ctx: &TracePointContext) -> Option<()> {
    let task = task(Program::XfsLogForce)?;
    let journal = xfs_by_record(ctx)?;
    // Aligned to 8 bytes.
    let at = (layout!(trace_entry_size) as usize + size_of::<u32>()).next_multiple_of(8);
    // SAFETY: the verifier refuses a read beyond the record.
    let sequence: u64 = unsafe { ctx.read_at(at) }.ok()?;
    // 5.10 has one event each time, and no sequence where the whole log is forced. Later
    // kernels have a second event then, with a sequence.
    let once = layout!(current_is_typed) == 0;
    if once || sequence != 0 && !is_counted(&task, journal.dev.into(), sequence) {
        count_of(&task, journal, Cause::Forced);
    }
    Some(())
}

/// The same as [`xfs_log_grant_sleep`].
#[tracepoint]
pub fn xfs_log_slept(ctx: TracePointContext) -> u32 {
    if let Some(task) = task(Program::XfsLogGrantSleep)
        && let Some(journal) = xfs_by_record(&ctx)
    {
        count_of(&task, journal, Cause::Waited);
    }
    0
}

/// Every record of xfs begins with the device of the file system.
#[inline(always)]
fn xfs_by_record(ctx: &TracePointContext) -> Option<Journal> {
    let at = layout!(trace_entry_size) as usize;
    // SAFETY: the verifier refuses a read beyond the record.
    let dev = unsafe { ctx.read_at(at) }.ok()?;
    Some(Journal { dev, log: 0 })
}

/// The devices of an xfs; `None` where the types are not known.
#[inline(always)]
fn xfs(mount: u64) -> Option<Journal> {
    if layout!(xfs_mount_m_super) == 0 || layout!(xfs_mount_m_logdev_targp) == 0 {
        return None;
    }
    let sb = read::<u64>(mount, layout!(xfs_mount_m_super))?;
    let target = read::<u64>(mount, layout!(xfs_mount_m_logdev_targp))?;
    Some(Journal {
        dev: read::<u32>(sb, layout!(sb_s_dev))?,
        log: read::<u32>(target, layout!(xfs_buftarg_bt_dev))?,
    })
}

/// Fires in the task that has committed a transaction of btrfs. `(fs_info)`, or since 7.x
/// `(handle)` for each state that the transaction reaches.
#[raw_tracepoint]
pub fn btrfs_transaction_commit(ctx: RawTracePointContext) -> i32 {
    committed(ctx.arg(0));
    0
}

#[inline(always)]
fn committed(of: u64) -> Option<()> {
    let task = task(Program::BtrfsTransactionCommit)?;
    if layout!(btrfs_fs_info_sb) == 0 {
        return None;
    }
    let fs_info = match layout!(btrfs_trans_fs_info) {
        0 => of,
        at => {
            let transaction = read::<u64>(of, layout!(btrfs_trans_transaction))?;
            let state = read::<u32>(transaction, layout!(btrfs_transaction_state))?;
            if state != layout!(btrfs_state_completed) {
                return None;
            }
            read::<u64>(of, at)?
        }
    };
    let sb = read::<u64>(fs_info, layout!(btrfs_fs_info_sb))?;
    let journal = Journal {
        dev: read::<u32>(sb, layout!(sb_s_dev))?,
        log: 0,
    };
    count_of(&task, journal, Cause::Committed);
    Some(())
}
