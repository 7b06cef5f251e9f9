//! Owner slots: the current task's, found or handed out.

use aya_ebpf::{
    bindings::BPF_ANY,
    helpers::{
        bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_get_current_pid_tgid,
        generated::{self, bpf_get_current_task, bpf_get_current_task_btf},
    },
};
use iotop_common::{
    Lost, Owner,
    owner::{OWNER_EXITED, OWNER_JOURNAL, OWNER_KTHREAD},
    tag::{SLOT_OVERFLOW, SLOTS, Slot},
};

use crate::{
    count::lose,
    kernel::{PF_EXITING, PF_KTHREAD, Typed, clear, layout, read, read_or_zero},
    maps::{FREE, LAST, OWNERS, SLOT_OF},
    submitted::{Charged, Submitter},
};

/// Which program asks: each has a memory of its own.
#[derive(Clone, Copy)]
pub enum Asker {
    Dirtied = 0,
    Submitted = 1,
    Flush = 2,
    Round = 3,
    Ended = 4,
    Queue = 5,
    Throttled = 6,
    Inode = 7,
    SubmittedAgain = 8,
    LetThrough = 9,
    Remapped = 10,
    Offered = 11,
    SubmittedAtLast = 12,
    OfferedAgain = 13,
    LetThroughAgain = 14,
    CopiedDelayed = 15,
    Copied = 16,
    Journalled = 17,
    Iterated = 18,
    Delayed = 19,
}

impl Asker {
    pub const COUNT: u32 = 20;
}

/// What a CPU remembers of the task that was there last, so that most events
/// need no look-up at all.
#[repr(C)]
pub struct Last {
    /// The address of the task's `task_struct`.
    task: u64,
    start_boottime: u64,
    /// The address space it dirtied last.
    pub mapping: u64,
    /// A typed pointer is stored here to be read back as a number: the
    /// verifier allows no arithmetic on the former.
    pub number: u64,
    slot: Slot,
    /// What `mapping` is: one of the `MAPPING_*` values.
    pub kind: u32,
    /// Who submits the bio at hand. What follows a value from memory is verified
    /// once, and not for each of the ways in which it came about.
    pub submitter: Submitter,
    /// To whom it is charged.
    pub charged: Charged,
}

/// The current task as an owner.
pub struct Current {
    /// Its slot; `SLOT_OVERFLOW` where none was free.
    pub slot: Slot,
    /// The slot's element.
    pub owner: *mut Owner,
    /// What this CPU remembers of it.
    pub last: *mut Last,
}

/// The current task's slot: remembered, looked up, or handed out.
#[inline(always)]
pub fn current(asker: Asker) -> Option<Current> {
    let last = LAST.get_ptr_mut(asker as u32)?;
    // SAFETY: a map value of this CPU, and only this program's.
    let (address, start_boottime) = current_task(unsafe { &raw mut (*last).number })?;
    let known = unsafe { (*last).task == address && (*last).start_boottime == start_boottime };
    if known {
        let slot = unsafe { (*last).slot };
        let owner = OWNERS.get_ptr_mut(slot)?;
        // A CPU may remember a task so long that its slot has a new tenant.
        // SAFETY: a map value; the user half writes `retired`.
        let tenant = unsafe { (*owner).start_boottime == start_boottime && (*owner).retired == 0 };
        if tenant {
            return Some(Current { slot, owner, last });
        }
    }
    let slot = look_up(address, start_boottime);
    // SAFETY: as above.
    let remembered = unsafe { &mut *last };
    remembered.task = address;
    remembered.start_boottime = start_boottime;
    remembered.slot = slot;
    remembered.mapping = 0;
    let owner = OWNERS.get_ptr_mut(slot)?;
    Some(Current { slot, owner, last })
}

/// The current task's address and its `start_boottime`.
#[inline(always)]
fn current_task(number: *mut u64) -> Option<(u64, u64)> {
    if layout!(current_is_typed) == 0 {
        // SAFETY: a helper without arguments.
        let address = unsafe { bpf_get_current_task() };
        return Some((address, read(address, layout!(task_start_boottime))?));
    }
    // SAFETY: a helper without arguments.
    let task = Typed::from_helper(unsafe { bpf_get_current_task_btf() });
    let start_boottime = task.field(layout!(task_start_boottime));
    Some((task.number(number), start_boottime))
}

#[inline(never)]
fn look_up(task: u64, start_boottime: u64) -> Slot {
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
    hand_out(tid, task, start_boottime)
}

/// A task seen for the first time: gives it a slot and remembers its name.
#[inline(always)]
fn hand_out(tid: u32, task: u64, start_boottime: u64) -> Slot {
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
    let mut flags = 0;
    if task_flags & PF_KTHREAD != 0 {
        flags |= OWNER_KTHREAD;
    }
    if task_flags & PF_EXITING != 0 {
        flags |= OWNER_EXITED;
    }
    if task_flags & PF_KTHREAD != 0 && is_jbd2() {
        flags |= OWNER_JOURNAL;
    }
    // A kernel without cgroups has no such helper.
    let cgroup_id = match layout!(task_cgroups) {
        0 => 0,
        // SAFETY: a helper without arguments.
        _ => unsafe { bpf_get_current_cgroup_id() },
    };
    // SAFETY: the slot was free, so nobody else writes to its element.
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
    take_name(owner);
    if SLOT_OF.insert(tid, slot, u64::from(BPF_ANY)).is_err() {
        lose(Lost::SlotOf, 1);
    }
    slot & (SLOTS - 1)
}

/// Whether the current task is a journal's thread (`kjournald2` of fs/jbd2/journal.c).
#[inline(always)]
fn is_jbd2() -> bool {
    bpf_get_current_comm().is_ok_and(|comm| comm[..5] == *b"jbd2/")
}

/// Whether the task writes a journal's log.
///
/// # Safety
///
/// `owner` is an element of `OWNERS`.
#[inline(always)]
pub unsafe fn is_journal(owner: *const Owner) -> bool {
    // SAFETY: the flag is set before the slot is handed out.
    unsafe { (*owner).flags & OWNER_JOURNAL != 0 }
}

/// The slot has the name that the current task has now.
#[inline(always)]
pub fn take_name(owner: *mut Owner) {
    // SAFETY: a map value; so many bytes are there, and the helper ends them with a
    // zero. Only the task itself writes this field.
    unsafe { generated::bpf_get_current_comm((&raw mut (*owner).comm).cast(), 16) };
}

/// Whether the task is a kernel thread.
///
/// # Safety
///
/// `owner` is an element of `OWNERS`.
#[inline(always)]
pub unsafe fn is_kthread(owner: *const Owner) -> bool {
    // SAFETY: the flag is set before the slot is handed out.
    unsafe { (*owner).flags & OWNER_KTHREAD != 0 }
}
