//! A pass over all tasks: hands those over whose counters have changed.

use aya_ebpf::{
    bindings::seq_file, helpers::generated::bpf_seq_write, macros::map, maps::PerCpuArray,
};
use iotop_common::{Seen, TaskRecord};

use crate::{
    kernel::{Typed, layout},
    maps::SEEN,
    task,
};

/// See [`Typed::number`].
#[map]
static PASS: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// `struct bpf_iter_meta` of include/linux/bpf.h, part of the interface.
#[repr(C)]
pub struct Meta {
    seq: *mut seq_file,
    session_id: u64,
    seq_num: u64,
}

/// `struct bpf_iter__task` of kernel/bpf/task_iter.c, part of the interface.
#[repr(C)]
pub struct Context {
    meta: *const Meta,
    task: *const u8,
}

/// Runs for each task of the reader's pid namespace, and once more without one
/// when the pass is over.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub extern "C" fn task_counters(context: *const Context) -> i32 {
    // SAFETY: the kernel passes this context; volatile, so that each pointer is
    // loaded once and the verifier sees the one that was checked.
    let (meta, task) = unsafe {
        (
            (&raw const (*context).meta).read_volatile(),
            (&raw const (*context).task).read_volatile(),
        )
    };
    if task.is_null() {
        end(meta);
    } else {
        hand_over(meta, Typed::from_helper(task));
    }
    0
}

#[inline(always)]
fn hand_over(meta: *const Meta, task: Typed) -> Option<()> {
    // `sched_process_exit` has told of it.
    if task.field::<u32>(layout!(task_exit_state)) != 0 {
        return None;
    }
    let record = task::record(task, task.number(PASS.get_ptr_mut(0)?));
    let seen = SEEN.get_ptr_mut(record.tid & layout!(seen_mask))?;
    let now = Seen {
        start_boottime: record.start_boottime,
        mark: record.mark(),
    };
    // SAFETY: a map value, and only one pass runs at a time.
    if unsafe { *seen } == now {
        return None;
    }
    // Without room the kernel reads what there is and runs us again for the
    // same task: it is not seen before it is written.
    if write(meta, &record) {
        // SAFETY: as above.
        unsafe { *seen = now };
    }
    Some(())
}

#[inline(always)]
fn end(meta: *const Meta) {
    let record = TaskRecord {
        // SAFETY: the kernel's own, valid while we run.
        task: unsafe { (*meta).seq_num },
        ..TaskRecord::default()
    };
    write(meta, &record);
}

#[inline(always)]
fn write(meta: *const Meta, record: &TaskRecord) -> bool {
    // SAFETY: the kernel's own, valid while we run; the helper copies.
    unsafe {
        let seq = (&raw const (*meta).seq).read_volatile();
        bpf_seq_write(
            seq,
            core::ptr::from_ref(record).cast_mut().cast(),
            size_of::<TaskRecord>() as u32,
        ) == 0
    }
}
