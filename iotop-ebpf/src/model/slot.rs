//! Owner slots: finds a task's slot, or assigns one.

use aya_ebpf::{
    bindings::BPF_ANY,
    helpers::{bpf_get_current_cgroup_id, bpf_get_current_pid_tgid, generated},
};
use iotop_common::{
    Lost, Owner,
    owner::{OWNER_EXITED, OWNER_KTHREAD},
    tag::{SLOT_OVERFLOW, SLOTS, Slot},
};

use crate::{
    counters::lose,
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
    assign(tid, task, start_boottime)
}

/// Gives a slot to a task that is seen for the first time, and records its name.
#[inline(always)]
fn assign(tid: u32, task: u64, start_boottime: u64) -> Slot {
    let Ok(Some(slot)) = FREE.pop() else {
        lose(Lost::OwnerSlots, 1);
        return SLOT_OVERFLOW;
    };
    let Some(owner) = OWNERS.get_ptr_mut(slot) else {
        return SLOT_OVERFLOW;
    };
    let task_flags: u32 = read_or_zero(task, layout!(task_flags));
    let parent: u64 = read_or_zero(task, layout!(task_real_parent));
    let ppid = read_or_zero(parent, layout!(task_tgid));
    let cred: u64 = read_or_zero(task, layout!(task_cred));
    let uid = read_or_zero(cred, layout!(cred_euid));
    let mut flags: u16 = 0;
    if task_flags & PF_KTHREAD != 0 {
        flags |= OWNER_KTHREAD;
    }
    if task_flags & PF_EXITING != 0 {
        flags |= OWNER_EXITED;
    }
    // A kernel without cgroups has no such helper.
    let cgroup_id = match layout!(task_cgroups) {
        0 => 0,
        // SAFETY: a helper without arguments.
        _ => unsafe { bpf_get_current_cgroup_id() },
    };
    // SAFETY: the slot was free, so no other task writes to its element.
    let owner = unsafe { &mut *owner };
    let generation = owner.generation + 1;
    clear(owner);
    owner.start_boottime = start_boottime;
    owner.cgroup_id = cgroup_id;
    owner.tid = tid;
    owner.tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    owner.ppid = ppid;
    owner.uid = uid;
    owner.flags = flags;
    owner.generation = generation;
    owner.assigned = now().0 as u16;
    record_name(owner);
    if SLOT_OF.insert(tid, slot, u64::from(BPF_ANY)).is_err() {
        lose(Lost::SlotOf, 1);
    }
    slot & (SLOTS - 1)
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
