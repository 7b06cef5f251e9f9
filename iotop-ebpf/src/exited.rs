//! Task exit: the last chance to learn the task's name.

use aya_ebpf::{
    helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_current_uid_gid},
    macros::raw_tracepoint,
    programs::RawTracePointContext,
};
use iotop_common::owner::OWNER_EXITED;

use crate::maps::{OWNERS, SLOT_OF};

/// Fires in the exiting task's own context. Its command may have changed since
/// it was first seen: a shell reads the program it is about to become.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn task_exited(_: RawTracePointContext) -> i32 {
    let tid = bpf_get_current_pid_tgid() as u32;
    // SAFETY: the value is only read, and only by this task's own programs.
    let Some(slot) = (unsafe { SLOT_OF.get(tid) }).map(|known| known.slot) else {
        return 0;
    };
    if let Some(owner) = OWNERS.get_ptr_mut(slot) {
        // SAFETY: only the task itself writes these fields.
        unsafe {
            (*owner).flags |= OWNER_EXITED;
            (*owner).uid = bpf_get_current_uid_gid() as u32;
            if let Ok(comm) = bpf_get_current_comm() {
                (*owner).comm = comm;
            }
        }
    }
    let _ = SLOT_OF.remove(tid);
    0
}
