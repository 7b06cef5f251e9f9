//! A task executes a program. The process may be gone before the user half looks into
//! /proc: this is the only chance to learn its arguments.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::generated::bpf_probe_read_user,
    macros::{btf_tracepoint, map},
    maps::PerCpuArray,
    programs::BtfTracePointContext,
};
use iotop_common::{Executed, ExecutedHead, Lost, executed::ARGUMENTS};

use crate::{
    counters::lose,
    kernel::{layout::layout, typed::Typed},
    maps::EXECUTED,
    model::{record::send, task},
};

/// The record under construction.
#[map]
static COMMAND: PerCpuArray<Executed> = PerCpuArray::with_max_entries(1, 0);

/// Fires in the task that executes a program, after the kernel has copied the arguments to
/// the new stack: they are in memory. `(task, old_pid, bprm)`.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn program_executed(ctx: BtfTracePointContext) -> i32 {
    executed(Typed::arg(&ctx, 0));
    0
}

#[inline(always)]
fn executed(task: Typed) -> Option<()> {
    // SAFETY: this CPU's element, and only this program's.
    let record = unsafe { &mut *COMMAND.get_ptr_mut(0)? };
    let mm = task.pointer(layout!(task_mm));
    let start: u64 = mm.field(layout!(mm_arg_start));
    let length = mm.field::<u64>(layout!(mm_arg_end)).wrapping_sub(start);
    // Any thread of the parent may have forked it.
    let parent = task
        .pointer(layout!(task_real_parent))
        .pointer(layout!(task_group_leader));
    let grandparent = parent.pointer(layout!(task_real_parent));
    record.head = ExecutedHead {
        start_boottime: task.field(layout!(task_start_boottime)),
        pid: task.field(layout!(task_tgid)),
        ppid: parent.field(layout!(task_tgid)),
        length: length.min(u64::from(u32::MAX)) as u32,
        grandparent: grandparent.field(layout!(task_tgid)),
        comm: task::comm(task),
        parent_comm: task::comm(parent),
    };
    let mut bytes = length.min(ARGUMENTS as u64);
    let to = record.arguments.as_mut_ptr().cast();
    // SAFETY: the helper checks the address and writes no more than `ARGUMENTS`.
    if unsafe { bpf_probe_read_user(to, bytes as u32, start as *const c_void) } != 0 {
        lose(Lost::Commands, 1);
        bytes = 0;
    }
    let head = size_of::<ExecutedHead>();
    send(&EXECUTED, record, head, bytes as usize, Lost::Commands);
    Some(())
}
