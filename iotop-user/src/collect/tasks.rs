//! The tasks' own counters, from the best source that is available.

use std::{collections::HashMap, path::Path};

use iotop_common::{
    Lost, Owner, TaskRecord,
    owner::OWNER_KTHREAD,
    task::{TASK_DELAYS, TASK_KTHREAD},
};

use super::{
    CollectError, Sources,
    live::{self, Interval, LiveTasks, TaskState},
};
use crate::{
    host::{
        identity::{self, CgroupIds, Thread, kthread},
        kernel::{clock, counted::Counted},
        loadavg, task_io,
    },
    probe::{Epoch, Exit, Probe},
    sample::{Task, TaskCounters},
    taskstats::Taskstats,
};

/// What a pass over all tasks returns besides their counters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Passed {
    /// Number of live tasks.
    pub total: Option<u64>,
    /// Number of exits without a record; `None` if there is no source of exit records.
    pub lost_exits: Option<u64>,
}

impl Passed {
    /// Takes the number of lost exits from the kernel half, if there is one.
    pub fn and(self, epoch: Option<&Epoch>) -> Passed {
        let in_epoch = epoch.map(|epoch| epoch.lost[Lost::ExitRecords as usize]);
        Passed {
            lost_exits: in_epoch.or(self.lost_exits),
            ..self
        }
    }
}

/// Passes over all tasks once: updates the live ones and takes the exited ones' last
/// counters.
pub fn pass(
    sources: &mut Sources,
    counted: Counted,
    live: &mut LiveTasks,
    interval: &mut Interval,
) -> Result<Passed, CollectError> {
    match &mut sources.probe {
        Some(probe) => {
            // First the tasks that exited before the pass: the pass may find new tasks with
            // their tids.
            exits(probe, counted, live, interval);
            let total = probe.changed_tasks(|record| {
                live.update(interval, &state(record, counted));
            })?;
            exits(probe, counted, live, interval);
            Ok(Passed {
                total: match sources.own_pids {
                    true => total,
                    // The pass has only the namespace's tasks. Exits, like all that the kernel
                    // half counts, are those of the machine.
                    false => loadavg::tasks(&sources.proc_root),
                },
                lost_exits: None,
            })
        }
        None => list_pass(sources, counted, live, interval),
    }
}

/// Reads the records of exited tasks from the kernel half.
pub fn exits(probe: &mut Probe, counted: Counted, live: &mut LiveTasks, interval: &mut Interval) {
    probe.exited_tasks(|exit| match exit {
        Exit::Idle(idle) => live.exited_idle(interval, idle.task, idle.start_boottime),
        Exit::Record(record) => live.exited(interval, &state(&record, counted)),
    });
}

/// After exit records were lost: drops the tasks whose tid is no longer in /proc.
pub fn forget_the_gone(proc_root: &Path, live: &mut LiveTasks) -> Result<(), CollectError> {
    let threads = listing(proc_root)?;
    let listed: HashMap<u32, u32> = threads.iter().map(|t| (t.tid, t.pid)).collect();
    live.keep(|state| listed.contains_key(&state.tid));
    Ok(())
}

