//! Adds to counters that CPUs share, and counts what was lost.

use core::arch::asm;

use iotop_common::Lost;

use crate::maps::LOST;

/// Adds to a counter that other CPUs, and interrupts on this CPU, add to as well.
#[inline(always)]
pub fn add(counter: *mut u64, n: u64) {
    // SAFETY: counters are 8-byte fields of map values. `core` has no atomic
    // addition for this target. This one returns no result, so it is BPF_XADD, which
    // every kernel knows.
    unsafe { asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) counter, in(reg) n) };
}

/// Adds to a counter of four bytes in the same way.
#[inline(always)]
pub fn add_u32(counter: *mut u32, n: u32) {
    // SAFETY: as above, with 4-byte fields.
    unsafe { asm!("lock *(u32 *)({0} + 0) += {1}", in(reg) counter, in(reg) u64::from(n)) };
}

/// Counts a loss.
#[inline(always)]
pub fn lose(what: Lost, n: u64) {
    if let Some(counter) = LOST.get_ptr_mut(what as u32) {
        add(counter, n);
    }
}
