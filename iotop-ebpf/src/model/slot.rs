//! Owner slots: finds a task's slot, or assigns one.

use aya_ebpf::{
    bindings::BPF_ANY,
    helpers::{bpf_get_current_cgroup_id, bpf_get_current_pid_tgid, generated},
};
use iotop_common::{
    Lost, Owner,
    owner::{OWNER_EXITED, OWNER_KTHREAD},
    tag::{SLOT_OVERFLOW, SLOTS, Slot, is_crowd},
};

use super::crowd::{TO_ASSIGN, slot_in_shortage};
use crate::{
    counters::{add, lose},
    kernel::{
        clock::now,
        constants::{PF_EXITING, PF_KTHREAD},
        layout::layout,
        memory::read_or_zero,
        verifier::clear,
    },
    maps::{FREE, OWNERS, SLOT_OF},
};

/// The current task's slot. `task` is the address of its `task_struct`.
#[inline(never)]
pub fn look_up(task: u64, start_boottime: u64) -> Slot {
    let tid = bpf_get_current_pid_tgid() as u32;
    // SAFETY: a copy of one word.
    if let Some(slot) = unsafe { SLOT_OF.get(tid) }.copied()
        && let Some(owner) = OWNERS.get_ptr(slot)
        // SAFETY: a map value; the user half writes `retired`. Another task that
        // had this tid started at another time.
        && unsafe { (*owner).start_boottime == start_boottime && (*owner).retired == 0 }
    {
        return slot;
    }
    let slot = match FREE.pop() {
        Ok(Some(slot)) => slot | TO_ASSIGN,
        _ => slot_in_shortage(task),
    };
    match slot & TO_ASSIGN {
        0 => slot,
        _ => assign(slot & !TO_ASSIGN, task, start_boottime),
    }
}

/// Gives a free slot to the current task, and records its name. A global function, see the
/// crate documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn assign(slot: u32, task: u64, start_boottime: u64) -> u32 {
    let Some(owner) = OWNERS.get_ptr_mut(slot) else {
        return SLOT_OVERFLOW;
    };
    let task_flags: u32 = read_or_zero(task, layout!(task_flags));
    let parent: u64 = read_or_zero(task, layout!(task_real_parent));
    let mut flags: u16 = 0;
    if task_flags & PF_KTHREAD != 0 {
        flags |= OWNER_KTHREAD;
    }
    if task_flags & PF_EXITING != 0 {
        flags |= OWNER_EXITED;
    }
    let tid = bpf_get_current_pid_tgid() as u32;
    // SAFETY: the slot was free, so no other task writes to its element.
    let owner = unsafe { &mut *owner };
    let generation = owner.generation + 1;
    clear(owner);
    owner.start_boottime = start_boottime;
    owner.cgroup_id = cgroup_id();
    owner.tid = tid;
    owner.tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    owner.ppid = read_or_zero(parent, layout!(task_tgid));
    owner.uid = uid(task);
    owner.flags = flags;
    owner.generation = generation;
    owner.assigned = now().0 as u16;
    record_name(owner);
    if SLOT_OF.insert(tid, slot, u64::from(BPF_ANY)).is_err() {
        lose(Lost::SlotOf, 1);
    }
    slot & (SLOTS - 1)
}

/// The current task's cgroup.
#[inline(always)]
pub fn cgroup_id() -> u64 {
    match layout!(task_cgroups) {
        // A kernel without cgroups has no such helper.
        0 => 0,
        // SAFETY: a helper without arguments.
        _ => unsafe { bpf_get_current_cgroup_id() },
    }
}

/// A task's effective user.
#[inline(always)]
pub fn uid(task: u64) -> u32 {
    let cred: u64 = read_or_zero(task, layout!(task_cred));
    read_or_zero(cred, layout!(cred_euid))
}

/// Counts pages that the task of a slot dirtied. Several tasks count in the element of a crowd
/// at once; in any other one, only the task itself.
#[inline(always)]
pub fn count_tagged(slot: Slot, owner: *mut Owner, pages: u64) {
    // SAFETY: a map value; only the field's address is taken.
    let tagged = unsafe { &raw mut (*owner).tagged_pages };
    match is_crowd(slot) {
        true => add(tagged, pages),
        // SAFETY: as above; the task is on one CPU at a time.
        false => unsafe { *tagged += pages },
    }
}

/// Records the current task's name in its slot.
#[inline(always)]
pub fn record_name(owner: *mut Owner) {
    // SAFETY: a map value; `comm` has 16 bytes, and the helper ends them with a zero.
    // Only the task itself writes this field.
    unsafe { generated::bpf_get_current_comm((&raw mut (*owner).comm).cast(), 16) };
}

/// Whether the task is a kernel thread.
///
/// # Safety
///
/// `owner` is an element of `OWNERS`.
#[inline(always)]
pub unsafe fn is_kthread(owner: *const Owner) -> bool {
    // SAFETY: the flag is set before the slot is assigned.
    unsafe { (*owner).flags & OWNER_KTHREAD != 0 }
}
