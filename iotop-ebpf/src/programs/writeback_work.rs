//! The work of writeback workers (flushers), from the request to its end.

use aya_ebpf::{
    helpers::bpf_ktime_get_boot_ns, macros::btf_tracepoint, programs::BtfTracePointContext,
};

use crate::{
    kernel::typed::Typed,
    model::{
        control::control,
        current::{Current, with_own_slot},
        flusher_run::{self, Worker},
        program::Program,
    },
};

/// Fires in the task that asks for a flush: sync(2), syncfs(2), umount(2), a cgroup
/// that dirties another one's inode ... (`wb_queue_work`).
#[btf_tracepoint(function = "writeback_queue")]
pub fn flush_queued(ctx: BtfTracePointContext) -> i32 {
    if let Some(current) = task(Program::FlushQueued) {
        flusher_run::queued(&current, Typed::arg(&ctx, 1));
    }
    0
}

/// Fires in the worker for each round of a run, before it submits anything
/// (`wb_writeback`).
#[btf_tracepoint(function = "writeback_start")]
pub fn flush_started(ctx: BtfTracePointContext) -> i32 {
    if let Some(worker) = worker(&ctx, Program::FlushStarted) {
        // SAFETY: a helper without arguments.
        worker.begin(unsafe { bpf_ktime_get_boot_ns() });
    }
    0
}

/// Fires in the worker after each round.
#[btf_tracepoint(function = "writeback_written")]
pub fn flush_written(ctx: BtfTracePointContext) -> i32 {
    if let Some(worker) = worker(&ctx, Program::FlushWritten) {
        // A round whose start was not seen began before the trace.
        worker.begin(0);
        worker.end_round();
    }
    0
}

/// Fires in the worker when it has no work left (`wb_workfn`).
#[btf_tracepoint(function = "writeback_pages_written")]
pub fn flush_ended(_: BtfTracePointContext) -> i32 {
    if let Some(current) = task(Program::FlushEnded) {
        flusher_run::end(&current);
    }
    0
}

/// The current task, where the user half wants flushes and the task has a slot of its
/// own.
#[inline(always)]
fn task(program: Program) -> Option<Current> {
    if control().flushes == 0 {
        return None;
    }
    with_own_slot(program)
}

#[inline(always)]
fn worker(ctx: &BtfTracePointContext, program: Program) -> Option<Worker> {
    let current = task(program)?;
    let (wb, work) = (Typed::arg(ctx, 0), Typed::arg(ctx, 1));
    Some(Worker::of(current, program, wb, work))
}
