//! Wakes the user half before a table or a buffer is full, so that it need not look often.

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    maps::RingBuf,
};

use crate::maps::WAKE;

/// Wakes the user half, unless it was woken and has not looked yet.
#[inline(always)]
pub fn user_half() {
    if WAKE.query(u64::from(BPF_RB_AVAIL_DATA)) == 0 {
        let _ = WAKE.output::<u64>(&0, u64::from(BPF_RB_FORCE_WAKEUP));
    }
}

/// The flags for a record in a buffer of `size` bytes. Wakes the user half if a quarter of the
/// buffer is full.
#[inline(always)]
pub fn if_filling(buffer: &RingBuf, size: u32) -> u64 {
    if buffer.query(u64::from(BPF_RB_AVAIL_DATA)) > u64::from(size / 4) {
        user_half();
    }
    u64::from(BPF_RB_NO_WAKEUP)
}
