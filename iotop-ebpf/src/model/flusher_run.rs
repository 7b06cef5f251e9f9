//! The runs of writeback workers (flushers): why, since when, and how much they are to
//! write.

use aya_ebpf::{
    bindings::BPF_ANY,
    helpers::{bpf_get_current_comm, bpf_ktime_get_boot_ns},
    macros::map,
    maps::{LruHashMap, PerCpuArray},
};
use iotop_common::{FlushId, FlushRun, Lost, Owner};

use super::{current::Current, program::Program, wake};
use crate::{
    counters::lose,
    kernel::{
        layout::layout,
        typed::Typed,
        verifier::{clear, copy},
    },
    maps::{FLUSHES, FLUSHES_BYTES, RUNS},
};

/// The task that queued each work item that no worker has begun, by the item's address.
/// The kernel may drop a work item, and no event tells.
#[map]
static QUEUED: LruHashMap<u64, Owner> = LruHashMap::with_max_entries(256, 0);

/// The run under construction, for each CPU and each program. A run is too large for
/// the stack.
#[map]
static NEW_RUN: PerCpuArray<FlushRun> = PerCpuArray::with_max_entries(Program::WITH_PATHS, 0);

/// Records that the current task asks for a flush: it queued a work item.
#[inline(always)]
pub fn queued(current: &Current, work: Typed) {
    // SAFETY: map values; the memory is this CPU's and only this program's.
    let (last, mut asker) = unsafe { (&mut *current.last, *current.owner) };
    let work = work.address(&raw mut last.scratch);
    // The task may have executed a program since it was first seen.
    if let Ok(comm) = bpf_get_current_comm() {
        asker.comm = comm;
    }
    let _ = QUEUED.insert(work, asker, u64::from(BPF_ANY));
}

/// Ends the run that the worker is in, if it is in one.
#[inline(always)]
pub fn end(worker: &Current) {
    if let Some(run) = RUNS.get_ptr(worker.slot) {
        // SAFETY: a map value that only this worker writes to.
        let run = unsafe { &*run };
        let flags = wake::if_filling(&FLUSHES, FLUSHES_BYTES);
        let ended = match run.asker.generation {
            0 => FLUSHES.output::<[u8; FlushRun::WITHOUT_ASKER]>(without_asker(run), flags),
            _ => FLUSHES.output::<FlushRun>(run, flags),
        };
        if ended.is_err() {
            lose(Lost::Flushes, 1);
        }
        let _ = RUNS.remove(worker.slot);
    }
    // SAFETY: a map value; only the task itself writes this field.
    let flush = unsafe { &mut (*worker.owner).flush };
    *flush = FlushId(*flush).ended().0;
}

/// The part of a run before the asker.
#[inline(always)]
fn without_asker(run: &FlushRun) -> &[u8; FlushRun::WITHOUT_ASKER] {
    // SAFETY: these bytes lie before a field of the run, and none is padding.
    unsafe { &*core::ptr::from_ref(run).cast() }
}

/// A writeback worker and its work item.
pub struct Worker {
    current: Current,
    program: Program,
    /// `struct bdi_writeback`.
    wb: Typed,
    /// `struct wb_writeback_work`.
    work: Typed,
    /// The address of `work`.
    address: u64,
}

impl Worker {
    #[inline(always)]
    pub fn of(current: Current, program: Program, wb: Typed, work: Typed) -> Worker {
        // SAFETY: a map value of this CPU, and only this program's.
        let address = work.address(unsafe { &raw mut (*current.last).scratch });
        Worker {
            current,
            program,
            wb,
            work,
            address,
        }
    }

    /// Begins a run, unless this is another round of the current one.
    #[inline(always)]
    pub fn begin(&self, start: u64) {
        let reason: u32 = self.work.field(layout!(work_reason));
        // SAFETY: a map value; only the task itself writes this field.
        let flush = unsafe { &mut (*self.current.owner).flush };
        // SAFETY: a map value that is not written again once it is inserted.
        let asker = unsafe { QUEUED.get(self.address) };
        if asker.is_none() && FlushId(*flush).reason() == Some(reason) && self.is_same_work() {
            return;
        }
        end(&self.current);
        let id = FlushId(*flush).next(reason);
        *flush = id.0;
        let nr_pages = self.work.field(layout!(work_nr_pages));
        // SAFETY: as above.
        let (worker_start, worker_tid) = unsafe {
            (
                (*self.current.owner).start_boottime,
                (*self.current.owner).tid,
            )
        };
        let Some(run) = NEW_RUN.get_ptr_mut(self.program as u32) else {
            return;
        };
        // SAFETY: a map value of this CPU, and only this program's.
        let run = unsafe { &mut *run };
        // Field by field: the compiler would build a whole run on the stack.
        run.start = start;
        run.end = 0;
        run.requested = nr_pages;
        run.left = nr_pages;
        run.cgroup_id = self.cgroup_id();
        run.work = self.address;
        run.worker_start = worker_start;
        run.worker_tid = worker_tid;
        run.id = id.0;
        match asker {
            Some(asker) => copy(&mut run.asker, asker),
            None => clear(&mut run.asker),
        }
        if RUNS
            .insert(self.current.slot, &*run, u64::from(BPF_ANY))
            .is_err()
        {
            lose(Lost::Flushes, 1);
        }
        if asker.is_some() {
            let _ = QUEUED.remove(self.address);
        }
    }

    /// Ends a round of the run.
    #[inline(always)]
    pub fn end_round(&self) {
        if let Some(run) = RUNS.get_ptr_mut(self.current.slot) {
            let left = self.work.field(layout!(work_nr_pages));
            // SAFETY: a map value that only this worker writes to.
            unsafe {
                (*run).left = left;
                (*run).end = bpf_ktime_get_boot_ns();
            }
        }
    }

    #[inline(always)]
    fn is_same_work(&self) -> bool {
        let run = RUNS.get_ptr(self.current.slot);
        // SAFETY: a map value that only this worker writes to.
        run.is_none_or(|run| unsafe { (*run).work } == self.address)
    }

    #[inline(always)]
    fn cgroup_id(&self) -> u64 {
        if layout!(wb_memcg_css) == 0 || layout!(kernfs_node_id) == 0 {
            return 0;
        }
        let css = self.wb.pointer(layout!(wb_memcg_css));
        // So with the boot parameter `cgroup_disable=memory`.
        if css.is_null() {
            return 0;
        }
        css.pointer(layout!(css_cgroup))
            .pointer(layout!(cgroup_kn))
            .field(layout!(kernfs_node_id))
    }
}