/// The pass without the kernel half: reads every thread in /proc, one by one.
fn list_pass(
    sources: &mut Sources,
    counted: Counted,
    live: &mut LiveTasks,
    interval: &mut Interval,
) -> Result<Passed, CollectError> {
    let mut lost = exit_records(sources, counted, live, interval)?;
    let threads = listing(&sources.proc_root)?;
    let mut counters: HashMap<u32, TaskCounters> = HashMap::new();
    if let Some(taskstats) = &mut sources.taskstats {
        let tids: Vec<u32> = threads.iter().map(|thread| thread.tid).collect();
        for (tid, stats) in taskstats.query(&tids)? {
            counters.insert(tid, stats.counters(counted));
        }
    }
    let mut seen = HashMap::new();
    let mut cgroups = CgroupIds::new(&sources.sys_root);
    for thread in threads {
        let Some(stat) = thread.stat(&sources.proc_root) else {
            continue;
        };
        let directory = thread.directory(&sources.proc_root);
        let counters = match &sources.taskstats {
            Some(_) => counters.get(&thread.tid).copied(),
            None => Some(task_io::read(&directory)),
        };
        let start_boottime = clock::of_ticks(stat.start_ticks);
        seen.insert(thread.tid, start_boottime);
        // Its exit record has its last counters. It has arrived or will arrive soon.
        if stat.exiting && sources.exits.is_some() {
            continue;
        }
        // taskstats did not answer for this thread: keep its last known counters.
        let Some(counters) = counters else { continue };
        live.update(
            interval,
            &TaskState {
                id: u64::from(thread.tid),
                start_boottime,
                tid: thread.tid,
                pid: thread.pid,
                ppid: Some(stat.ppid),
                uid: thread.uid(&sources.proc_root),
                cgroup_id: cgroups.of(thread, &sources.proc_root),
                comm: comm(match stat.kthread {
                    true => kthread::lasting(&stat.comm),
                    false => &stat.comm,
                }),
                kthread: stat.kthread,
                counters,
            },
        );
    }
    // A thread that was not listed has sent its exit record before the listing ended.
    lost += exit_records(sources, counted, live, interval)?;
    live.keep(|state| seen.get(&state.tid) == Some(&state.start_boottime));
    Ok(Passed {
        total: Some(seen.len() as u64),
        lost_exits: sources.exits.as_ref().map(|_| lost),
    })
}

/// Takes the exit records that have arrived from taskstats. Returns the least number of
/// records that are missing.
fn exit_records(
    sources: &mut Sources,
    counted: Counted,
    live: &mut LiveTasks,
    interval: &mut Interval,
) -> Result<u64, CollectError> {
    let Some(listener) = &mut sources.exits else {
        return Ok(0);
    };
    let arrived = listener.drain()?;
    for (tid, stats) in arrived.records {
        live.exited(interval, &last_state(tid, &stats, counted, live));
    }
    Ok(arrived.lost.at_least())
}

/// The state of an exited task. Its record has the elapsed time but not the start. The start
/// computed from it is never too early, but may be too late: the elapsed time excludes
/// suspend, and the record has waited in the queue. A live task that has this tid and is not
/// younger is therefore the same task.
fn last_state(tid: u32, stats: &Taskstats, counted: Counted, live: &LiveTasks) -> TaskState {
    let lived = stats.etime_us.unwrap_or(0).saturating_mul(1000);
    let started = clock::boottime().saturating_sub(lived);
    let known = live
        .by_tid(tid)
        .filter(|known| started + clock::TICK_NS >= known.start_boottime);
    let unknown = TaskState {
        id: u64::from(tid),
        start_boottime: started,
        tid,
        pid: stats.tgid.filter(|pid| *pid != 0).unwrap_or(tid),
        ..TaskState::default()
    };
    TaskState {
        ppid: stats.ppid,
        uid: stats.uid,
        comm: stats.comm().map(comm).unwrap_or_default(),
        counters: stats.counters(counted),
        ..known.unwrap_or(unknown)
    }
}

/// The name as the kernel keeps it: cut off at 15 bytes, NUL-terminated.
fn comm(name: &[u8]) -> [u8; 16] {
    let mut comm = [0; 16];
    for (to, from) in comm[..15].iter_mut().zip(name) {
        *to = *from;
    }
    comm
}

/// A row for a process's main thread that has ended before the process, from /proc: neither
/// a pass nor an exit record has told of it. `None` if there is no such thread.
pub fn ended_leader(proc_root: &Path, pid: u32, counted: Counted) -> Option<Task> {
    let leader = Thread { pid, tid: pid };
    let stat = leader.stat(proc_root).filter(|stat| stat.exiting)?;
    Some(Task {
        stats: nothing(counted),
        pid,
        tid: pid,
        start_boottime: clock::of_ticks(stat.start_ticks),
        ppid: Some(stat.ppid),
        uid: leader.uid(proc_root),
        comm: live::comm(&comm(&stat.comm)),
        kthread: stat.kthread,
        exited: true,
        ..Task::default()
    })
}

