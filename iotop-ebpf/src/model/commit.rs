//! The transaction that a task commits (fs/jbd2/commit.c). What the task submits meanwhile is the
//! journal's log.

use iotop_common::{
    owner::OWNER_COMMITS,
    tag::{SLOT_NONE, Slot},
};

use super::{
    at_journal::{last, remember},
    current::Current,
    journal::{deal_block, of_transaction},
};
use crate::maps::OWNERS;

/// The current task begins to commit a transaction of the file system on a device.
#[inline(always)]
pub fn begin(current: &Current, journal: u64, dev: u32, tid: u32) {
    remember(current.slot, journal, u64::from(dev) << 32 | u64::from(tid));
    // SAFETY: a map value; only the task itself writes this field.
    unsafe { (*current.owner).flags |= OWNER_COMMITS };
}

/// It has ended.
#[inline(always)]
pub fn end(current: &Current) {
    // SAFETY: as above.
    unsafe { (*current.owner).flags &= !OWNER_COMMITS };
}

/// Whether the task of a slot commits a transaction.
#[inline(always)]
pub fn is_committing(slot: Slot) -> bool {
    OWNERS
        .get_ptr(slot)
        // SAFETY: a map value; one field is read.
        .is_some_and(|owner| unsafe { (*owner).flags & OWNER_COMMITS != 0 })
}

/// The owner of the next block that the task of a slot writes to the log, or of that block's
/// home; `SLOT_NONE` where nobody is known.
#[inline(always)]
pub fn deal(slot: Slot) -> Slot {
    match last(slot) {
        Some(commit) => deal_block((commit >> 32) as u32, of_transaction(commit as u32)),
        None => SLOT_NONE,
    }
}
