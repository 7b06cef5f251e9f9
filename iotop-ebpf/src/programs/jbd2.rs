//! ext4's journal: tasks join its transactions, and jbd2 commits them (fs/jbd2).

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};

use super::commits::{self, jbd2};
use crate::{
    kernel::{layout::layout, memory::read},
    model::{
        acts_for::changer,
        commit,
        current::with_own_slot,
        journal::{empty, join_transaction, of_transaction, records_to},
        program::Program,
    },
};

/// Fires in the task that has changed metadata within a transaction (`jbd2_journal_stop`).
/// `(dev, tid, type, line_no, interval, sync, requested_blocks, dirtied_blocks)`.
#[raw_tracepoint]
pub fn jbd2_handle_stats(ctx: RawTracePointContext) -> i32 {
    let (dev, tid): (u64, u64) = (ctx.arg(0), ctx.arg(1));
    if let Some(slot) = changer(Program::HandleEnded, dev as u32) {
        let dirtied = ctx.arg::<u64>(7) as i32;
        // `dirtied` counts blocks that no task had changed before in this transaction. A task
        // that changes them again joins it too: else the first one would pay for all. A task
        // that gives blocks back counts less than 0.
        let weight = dirtied.max(1) as u32;
        join_transaction(dev as u32, of_transaction(tid as u32), slot, weight);
    }
    0
}

/// Fires when jbd2 begins to commit a transaction, in its thread, and in the task that
/// unmounts for the last one. Tasks may still end what they do within the transaction: jbd2
/// waits for them before it submits anything. `(journal, transaction)`.
#[raw_tracepoint]
pub fn jbd2_start_commit(ctx: RawTracePointContext) -> i32 {
    commit_started(ctx.arg(0), ctx.arg(1));
    0
}

#[inline(always)]
fn commit_started(journal: u64, transaction: u64) -> Option<()> {
    let current = with_own_slot(Program::CommitBegun)?;
    let devices = jbd2(journal)?;
    if devices.log != devices.dev {
        records_to(devices.log, devices.dev);
    }
    let tid = read::<u32>(transaction, layout!(transaction_t_tid))?;
    commit::begin(&current, journal, devices.dev, tid);
    // The next transaction has not begun.
    empty(devices.dev, of_transaction(tid.wrapping_add(1)));
    commits::count_cause(&current, journal, transaction, devices)
}

/// Fires in the same task when the transaction is on the disk. `(journal, transaction)`.
#[raw_tracepoint]
pub fn jbd2_end_commit(_: RawTracePointContext) -> i32 {
    if let Some(current) = with_own_slot(Program::CommitEnded) {
        commit::end(&current);
    }
    0
}
