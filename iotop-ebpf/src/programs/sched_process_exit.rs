//! A task exits: the last chance to learn its counters and its name.

use aya_ebpf::{
    bindings::BPF_ANY,
    helpers::generated::bpf_get_current_task,
    macros::{btf_tracepoint, map},
    maps::LruHashMap,
    programs::BtfTracePointContext,
};
use iotop_common::{IdleExit, Lost, TaskRecord, owner::OWNER_EXITED, task::TASK_EXITED};

use crate::{
    counters::lose,
    kernel::{layout::layout, typed::Typed},
    maps::{EXITS, EXITS_BYTES, OWNERS, SEEN, SLOT_OF},
    model::{crowd, task, wake},
};

/// The tasks that `task_exited` has handled and `task_exited_again` has not yet seen:
/// each task's start, by its tid. Used only where `task_exited_again` is loaded.
#[map]
static TOLD: LruHashMap<u32, u64> = LruHashMap::with_max_entries(256, 0);

/// Fires in the exiting task's own context.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn task_exited(ctx: BtfTracePointContext) -> i32 {
    let record = exited(Typed::arg(&ctx, 0));
    if layout!(preemptible) != 0 {
        let _ = TOLD.insert(record.tid, record.start_boottime, u64::from(BPF_ANY));
    }
    0
}

/// Runs second, on kernels where a task may be preempted inside a tracepoint. Handles
/// the tasks that the kernel skipped `task_exited` for.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn task_exited_again(ctx: BtfTracePointContext) -> i32 {
    let task = Typed::arg(&ctx, 0);
    let tid: u32 = task.field(layout!(task_pid));
    let start_boottime: u64 = task.field(layout!(task_start_boottime));
    // SAFETY: a copy of one word.
    if unsafe { TOLD.get(tid) }.copied() == Some(start_boottime) {
        let _ = TOLD.remove(tid);
    } else {
        exited(task);
        lose(Lost::Recovered, 1);
    }
    0
}

/// True if the last pass over all tasks handed over the counters that the task exits with.
#[inline(always)]
fn was_idle(record: &TaskRecord) -> bool {
    SEEN.get(record.tid & layout!(seen_mask))
        .is_some_and(|seen| {
            seen.start_boottime == record.start_boottime as u32 && seen.mark == 1 + record.mark()
        })
}

/// Sends the record of a task that exits, and updates its slot. The task's name may have
/// changed since it was first seen: a shell reads the program that it then becomes.
#[inline(always)]
fn exited(task: Typed) -> TaskRecord {
    // SAFETY: a helper without arguments.
    let address = unsafe { bpf_get_current_task() };
    let mut record = task::record(task, address);
    record.flags |= TASK_EXITED;
    let flags = wake::if_filling(&EXITS, EXITS_BYTES);
    let sent = match was_idle(&record) {
        true => EXITS.output::<IdleExit>(
            &IdleExit {
                task: record.task,
                start_boottime: record.start_boottime,
                tid: record.tid,
                _reserved: 0,
            },
            flags,
        ),
        false => EXITS.output::<TaskRecord>(&record, flags),
    };
    if sent.is_err() {
        lose(Lost::ExitRecords, 1);
    }
    crowd::leave(record.tid);
    // SAFETY: a copy of one word.
    let Some(slot) = unsafe { SLOT_OF.get(record.tid) }.copied() else {
        return record;
    };
    if let Some(owner) = OWNERS.get_ptr_mut(slot)
        // SAFETY: a map value; an element that another task left is not touched.
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
