//! The kernel half of iotop-trace: follows each dirty page from the task that
//! dirtied it to the bio that wrote it.
//!
//! Most programs hang on tracepoints. Those of hot paths are BTF
//! tracepoints: what their arguments point to can be read without a helper.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod cached;
mod charge;
mod count;
mod dirtied;
mod dropped;
mod exited;
mod flush;
mod held_back;
mod inode;
mod kernel;
mod mappings;
mod maps;
mod names;
mod once;
mod owners;
mod page;
mod remapped;
mod retag;
mod submitted;
mod task;
mod tasks;
mod throttled;
mod waiting;
mod walk;
mod writing;

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// Helpers such as `bpf_probe_read_kernel` are for GPL-compatible programs.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
