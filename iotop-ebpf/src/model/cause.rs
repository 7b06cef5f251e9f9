//! What makes a file system's journal commit: counts the causes while the user half wants
//! flushes.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST},
    macros::map,
    maps::LruHashMap,
};
use iotop_common::{Cause, CauseKey, FlushId, Lost};

use super::{
    control::control,
    current::{Current, current},
    program::Program,
    slot::is_kthread,
};
use crate::{
    counters::{add, lose},
    kernel::syscall::current_syscall,
    maps::{CAUSES_EVEN, CAUSES_ODD},
};

/// What a task did last with a journal, see [`remember`].
#[map]
static LAST_SEEN: LruHashMap<TaskAndJournal, u64> = LruHashMap::with_max_entries(2 * 1024, 0);

/// A task and a journal: ext4's `journal_s`, or xfs's `xfs_mount`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TaskAndJournal {
    journal: u64,
    slot: u64,
}

impl TaskAndJournal {
    #[inline(always)]
    pub fn of(task: &Current, journal: u64) -> TaskAndJournal {
        TaskAndJournal {
            journal,
            slot: task.slot.into(),
        }
    }

    /// Keeps a number until the task's next event.
    #[inline(always)]
    pub fn remember(&self, value: u64) {
        let _ = LAST_SEEN.insert(self, value, u64::from(BPF_ANY));
    }

    /// The number that was kept.
    #[inline(always)]
    pub fn remembered(&self) -> Option<u64> {
        // SAFETY: a copy of one word.
        unsafe { LAST_SEEN.get(self) }.copied()
    }

    #[inline(always)]
    pub fn forget(&self) {
        let _ = LAST_SEEN.remove(self);
    }
}

/// A file system and the device with its log, as in [`CauseKey`].
#[derive(Clone, Copy)]
pub struct Journal {
    pub dev: u32,
    pub log: u32,
}

/// The current task, if the user half wants flushes.
#[inline(always)]
pub fn task(program: Program) -> Option<Current> {
    match control().flushes {
        0 => None,
        _ => current(program),
    }
}

/// Counts something that the current task did.
#[inline(always)]
pub fn count_of(task: &Current, journal: Journal, cause: Cause) {
    // A kernel thread is in no system call.
    // SAFETY: an element of `OWNERS`.
    let call = match unsafe { is_kthread(task.owner) } {
        true => FlushId::NONE,
        false => current_syscall(),
    };
    add_one(&CauseKey {
        dev: journal.dev,
        log: journal.log,
        cause: cause as u32,
        slot: task.slot,
        call: call.0,
    });
}

/// Counts something that no task did.
#[inline(always)]
pub fn count(journal: Journal, cause: Cause) {
    add_one(&CauseKey {
        dev: journal.dev,
        log: journal.log,
        cause: cause as u32,
        slot: 0,
        call: 0,
    });
}

#[inline(always)]
fn add_one(key: &CauseKey) {
    let causes = match control().epoch & 1 {
        0 => &CAUSES_EVEN,
        _ => &CAUSES_ODD,
    };
    for _ in 0..2 {
        if let Some(counter) = causes.get_ptr_mut(key) {
            add(counter, 1);
            return;
        }
        if causes.insert(key, 1, u64::from(BPF_NOEXIST)).is_ok() {
            return;
        }
        // Another CPU inserted the key first, or there is no room.
    }
    lose(Lost::Causes, 1);
}
