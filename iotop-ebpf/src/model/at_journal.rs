//! What each task did last with a journal.

use aya_ebpf::{macros::map, maps::Array};
use iotop_common::tag::{SLOTS, Slot};

/// A number that a task keeps from one event of a journal to the next.
#[repr(C)]
#[derive(Clone, Copy)]
struct AtJournal {
    /// ext4's `journal_s`, or xfs's `xfs_mount`; 0: none.
    journal: u64,
    number: u64,
}

/// What each task did last, by the task's slot.
#[map]
static AT_JOURNAL: Array<AtJournal> = Array::with_max_entries(SLOTS, 0);

/// Keeps a number until the task's next event.
#[inline(always)]
pub fn remember(slot: Slot, journal: u64, number: u64) {
    if let Some(last) = AT_JOURNAL.get_ptr_mut(slot) {
        // SAFETY: a map value; only the task itself writes it.
        unsafe { *last = AtJournal { journal, number } };
    }
}

/// The number that was kept, if it is about this journal.
#[inline(always)]
pub fn remembered(slot: Slot, journal: u64) -> Option<u64> {
    let last = AT_JOURNAL.get(slot)?;
    (last.journal == journal).then_some(last.number)
}

/// The number that was kept, whatever its journal.
#[inline(always)]
pub fn last(slot: Slot) -> Option<u64> {
    AT_JOURNAL.get(slot).map(|last| last.number)
}

/// The same as [`remembered`], once.
#[inline(always)]
pub fn recall(slot: Slot, journal: u64) -> Option<u64> {
    let number = remembered(slot, journal)?;
    remember(slot, 0, 0);
    Some(number)
}
