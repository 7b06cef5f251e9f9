//! Waiting until no eBPF program still works for the previous epoch.

use std::{thread, time::Duration};

/// `MEMBARRIER_CMD_GLOBAL` of include/uapi/linux/membarrier.h: kernel/sched/membarrier.c
/// answers it with `synchronize_rcu`, and tracing programs run inside an RCU
/// read-side section.
const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;

/// Far longer than a program runs, for kernels that refuse the barrier (nohz_full).
const LONG_ENOUGH: Duration = Duration::from_millis(50);

/// Returns when every program that was running at the call has ended.
pub fn wait() {
    // SAFETY: membarrier takes plain numbers.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if result != 0 {
        thread::sleep(LONG_ENOUGH);
    }
}
