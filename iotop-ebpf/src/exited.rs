//! Task exit: the last chance to learn a task's counters and its name.

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP, helpers::generated::bpf_get_current_task, macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use iotop_common::{Lost, TaskRecord, owner::OWNER_EXITED, task::TASK_EXITED};

use crate::{
    count::lose,
    kernel::Typed,
    maps::{EXITS, OWNERS, SLOT_OF},
    task,
};

/// Fires in the exiting task's own context. Its command may have changed since
/// it was first seen: a shell reads the program it is about to become.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn task_exited(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: a helper without arguments.
    let address = unsafe { bpf_get_current_task() };
    let mut record = task::record(Typed::arg(&ctx, 0), address);
    record.flags |= TASK_EXITED;
    let no_wakeup = u64::from(BPF_RB_NO_WAKEUP);
    if EXITS.output::<TaskRecord>(&record, no_wakeup).is_err() {
        lose(Lost::ExitRecords, 1);
    }
    // SAFETY: a copy of one word.
    let Some(slot) = unsafe { SLOT_OF.get(record.tid) }.copied() else {
        return 0;
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
    0
}
