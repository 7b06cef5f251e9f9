//! The tasks' counters, from the best source there is.

use std::{collections::HashMap, path::Path};

use iotop_common::{
    TaskRecord,
    task::{TASK_DELAYS, TASK_KTHREAD},
};

use super::{
    CollectError, Sources, TaskCounters,
    live::{Interval, Live, TaskState},
};
use crate::{
    identity,
    kernel::clock,
    probe::{Counted, Probe},
};

/// Looks at all tasks once. Returns how many live, where that is known.
pub fn pass(
    sources: &mut Sources,
    delays: bool,
    live: &mut Live,
    interval: &mut Interval,
) -> Result<Option<u64>, CollectError> {
    match &mut sources.probe {
        Some(probe) => {
            // Those that exited before the pass are heard of before it, so
            // that whoever has their tids now is not taken for them.
            exits(probe, delays, live, interval);
            let counted = probe.counted();
            let total = probe.changed_tasks(|record| {
                live.update(interval, &state(record, counted, delays));
            })?;
            exits(probe, delays, live, interval);
            Ok(total)
        }
        None => listed(sources, delays, live, interval).map(Some),
    }
}

/// Takes in the tasks that exited.
pub fn exits(probe: &mut Probe, delays: bool, live: &mut Live, interval: &mut Interval) {
    let counted = probe.counted();
    probe.exited_tasks(|record| live.exited(interval, &state(record, counted, delays)));
}

/// Exits were lost: finds out by itself who is gone.
pub fn forget_the_gone(proc_root: &Path, live: &mut Live) -> Result<(), CollectError> {
    let threads = listing(proc_root)?;
    let there: HashMap<u32, u32> = threads.iter().map(|t| (t.tid, t.pid)).collect();
    live.keep(|state| there.contains_key(&state.tid));
    Ok(())
}

/// Every thread that /proc lists, asked for one by one.
fn listed(
    sources: &mut Sources,
    delays: bool,
    live: &mut Live,
    interval: &mut Interval,
) -> Result<u64, CollectError> {
    let threads = listing(&sources.proc_root)?;
    let mut counters: HashMap<u32, TaskCounters> = HashMap::new();
    if let Some(taskstats) = &mut sources.taskstats {
        let tids: Vec<u32> = threads.iter().map(|thread| thread.tid).collect();
        for (tid, stats) in taskstats.query(&tids)? {
            counters.insert(tid, stats.counters(delays));
        }
    }
    let mut there = 0;
    let mut seen = HashMap::new();
    for thread in threads {
        let Some(stat) = thread.stat(&sources.proc_root) else {
            continue;
        };
        there += 1;
        seen.insert(thread.tid, stat.start_ticks * clock::TICK_NS);
        let mut comm = [0; 16];
        for (to, from) in comm[..15].iter_mut().zip(stat.comm.bytes()) {
            *to = from;
        }
        let state = TaskState {
            id: u64::from(thread.tid),
            start_boottime: stat.start_ticks * clock::TICK_NS,
            tid: thread.tid,
            pid: thread.pid,
            ppid: Some(stat.ppid),
            uid: thread.uid(&sources.proc_root),
            cgroup_id: None,
            comm,
            kthread: stat.kthread,
            counters: counters.get(&thread.tid).copied().unwrap_or_default(),
        };
        live.update(interval, &state);
    }
    live.keep(|state| seen.get(&state.tid) == Some(&state.start_boottime));
    Ok(there)
}

fn listing(proc_root: &Path) -> Result<Vec<identity::Thread>, CollectError> {
    identity::threads(proc_root).map_err(|source| CollectError::Read {
        what: "/proc",
        source,
    })
}

/// 0 for each counter that is known of every task.
pub fn counted(sources: &Sources) -> TaskCounters {
    let counted = match (&sources.probe, &sources.taskstats) {
        (Some(probe), _) => probe.counted(),
        (None, Some(_)) => Counted {
            calls: true,
            bytes: true,
        },
        (None, None) => return TaskCounters::default(),
    };
    state(&TaskRecord::default(), counted, false).counters
}

fn state(record: &TaskRecord, counted: Counted, delays: bool) -> TaskState {
    let calls = |value: u64| counted.calls.then_some(value);
    let bytes = |value: u64| counted.bytes.then_some(value);
    let delays = delays && record.flags & TASK_DELAYS != 0;
    TaskState {
        id: record.task,
        start_boottime: record.start_boottime,
        tid: record.tid,
        pid: record.tgid,
        ppid: Some(record.ppid),
        uid: Some(record.uid),
        cgroup_id: Some(record.cgroup_id).filter(|id| *id != 0),
        comm: record.comm,
        kthread: record.flags & TASK_KTHREAD != 0,
        counters: TaskCounters {
            read_bytes: bytes(record.read_bytes),
            write_bytes: bytes(record.write_bytes),
            cancelled_write_bytes: bytes(record.cancelled_write_bytes),
            read_char: calls(record.rchar),
            write_char: calls(record.wchar),
            read_syscalls: calls(record.syscr),
            write_syscalls: calls(record.syscw),
            blkio_count: delays.then_some(u64::from(record.blkio_count)),
            blkio_delay_ns: delays.then_some(record.blkio_delay),
            swapin_count: delays.then_some(u64::from(record.swapin_count)),
            swapin_delay_ns: delays.then_some(record.swapin_delay),
        },
    }
}
