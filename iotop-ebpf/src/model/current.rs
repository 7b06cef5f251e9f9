//! The current task as an owner.

use aya_ebpf::{
    helpers::generated::{bpf_get_current_task, bpf_get_current_task_btf},
    macros::map,
    maps::PerCpuArray,
};
use iotop_common::{
    Owner,
    tag::{SLOT_FIRST, Slot, is_crowd},
};

use super::{charge::Charged, program::Program, slot, submitter::Submitter};
use crate::{
    kernel::{layout::layout, memory::read, typed::Typed},
    maps::OWNERS,
};

/// The last task that each CPU saw, for each program.
#[map]
static LAST: PerCpuArray<LastTask> = PerCpuArray::with_max_entries(Program::COUNT, 0);

/// What a CPU remembers of the last task that it saw. Most events then need no look-up
/// at all.
#[repr(C)]
pub struct LastTask {
    /// The address of the task's `task_struct`.
    task: u64,
    start_boottime: u64,
    /// The mapping that the task dirtied last.
    pub mapping: u64,
    /// For [`Typed::address`].
    pub scratch: u64,
    slot: Slot,
    /// The kind of `mapping`, one of the `MAPPING_*` values.
    pub mapping_kind: u32,
    /// The submitter of the current bio. It lies in memory, so the verifier checks the code
    /// that follows once, and not once for each way in which the value can arise.
    pub submitter: Submitter,
    /// The charge of the current bio.
    pub charged: Charged,
    /// `page.mapping` of the first page that the current bio reads into; 0 if there is none.
    pub read_mapping: u64,
    /// The file that a bio read last, see `InodeKey`.
    pub read_ino: u64,
    pub read_file: u32,
    _reserved: u32,
}

/// The current task as an owner.
pub struct Current {
    /// Its slot, its crowd's where slots are short, or `SLOT_OVERFLOW`.
    pub slot: Slot,
    /// The slot's element.
    pub owner: *mut Owner,
    /// What this CPU remembers of it.
    pub last: *mut LastTask,
}

impl Current {
    /// Whether the task has a slot, of its own or its crowd's.
    #[inline(always)]
    pub fn has_slot(&self) -> bool {
        self.slot >= SLOT_FIRST
    }

    /// Whether the task has a slot of its own.
    #[inline(always)]
    pub fn has_own_slot(&self) -> bool {
        self.has_slot() && !is_crowd(self.slot)
    }
}

/// The current task and its slot. This CPU remembers the slot, or `SLOT_OF` has it, or
/// the task gets one now.
#[inline(always)]
pub fn current(program: Program) -> Option<Current> {
    let last = LAST.get_ptr_mut(program as u32)?;
    // SAFETY: a map value of this CPU, and only this program's.
    let (address, start_boottime) = current_task(unsafe { &raw mut (*last).scratch })?;
    // SAFETY: as above.
    let known = unsafe { (*last).task == address && (*last).start_boottime == start_boottime };
    if known {
        // SAFETY: as above.
        let slot = unsafe { (*last).slot };
        let owner = OWNERS.get_ptr_mut(slot)?;
        // A CPU may remember a task so long that its slot has a new tenant.
        // SAFETY: a map value; the user half writes `retired`.
        let tenant = unsafe { (*owner).start_boottime == start_boottime && (*owner).retired == 0 };
        if tenant {
            return Some(Current { slot, owner, last });
        }
    }
    let slot = slot::look_up(address, start_boottime);
    // SAFETY: as above.
    let remembered = unsafe { &mut *last };
    remembered.task = address;
    remembered.start_boottime = start_boottime;
    remembered.slot = slot;
    remembered.mapping = 0;
    let owner = OWNERS.get_ptr_mut(slot)?;
    Some(Current { slot, owner, last })
}

/// The current task, where it has a slot.
#[inline(always)]
pub fn with_slot(program: Program) -> Option<Current> {
    current(program).filter(Current::has_slot)
}

/// The current task, where it has a slot of its own.
#[inline(always)]
pub fn with_own_slot(program: Program) -> Option<Current> {
    current(program).filter(Current::has_own_slot)
}

/// What this CPU remembers for a program.
#[inline(always)]
pub fn last(program: u32) -> Option<&'static mut LastTask> {
    // SAFETY: a map value of this CPU, and only this program's.
    Some(unsafe { &mut *LAST.get_ptr_mut(program)? })
}

/// The word that the current program may use for [`Typed::address`].
#[inline(always)]
pub fn scratch(program: Program) -> Option<*mut u64> {
    let last = LAST.get_ptr_mut(program as u32)?;
    // SAFETY: a map value of this CPU, and only this program's.
    Some(unsafe { &raw mut (*last).scratch })
}

/// The current task's address and its `start_boottime`.
#[inline(always)]
fn current_task(scratch: *mut u64) -> Option<(u64, u64)> {
    if layout!(current_is_typed) == 0 {
        // SAFETY: a helper without arguments.
        let address = unsafe { bpf_get_current_task() };
        return Some((address, read(address, layout!(task_start_boottime))?));
    }
    // SAFETY: a helper without arguments.
    let task = Typed::new(unsafe { bpf_get_current_task_btf() });
    let start_boottime = task.field(layout!(task_start_boottime));
    Some((task.address(scratch), start_boottime))
}
