//! What makes a file system's journal commit: counts the causes.

use aya_ebpf::bindings::BPF_NOEXIST;
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
