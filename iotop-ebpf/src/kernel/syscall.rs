//! The system call that the current task is in.

use aya_ebpf::helpers::generated::{
    bpf_get_current_task, bpf_get_current_task_btf, bpf_task_pt_regs,
};
use iotop_common::FlushId;

use super::{layout::layout, memory::read, typed::Typed};

/// The current task's system call; `FlushId::NONE` where it is not known.
#[inline(always)]
pub fn current_syscall() -> FlushId {
    if layout!(regs_syscall) == 0 {
        return FlushId::NONE;
    }
    if layout!(task_stack_vm_area) != 0 {
        return syscall_on_stack().unwrap_or(FlushId::NONE);
    }
    // SAFETY: the helpers take the current task, which is alive.
    let regs = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) };
    let regs = Typed::new(regs as *const u8);
    FlushId::syscall(regs.field(layout!(regs_syscall)))
}

/// The same without the helper (before 5.15). The registers with which a task entered
/// the kernel lie at the top of its stack (`task_pt_regs`).
#[inline(always)]
fn syscall_on_stack() -> Option<FlushId> {
    // SAFETY: a helper without arguments.
    let task = unsafe { bpf_get_current_task() };
    let area = read::<u64>(task, layout!(task_stack_vm_area))?;
    let pages = read::<u32>(area, layout!(vm_nr_pages))?;
    let stack = read::<u64>(task, layout!(task_stack))?;
    let top = stack + (u64::from(pages) << layout!(page_shift));
    let regs = top - u64::from(layout!(regs_size));
    Some(FlushId::syscall(read(regs, layout!(regs_syscall))?))
}

/// What the current task's system call writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SystemCall {
    /// What the task itself changed: fsync(2), fdatasync(2).
    Fsync,
    /// What other tasks left: sync(2), syncfs(2), umount2(2).
    Sync,
    /// Any other call, or one that is not known.
    Other,
}

/// The kind of the current task's system call.
#[inline(always)]
pub fn system_call() -> SystemCall {
    let call = current_syscall();
    let is = |number: u32| call == FlushId::syscall(i64::from(number));
    if is(layout!(sys_fsync)) || is(layout!(sys_fdatasync)) {
        SystemCall::Fsync
    } else if is(layout!(sys_sync)) || is(layout!(sys_syncfs)) || is(layout!(sys_umount2)) {
        SystemCall::Sync
    } else {
        SystemCall::Other
    }
}
