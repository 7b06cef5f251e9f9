//! The partition of a bio. Before 5.12 a bio already names the whole disk when
//! `block_bio_queue` fires.

use super::current::Current;
use crate::kernel::{layout::layout, typed::Typed};

/// Records the partition of the bio that the current task submits.
#[inline(always)]
pub fn record(current: &Current, bio: Typed, partition: u32) {
    let fingerprint = fingerprint(current, bio);
    // SAFETY: a map value; only the task itself writes these fields.
    unsafe {
        (*current.owner).submitted = fingerprint;
        (*current.owner).partition = partition;
    }
}

/// The partition of the bio that the current task submits, if it was recorded; else 0.
/// The record is used once: the next bio may have the same address.
#[inline(always)]
pub fn take(current: &Current, bio: Typed) -> u32 {
    if layout!(bio_bi_partno) == 0 || !current.has_own_slot() {
        return 0;
    }
    let fingerprint = fingerprint(current, bio);
    // SAFETY: as above.
    let owner = unsafe { &mut *current.owner };
    let same = owner.submitted == fingerprint;
    owner.submitted = 0;
    if same { owner.partition } else { 0 }
}

/// A number that tells a bio from others. It mixes the bio's address, which another bio
/// may have next, with its place on the device. The lowest two bits are free, see
/// `Owner::submitted`.
#[inline(always)]
pub fn fingerprint(current: &Current, bio: Typed) -> u32 {
    // SAFETY: a map value; the memory is this CPU's and only this program's.
    let address = bio.address(unsafe { &raw mut (*current.last).scratch });
    let sector: u64 = bio.field(layout!(bio_bi_sector));
    // Neighbours in memory may be neighbours on the device.
    let spread = (sector as u32).wrapping_mul(0x9e37_79b1);
    spread.wrapping_add((address >> 4) as u32) << 2
}
