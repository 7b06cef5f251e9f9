//! The kernel half of iotop-trace: follows each dirty page from the task that
//! dirtied it to the bio that wrote it.
//!
//! Imports run one way:
//!
//! | module       | what lives there                                               |
//! |--------------|----------------------------------------------------------------|
//! | [`programs`] | the entry points: one file for each hook or family of hooks    |
//! | [`model`]    | tags, slots, mappings, inodes, charges, facts: data and rules  |
//! | [`kernel`]   | reading the running kernel: layout, memory, typed pointers     |
//! | [`counters`] | adding to shared counters; counting what was lost              |
//! | [`maps`]     | the maps that the user half shares                             |
//!
//! Most programs attach to tracepoints. Those on hot paths are BTF tracepoints:
//! a program may read what their arguments point to without a helper.
//!
//! # Global functions
//!
//! An `extern "C"` function with `#[unsafe(no_mangle)]` and `#[inline(never)]` is a
//! *global function* of BPF. The verifier checks it once, on its own, and not again
//! at each call. Here, all arguments are plain numbers, and so is the result.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod counters;
mod kernel;
mod maps;
mod model;
mod programs;

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// Only GPL-compatible programs may call helpers such as `bpf_probe_read_kernel`.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
