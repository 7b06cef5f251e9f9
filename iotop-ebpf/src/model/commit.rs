//! The transaction that a task commits (fs/jbd2/commit.c). What the task submits meanwhile is the
//! journal's log.

use aya_ebpf::{bindings::BPF_ANY, macros::map, maps::HashMap};
use iotop_common::{
    owner::OWNER_COMMITS,
    tag::{SLOT_NONE, Slot},
};

use super::{
    current::Current,
    journal::{deal_block, of_transaction},
};
use crate::maps::OWNERS;

/// A transaction.
#[repr(C)]
#[derive(Clone, Copy)]
struct Commit {
    /// The file system's device.
    dev: u32,
    tid: u32,
}

/// The transaction that each task commits, by the task's slot.
#[map]
static COMMITS: HashMap<u32, Commit> = HashMap::with_max_entries(256, 0);

/// The current task begins to write a transaction to the log.
#[inline(always)]
pub fn begin(current: &Current, dev: u32, tid: u32) {
    if COMMITS
        .insert(current.slot, Commit { dev, tid }, u64::from(BPF_ANY))
        .is_ok()
    {
        // SAFETY: a map value; only the task itself writes this field.
        unsafe { (*current.owner).flags |= OWNER_COMMITS };
    }
}

/// It has ended.
#[inline(always)]
pub fn end(current: &Current) {
    // SAFETY: as above.
    unsafe { (*current.owner).flags &= !OWNER_COMMITS };
    let _ = COMMITS.remove(current.slot);
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
    // SAFETY: a copy out of a map value; only the task itself writes it.
    match unsafe { COMMITS.get(slot) }.copied() {
        Some(commit) => deal_block(commit.dev, of_transaction(commit.tid)),
        None => SLOT_NONE,
    }
}
