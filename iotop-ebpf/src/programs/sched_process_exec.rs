//! A task executes a program. The process may be gone before the user half looks into
//! /proc: this is the only chance to learn its arguments.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::BPF_ANY,
    helpers::generated::bpf_probe_read_user,
    macros::{btf_tracepoint, map},
    maps::{LruHashMap, PerCpuArray},
    programs::BtfTracePointContext,
};
use iotop_common::{Executed, ExecutedHead, Lost, executed::ARGUMENTS};

use crate::{
    counters::lose,
    kernel::{layout::layout, typed::Typed},
    maps::EXECUTED,
    model::{record::send, task},
};

/// The record under construction, one for each program: a task may be preempted inside the
/// first one while another task on its CPU runs the second one.
#[map]
static COMMAND: PerCpuArray<Executed> = PerCpuArray::with_max_entries(2, 0);

/// The tasks that `program_executed` has handled and `program_executed_again` has not yet
/// seen: where the arguments of each task begin, by its tid. Used only where
/// `program_executed_again` is loaded.
#[map]
static REPORTED: LruHashMap<u32, u64> = LruHashMap::with_max_entries(256, 0);

/// Fires in the task that executes a program, after the kernel has copied the arguments to
/// the new stack: they are in memory. `(task, old_pid, bprm)`.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn program_executed(ctx: BtfTracePointContext) -> i32 {
    let task = Typed::arg(&ctx, 0);
    executed(task, 0);
    if layout!(preemptible) != 0 {
        let tid: u32 = task.field(layout!(task_pid));
        let _ = REPORTED.insert(tid, arguments(task), u64::from(BPF_ANY));
    }
    0
}

/// Runs second, on kernels where a task may be preempted inside a tracepoint. Handles the
/// tasks that the kernel skipped `program_executed` for.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn program_executed_again(ctx: BtfTracePointContext) -> i32 {
    let task = Typed::arg(&ctx, 0);
    let tid: u32 = task.field(layout!(task_pid));
    // SAFETY: a copy of one word.
    if unsafe { REPORTED.get(tid) }.copied() == Some(arguments(task)) {
        let _ = REPORTED.remove(tid);
    } else {
        executed(task, 1);
        lose(Lost::RecoveredCommands, 1);
    }
    0
}

/// Where the arguments of a task begin. Another program's begin elsewhere, unless addresses
/// are not randomized.
#[inline(always)]
fn arguments(task: Typed) -> u64 {
    task.pointer(layout!(task_mm)).field(layout!(mm_arg_start))
}

/// Sends the record of a task. `program` is the number of its program.
#[inline(always)]
fn executed(task: Typed, program: u32) -> Option<()> {
    // SAFETY: this CPU's element, and only this program's.
    let record = unsafe { &mut *COMMAND.get_ptr_mut(program)? };
    let start = arguments(task);
    let mm = task.pointer(layout!(task_mm));
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
