//! The runs of writeback workers: why, since when, and how much they are to write.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_RB_NO_WAKEUP},
    helpers::{bpf_get_current_comm, bpf_ktime_get_boot_ns},
    macros::{btf_tracepoint, map},
    maps::PerCpuArray,
    programs::BtfTracePointContext,
};
use iotop_common::{
    FlushId, FlushRun, Flushed, Lost,
    tag::{SLOT_FIRST, SUBMITTED_ANSWERS_TICKS, Slot},
};

use crate::{
    charge::Known,
    count::{control, lose},
    kernel::{BTRFS_SUPER_MAGIC, Typed, clear, copy, layout, now},
    maps::{FLUSHED, FLUSHES, OWNERS, QUEUED, RUNS},
    owners::{self, Asker, Current},
};

/// Fires in the task that asks for a flush: sync(2), syncfs(2), umount(2), a
/// cgroup that dirties another one's inode ... (`wb_queue_work`).
#[btf_tracepoint(function = "writeback_queue")]
pub fn flush_queued(ctx: BtfTracePointContext) -> i32 {
    if let Some(current) = owner(Asker::Queue) {
        // SAFETY: map values; the memory is this CPU's and only this program's.
        let (last, mut asker) = unsafe { (&mut *current.last, *current.owner) };
        let work = Typed::arg(&ctx, 1).number(&raw mut last.number);
        // It may have executed a program since it was first seen.
        if let Ok(comm) = bpf_get_current_comm() {
            asker.comm = comm;
        }
        let _ = QUEUED.insert(work, asker, u64::from(BPF_ANY));
    }
    0
}

/// Fires in the worker for each round of a run, before it submits anything
/// (`wb_writeback`).
#[btf_tracepoint(function = "writeback_start")]
pub fn flush_started(ctx: BtfTracePointContext) -> i32 {
    if let Some(worker) = Worker::of(&ctx, Asker::Flush) {
        // SAFETY: a helper without arguments.
        worker.begin(unsafe { bpf_ktime_get_boot_ns() });
    }
    0
}

/// Fires in the worker after each round.
#[btf_tracepoint(function = "writeback_written")]
pub fn flush_written(ctx: BtfTracePointContext) -> i32 {
    if let Some(worker) = Worker::of(&ctx, Asker::Round) {
        // A round that we did not see begin began before the trace.
        worker.begin(0);
        if let Some(run) = RUNS.get_ptr_mut(worker.current.slot) {
            let left = worker.work.field(layout!(work_nr_pages));
            // SAFETY: a map value that only this worker writes to.
            unsafe {
                (*run).left = left;
                (*run).end = bpf_ktime_get_boot_ns();
            }
        }
    }
    0
}

/// Fires in the worker when it has no work left (`wb_workfn`).
#[btf_tracepoint(function = "writeback_pages_written")]
pub fn flush_ended(_: BtfTracePointContext) -> i32 {
    if let Some(current) = owner(Asker::Ended) {
        end(&current);
    }
    0
}

/// Fires in whoever writes an inode back, a worker or not. btrfs has other
/// workers submit what this one puts under writeback.
#[btf_tracepoint(function = "writeback_single_inode_start")]
pub fn inode_flushed(ctx: BtfTracePointContext) -> i32 {
    let inode = Typed::arg(&ctx, 0);
    let magic: u64 = inode
        .pointer(layout!(inode_i_sb))
        .field(layout!(sb_s_magic));
    if magic == BTRFS_SUPER_MAGIC
        && let Some(current) = owner(Asker::Inode)
    {
        // SAFETY: map values; the memory is this CPU's and only this program's.
        let (last, worker) = unsafe { (&mut *current.last, &*current.owner) };
        let flush = FlushId(worker.flush);
        if flush.running() != FlushId::NONE {
            let flushed = Flushed {
                flush: flush.0,
                worker: current.slot,
                generation: worker.generation,
                tick: now().0,
            };
            let inode = inode.number(&raw mut last.number);
            let _ = FLUSHED.insert(inode, flushed, u64::from(BPF_ANY));
        }
    }
    0
}

