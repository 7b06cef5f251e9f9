//! Owner slots: the current task's, found or handed out.

use aya_ebpf::{
    bindings::BPF_ANY,
    helpers::{
        bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_get_current_pid_tgid,
        bpf_get_current_task, bpf_get_current_uid_gid,
    },
};
use iotop_common::{
    Lost, Owner, OwnerRef,
    owner::{OWNER_EXITED, OWNER_KTHREAD},
    tag::{SLOT_OVERFLOW, SLOTS, Slot},
};

use crate::{
    count::lose,
    kernel::{PF_EXITING, PF_KTHREAD, layout, now, read},
    maps::{FREE, OWNERS, SLOT_OF},
};

/// The current task's slot and its element; `SLOT_OVERFLOW` where none is free.
#[inline(always)]
pub fn current() -> Option<(Slot, *mut Owner)> {
    let slot = current_slot();
    OWNERS.get_ptr_mut(slot).map(|owner| (slot, owner))
}

#[inline(always)]
fn current_slot() -> Slot {
    let tid = bpf_get_current_pid_tgid() as u32;
    // SAFETY: a helper without arguments.
    let task = unsafe { bpf_get_current_task() };
    let Some(start_boottime) = read::<u64>(task, layout!(task_start_boottime)) else {
        return SLOT_OVERFLOW;
    };
    // SAFETY: the value is only read, and only by this task's own programs.
    if let Some(known) = unsafe { SLOT_OF.get(tid) }
        && known.start_boottime == start_boottime
    {
        return known.slot;
    }
    hand_out(tid, task, start_boottime)
}

/// A task seen for the first time: gives it a slot and remembers its name.
#[inline(never)]
fn hand_out(tid: u32, task: u64, start_boottime: u64) -> Slot {
    let Ok(Some(slot)) = FREE.pop() else {
        lose(Lost::OwnerSlots, 1);
        return SLOT_OVERFLOW;
    };
    let Some(owner) = OWNERS.get_ptr_mut(slot) else {
        return SLOT_OVERFLOW;
    };
    let task_flags = read::<u32>(task, layout!(task_flags)).unwrap_or(0);
    let parent = read::<u64>(task, layout!(task_real_parent)).unwrap_or(0);
    let ppid = read::<u32>(parent, layout!(task_tgid)).unwrap_or(0);
    let mut flags = 0;
    if task_flags & PF_KTHREAD != 0 {
        flags |= OWNER_KTHREAD;
    }
    if task_flags & PF_EXITING != 0 {
        flags |= OWNER_EXITED;
    }
    // SAFETY: the slot was free, so nobody else writes to its element.
    unsafe {
        *owner = Owner {
            start_boottime,
            cgroup_id: bpf_get_current_cgroup_id(),
            first_seen_ns: now(),
            tid,
            tgid: (bpf_get_current_pid_tgid() >> 32) as u32,
            ppid,
            uid: bpf_get_current_uid_gid() as u32,
            flags,
            generation: (*owner).generation + 1,
            comm: bpf_get_current_comm().unwrap_or_default(),
            ..Owner::default()
        };
    }
    let known = OwnerRef {
        start_boottime,
        slot,
        _reserved: 0,
    };
    if SLOT_OF.insert(tid, known, u64::from(BPF_ANY)).is_err() {
        lose(Lost::SlotOf, 1);
    }
    slot & (SLOTS - 1)
}
