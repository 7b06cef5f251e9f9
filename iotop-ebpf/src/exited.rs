//! Task exit: the last chance to learn a task's counters and its name.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_RB_NO_WAKEUP},
    helpers::generated::bpf_get_current_task,
    macros::{btf_tracepoint, map},
    maps::LruHashMap,
    programs::BtfTracePointContext,
};
use iotop_common::{Lost, TaskRecord, owner::OWNER_EXITED, task::TASK_EXITED};

use crate::{
    count::lose,
    kernel::{Typed, layout},
    maps::{EXITS, OWNERS, SLOT_OF},
    task,
};

/// By tid, when each task began that `task_exited` has told of and
/// `task_exited_again` has not met yet, where there is that.
#[map]
static TOLD: LruHashMap<u32, u64> = LruHashMap::with_max_entries(256, 0);

/// Fires in the exiting task's own context.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn task_exited(ctx: BtfTracePointContext) -> i32 {
    let record = tell(Typed::arg(&ctx, 0));
    if layout!(preemptible) != 0 {
        let _ = TOLD.insert(record.tid, record.start_boottime, u64::from(BPF_ANY));
    }
    0
}

/// Comes after it where a task may be preempted inside of a tracepoint, for tasks
/// that `task_exited` was kept from.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn task_exited_again(ctx: BtfTracePointContext) -> i32 {
    let task = Typed::arg(&ctx, 0);
    let tid: u32 = task.field(layout!(task_pid));
    let start_boottime: u64 = task.field(layout!(task_start_boottime));
    // SAFETY: a copy of one word.
    if unsafe { TOLD.get(tid) }.copied() == Some(start_boottime) {
        let _ = TOLD.remove(tid);
    } else {
        tell(task);
        lose(Lost::Recovered, 1);
    }
    0
}

/// Tells of a task that exits. Its command may have changed since it was first
/// seen: a shell reads the program it is about to become.
#[inline(always)]
fn tell(task: Typed) -> TaskRecord {
    // SAFETY: a helper without arguments.
    let address = unsafe { bpf_get_current_task() };
    let mut record = task::record(task, address);
    record.flags |= TASK_EXITED;
    let no_wakeup = u64::from(BPF_RB_NO_WAKEUP);
    if EXITS.output::<TaskRecord>(&record, no_wakeup).is_err() {
        lose(Lost::ExitRecords, 1);
    }
    // SAFETY: a copy of one word.
    let Some(slot) = unsafe { SLOT_OF.get(record.tid) }.copied() else {
        return record;
    };
    if let Some(owner) = OWNERS.get_ptr_mut(slot)
        // SAFETY: a map value; what was left of another task is not touched.
        && unsafe { (*owner).start_boottime == record.start_boottime }
    {
        // SAFETY: only the task itself writes these fields.
        unsafe {
            (*owner).flags |= OWNER_EXITED;
            (*owner).uid = record.uid;
            (*owner).comm = record.comm;
        }
    }
    let _ = SLOT_OF.remove(record.tid);
    record
}