/// In whose run an inode is being written back whose pages somebody else
/// submits, if that was just now.
#[inline(always)]
pub fn of_inode(known: &Known) -> Option<(Slot, FlushId)> {
    if known.ino == 0 {
        return None;
    }
    let inode = known.mapping.wrapping_sub(u64::from(layout!(inode_i_data)));
    // SAFETY: a copy out of a map value; each field is one word.
    let flushed = *unsafe { FLUSHED.get(inode) }?;
    let worker = OWNERS.get_ptr(flushed.worker)?;
    // SAFETY: a map value; one word is read.
    let same_worker = unsafe { (*worker).generation } == flushed.generation;
    let just_now = now().0.wrapping_sub(flushed.tick) <= SUBMITTED_ANSWERS_TICKS;
    (same_worker && just_now).then_some((flushed.worker, FlushId(flushed.flush)))
}

/// The current task, where flushes are asked for and it has a slot of its own.
#[inline(always)]
fn owner(asker: Asker) -> Option<Current> {
    if control().flushes == 0 {
        return None;
    }
    owners::current(asker).filter(|current| current.slot >= SLOT_FIRST)
}

/// The run that the worker is in ends, if it is in one.
#[inline(always)]
fn end(current: &Current) {
    if let Some(run) = RUNS.get_ptr(current.slot) {
        // SAFETY: a map value that only this worker writes to.
        let run = unsafe { &*run };
        let flags = u64::from(BPF_RB_NO_WAKEUP);
        let ended = match run.asker.generation {
            0 => FLUSHES.output::<[u8; FlushRun::WITHOUT_ASKER]>(without_asker(run), flags),
            _ => FLUSHES.output::<FlushRun>(run, flags),
        };
        if ended.is_err() {
            lose(Lost::Flushes, 1);
        }
        let _ = RUNS.remove(current.slot);
    }
    // SAFETY: a map value; nobody but the task itself writes this field.
    let flush = unsafe { &mut (*current.owner).flush };
    *flush = FlushId(*flush).ended().0;
}

/// What comes before the asker.
#[inline(always)]
fn without_asker(run: &FlushRun) -> &[u8; FlushRun::WITHOUT_ASKER] {
    // SAFETY: so many bytes lie before a field of it, and none is padding.
    unsafe { &*core::ptr::from_ref(run).cast() }
}

/// Where each CPU puts a run together, for each program of its own: it is too
/// large for the stack.
#[map]
static NEW_RUN: PerCpuArray<FlushRun> = PerCpuArray::with_max_entries(Asker::COUNT, 0);

/// A worker and its work.
struct Worker {
    current: Current,
    asker: Asker,
    wb: Typed,
    work: Typed,
    address: u64,
}

impl Worker {
    #[inline(always)]
    fn of(ctx: &BtfTracePointContext, asker: Asker) -> Option<Worker> {
        let current = owner(asker)?;
        let work = Typed::arg(ctx, 1);
        // SAFETY: a map value of this CPU, and only this program's.
        let address = work.number(unsafe { &raw mut (*current.last).number });
        Some(Worker {
            current,
            asker,
            wb: Typed::arg(ctx, 0),
            work,
            address,
        })
    }

    /// Begins a run, unless this is another round of the one that is under way.
    #[inline(always)]
    fn begin(&self, start: u64) {
        let reason: u32 = self.work.field(layout!(work_reason));
        // SAFETY: a map value; nobody but the task itself writes this field.
        let flush = unsafe { &mut (*self.current.owner).flush };
        // SAFETY: a map value that is not written again once it is entered.
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
        let Some(run) = NEW_RUN.get_ptr_mut(self.asker as u32) else {
            return;
        };
        // SAFETY: a map value of this CPU, and only this program's.
        let run = unsafe { &mut *run };
        // Field by field: as a whole it would pass by way of the stack.
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
        self.wb
            .pointer(layout!(wb_memcg_css))
            .pointer(layout!(css_cgroup))
            .pointer(layout!(cgroup_kn))
            .field(layout!(kernfs_node_id))
    }
}
