//! The cost that every tracer has for an event: an empty program, and the smallest
//! program that counts. `cargo xtask bench attribution` compares the kernel half with
//! these, and `cargo xtask bench collect` compares it with an empty pass over all tasks.

#![no_std]
#![no_main]

use core::ffi::c_void;

use aya_ebpf::{
    helpers::bpf_get_current_pid_tgid,
    macros::{map, raw_tracepoint},
    maps::PerCpuHashMap,
    programs::RawTracePointContext,
};

/// Events by process.
#[map]
static COUNTS: PerCpuHashMap<u32, u64> = PerCpuHashMap::with_max_entries(10_240, 0);

/// Does nothing.
#[raw_tracepoint]
fn empty(_ctx: RawTracePointContext) -> i32 {
    0
}

/// Does nothing for each task.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub extern "C" fn walk(_ctx: *const c_void) -> i32 {
    0
}

/// Counts the event for the current process.
#[raw_tracepoint]
fn count(_ctx: RawTracePointContext) -> i32 {
    let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    match COUNTS.get_ptr_mut(&pid) {
        // SAFETY: the pointer is to this CPU's own value, and a raw tracepoint
        // is not interrupted by itself.
        Some(count) => unsafe { *count += 1 },
        // A full table only stops counting new processes.
        None => drop(COUNTS.insert(&pid, &1, 0)),
    }
    0
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
