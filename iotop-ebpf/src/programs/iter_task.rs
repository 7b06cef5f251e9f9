//! A pass over all tasks: hands over those whose counters have changed.

use aya_ebpf::{
    bindings::seq_file, helpers::generated::bpf_seq_write, macros::map, maps::PerCpuArray,
};
use iotop_common::{Seen, TaskRecord};

use crate::{
    kernel::{constants::PF_EXITING, layout::layout, typed::Typed},
    maps::SEEN,
    model::task,
};

/// For [`Typed::address`].
#[map]
static PASS: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// `struct bpf_iter_meta` of include/linux/bpf.h, part of the kernel's interface.
#[repr(C)]
pub struct Meta {
    seq: *mut seq_file,
    session_id: u64,
    seq_num: u64,
}

/// `struct bpf_iter__task` of kernel/bpf/task_iter.c, part of the kernel's
/// interface.
#[repr(C)]
pub struct Context {
    meta: *const Meta,
    task: *const u8,
}

/// Runs for each task of the reader's pid namespace, and once more without a task when
/// the pass is over.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub extern "C" fn task_counters(context: *const Context) -> i32 {
    // SAFETY: the kernel passes this context. Volatile, so that each pointer is loaded
    // once and the verifier sees the one that was checked.
    let (meta, task) = unsafe {
        (
            (&raw const (*context).meta).read_volatile(),
            (&raw const (*context).task).read_volatile(),
        )
    };
    if task.is_null() {
        end(meta);
    } else {
        hand_over(meta, Typed::new(task));
    }
    0
}

/// Hands a task over, if its counters have changed. A pass mostly waits for memory.
/// Most tasks have not run since the last pass, and for those three cache lines are
/// enough.
#[inline(always)]
fn hand_over(meta: *const Meta, task: Typed) -> Option<()> {
    let tid: u32 = task.field(layout!(task_pid));
    let seen = SEEN.get_ptr_mut(tid & layout!(seen_mask))?;
    // SAFETY: a map value, and only one pass runs at a time.
    let seen = unsafe { &mut *seen };
    let start_boottime = task.field::<u64>(layout!(task_start_boottime)) as u32;
    // The scheduler counts each switch away from a task. A task that is not running
    // and has the same count has not run in between. Its counters change only while
    // it runs.
    let running = layout!(task_on_cpu) == 0 || task.field::<u8>(layout!(task_on_cpu)) != 0;
    let switched = task.field::<u64>(layout!(task_nvcsw)) + task.field::<u64>(layout!(task_nivcsw));
    let switches = (switched as u32).wrapping_add(1);
    let same_task = seen.start_boottime == start_boottime;
    if same_task && seen.switches == switches && !running {
        return None;
    }
    // The program on `sched_process_exit` hands it over.
    if task.field::<u32>(layout!(task_flags)) & PF_EXITING != 0 {
        return None;
    }
    let record = task::record(task, task.address(PASS.get_ptr_mut(0)?));
    let mark = 1 + record.mark();
    // If the buffer has no room, the kernel empties it and runs this program again for
    // the same task. So a task counts as seen only once it is written.
    if same_task && seen.mark == mark || write(meta, &record) {
        *seen = Seen {
            mark,
            start_boottime,
            switches,
        };
    }
    Some(())
}

/// Ends a pass with a record that holds the number of tasks.
#[inline(always)]
fn end(meta: *const Meta) {
    let record = TaskRecord {
        // SAFETY: the kernel's own, valid while the program runs.
        task: unsafe { (*meta).seq_num },
        ..TaskRecord::default()
    };
    write(meta, &record);
}

#[inline(always)]
fn write(meta: *const Meta, record: &TaskRecord) -> bool {
    // SAFETY: the kernel's own, valid while the program runs; the helper copies.
    unsafe {
        let seq = (&raw const (*meta).seq).read_volatile();
        bpf_seq_write(
            seq,
            core::ptr::from_ref(record).cast_mut().cast(),
            size_of::<TaskRecord>() as u32,
        ) == 0
    }
}
