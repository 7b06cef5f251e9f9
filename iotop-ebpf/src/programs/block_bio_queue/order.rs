//! Which of the programs on `block_bio_queue` counts a bio.

use iotop_common::{BIO_PROGRAMS, Lost};

use crate::{
    counters::lose,
    kernel::typed::Typed,
    model::{current::Current, partition::fingerprint},
};

// The programs, in the order in which they run for a bio.
pub const FIRST: u32 = 0;
pub const AGAIN: u32 = 1;
pub const AT_LAST: u32 = BIO_PROGRAMS - 1;

/// True if an earlier program on this hook already counted this bio. Each program
/// records that in the task's slot. For a task without a slot of its own the last
/// program counts every bio, because the task may get a slot between two programs.
#[inline(always)]
pub fn already_counted<const ORDER: u32>(current: &Current, bio: Typed) -> bool {
    if !current.has_own_slot() {
        return ORDER != AT_LAST;
    }
    let fingerprint = fingerprint(current, bio);
    // SAFETY: a map value; only the task itself writes this field.
    let submitted = unsafe { &mut (*current.owner).submitted };
    let before = *submitted;
    *submitted = fingerprint | ORDER;
    if ORDER == FIRST {
        return false;
    }
    // A record of this program, or of a later one, is about an earlier bio.
    if (fingerprint..fingerprint | ORDER).contains(&before) {
        return true;
    }
    lose(Lost::Recovered, 1);
    false
}
