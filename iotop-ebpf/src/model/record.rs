//! Sends records to the user half that are only as long as what they hold.

use aya_ebpf::{bindings::BPF_RB_NO_WAKEUP, maps::RingBuf};
use iotop_common::Lost;

use crate::{counters::lose, kernel::verifier::opaque};

/// Sends a record: its first `head` bytes, and `bytes` of what follows. Counts a loss and
/// returns `false` where the ring buffer has no room. `record` lies in a map.
#[inline(always)]
pub fn send<T>(ring: &RingBuf, record: &mut T, head: usize, bytes: usize, lost: Lost) -> bool {
    let record = opaque(record);
    let length = head + bytes.min(size_of::<T>() - head);
    // SAFETY: within the record.
    let record =
        unsafe { core::slice::from_raw_parts(core::ptr::from_ref(record).cast::<u8>(), length) };
    let sent = ring
        .output::<[u8]>(record, u64::from(BPF_RB_NO_WAKEUP))
        .is_ok();
    if !sent {
        lose(lost, 1);
    }
    sent
}
