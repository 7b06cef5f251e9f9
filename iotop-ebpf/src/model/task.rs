//! A task's record: its identity and its counters, read from its `task_struct`.

use iotop_common::{
    TaskRecord,
    task::{TASK_DELAYS, TASK_KTHREAD},
};

use crate::kernel::{constants::PF_KTHREAD, layout::layout, typed::Typed};

/// Reads a counter; 0 if this kernel does not have it.
macro_rules! counter {
    ($of:ident, $field:ident) => {
        if layout!($field) == 0 {
            0
        } else {
            $of.field(layout!($field))
        }
    };
}

/// The record of a task. `address` is the task's address as a number.
#[inline(always)]
pub fn record(task: Typed, address: u64) -> TaskRecord {
    let mut record = TaskRecord {
        task: address,
        start_boottime: task.field(layout!(task_start_boottime)),
        cgroup_id: cgroup_id(task),
        rchar: counter!(task, task_rchar),
        wchar: counter!(task, task_wchar),
        syscr: counter!(task, task_syscr),
        syscw: counter!(task, task_syscw),
        read_bytes: counter!(task, task_read_bytes),
        write_bytes: counter!(task, task_write_bytes),
        cancelled_write_bytes: counter!(task, task_cancelled_write_bytes),
        tid: task.field(layout!(task_pid)),
        tgid: task.field(layout!(task_tgid)),
        ppid: task
            .pointer(layout!(task_real_parent))
            .field(layout!(task_tgid)),
        uid: task.pointer(layout!(task_cred)).field(layout!(cred_euid)),
        comm: comm(task),
        ..TaskRecord::default()
    };
    if task.field::<u32>(layout!(task_flags)) & PF_KTHREAD != 0 {
        record.flags |= TASK_KTHREAD;
    }
    if layout!(task_delays) != 0 {
        let delays = task.pointer(layout!(task_delays));
        if !delays.is_null() {
            record.flags |= TASK_DELAYS;
            record.blkio_delay = delays.field(layout!(delays_blkio_delay));
            record.swapin_delay = delays.field(layout!(delays_swapin_delay));
            record.blkio_count = delays.field(layout!(delays_blkio_count));
            record.swapin_count = delays.field(layout!(delays_swapin_count));
        }
    }
    record
}

#[inline(always)]
fn cgroup_id(task: Typed) -> u64 {
    if layout!(task_cgroups) == 0 {
        return 0;
    }
    task.pointer(layout!(task_cgroups))
        .pointer(layout!(css_set_dfl_cgrp))
        .pointer(layout!(cgroup_kn))
        .field(layout!(kernfs_node_id))
}

/// The task's name.
#[inline(always)]
pub fn comm(task: Typed) -> [u8; 16] {
    let at = layout!(task_comm);
    let words: [u64; 2] = [task.field(at), task.field(at + 8)];
    // SAFETY: both types are sixteen bytes and accept any value.
    unsafe { core::mem::transmute(words) }
}