/// True if a main thread is in /proc, as it is until all threads of its process have ended.
pub fn is_in_proc(proc_root: &Path, leader: &Task) -> bool {
    let pid = leader.pid;
    let stat = Thread { pid, tid: pid }.stat(proc_root);
    stat.is_some_and(|stat| stat.start_ticks == clock::ticks(leader.start_boottime))
}

fn listing(proc_root: &Path) -> Result<Vec<identity::Thread>, CollectError> {
    identity::threads(proc_root).map_err(|source| CollectError::Read {
        what: "/proc",
        source,
    })
}

/// 0 for each counter that this kernel has, `None` for the others.
pub fn nothing(counted: Counted) -> TaskCounters {
    let record = TaskRecord {
        flags: TASK_DELAYS,
        ..TaskRecord::default()
    };
    state(&record, counted).counters
}

/// A row for a task that is known only from its slot, marked as exited. Its task counters are
/// 0: no source reports that they grew.
pub fn of_owner(owner: &Owner, counted: Counted) -> Task {
    Task {
        stats: nothing(counted),
        pid: owner.tgid,
        tid: owner.tid,
        start_boottime: owner.start_boottime,
        ppid: Some(owner.ppid),
        uid: Some(owner.uid),
        cgroup_id: Some(owner.cgroup_id),
        comm: live::comm(&owner.comm),
        kthread: owner.flags & OWNER_KTHREAD != 0,
        exited: true,
        ..Task::default()
    }
}

/// A row for the tasks that share a slot. Which of them did what is not known, so neither are
/// their task counters.
pub fn of_crowd(owner: &Owner) -> Task {
    let comm = match owner.comm {
        [0, ..] => "(several commands)".into(),
        _ => live::comm(&owner.comm),
    };
    Task {
        start_boottime: owner.start_boottime,
        uid: Some(owner.uid),
        cgroup_id: Some(owner.cgroup_id),
        comm,
        crowd: Some(u64::from(owner.partition.max(1))),
        ..Task::default()
    }
}

/// The state in a record of the kernel half, without the counters that this kernel lacks.
fn state(record: &TaskRecord, counted: Counted) -> TaskState {
    let calls = |value: u64| counted.calls.then_some(value);
    let bytes = |value: u64| counted.bytes.then_some(value);
    // The kernel gives a task no delay counters if it was created while they were off.
    let delays = counted.delays && record.flags & TASK_DELAYS != 0;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel half reports 0 for counters that its kernel does not have.
    #[test]
    fn a_counter_that_the_kernel_lacks_is_unknown_not_zero() {
        let record = TaskRecord {
            flags: TASK_DELAYS,
            ..TaskRecord::default()
        };
        let counters = |counted| state(&record, counted).counters;
        assert_eq!(counters(Counted::NONE), TaskCounters::default());
        assert_eq!(counters(Counted::ALL), TaskCounters::zero());
        let counters = counters(Counted {
            bytes: false,
            ..Counted::ALL
        });
        assert_eq!(counters.write_bytes, None);
        assert_eq!(counters.write_char, Some(0));
    }

    #[test]
    fn a_name_that_is_not_utf_8_keeps_all_its_bytes() {
        let name = b"caf\xe9\xe9\xe9\xe9\xe9\xe9 bar";
        let kept = comm(name);
        assert_eq!(&kept[..13], name);
        let shown = live::comm(&kept);
        assert!(
            shown.ends_with(" bar") && shown.chars().count() == 13,
            "{shown}"
        );
        assert_eq!(&live::comm(&comm(b"a name of 17 byte")).len(), &15);
    }

    #[test]
    fn a_task_without_delay_counters_has_an_unknown_delay() {
        let counters = state(&TaskRecord::default(), Counted::ALL).counters;
        assert_eq!(counters.blkio_delay_ns, None);
        assert_eq!(nothing(Counted::ALL).blkio_delay_ns, Some(0));
    }
}
