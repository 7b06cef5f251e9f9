//! Adds threads up to processes.

use std::collections::{HashMap, HashSet};

use iotop_common::Class;

use crate::sample::{BlockFact, Sample, SharedTask, Task, TaskBlock, sum};

/// Tolerance for start times, ns. If only the exit record of a task is known, its start time
/// is computed from its elapsed time and may be wrong by this much.
const START_TOLERANCE: u64 = 1_000_000_000;

/// Replaces the threads of each process by one task that has their sums.
///
/// The task has the names and the start time of the group leader. A leader without a row is
/// looked up with `leader`; if that does not know it either, those of the first thread are
/// used. The task has exited if all of its threads have. Two processes that used the same pid
/// one after the other stay separate.
pub fn processes(sample: &mut Sample, leader: impl Fn(u32) -> Option<Task>) {
    let leaders = Leaders::of(&sample.tasks, leader);
    let mut index: HashMap<(u32, Option<u64>), usize> = HashMap::new();
    let mut sums: Vec<SharedTask> = Vec::new();
    let mut process_of: Vec<usize> = Vec::with_capacity(sample.tasks.len());
    for thread in &sample.tasks {
        let process = (thread.pid, leaders.start_of(thread));
        let at = *index.entry(process).or_insert(sums.len());
        match sums.get_mut(at) {
            Some(sum) => add_thread(sum, thread),
            None => sums.push(thread.clone()),
        }
        process_of.push(at);
    }
    for ((pid, start), at) in index {
        let sum = &mut sums[at];
        if sum.tid != pid
            && let Some(leader) = leaders.without_row.get(&pid)
            && Some(leader.start_boottime) == start
        {
            *sum = SharedTask::from(Task {
                stats: sum.stats,
                block: sum.block,
                exited: sum.exited && leader.exited,
                ..leader.clone()
            });
        }
        if sum.tid != pid {
            sum.tid = pid;
        }
    }
    for fact in &mut sample.facts {
        let by_another_thread = fact.owner != fact.submitter;
        fact.owner = fact.owner.map(|n| process_of[n]);
        fact.submitter = fact.submitter.map(|n| process_of[n]);
        if let Some(process) = fact.owner
            && by_another_thread
            && fact.owner == fact.submitter
            && let Some(block) = &mut sums[process].block
        {
            count_as_own(block, fact);
        }
    }
    sample.tasks = sums;
}

/// The group leaders by pid. A pid that was reused has several.
struct Leaders {
    starts: HashMap<u32, Vec<u64>>,
    /// Leaders without a row in the sample.
    without_row: HashMap<u32, Task>,
}

impl Leaders {
    fn of(tasks: &[SharedTask], leader: impl Fn(u32) -> Option<Task>) -> Leaders {
        let mut starts: HashMap<u32, Vec<u64>> = HashMap::new();
        for task in tasks.iter().filter(|task| task.tid == task.pid) {
            starts
                .entry(task.pid)
                .or_default()
                .push(task.start_boottime);
        }
        let mut without_row = HashMap::new();
        let mut looked_up = HashSet::new();
        for task in tasks.iter().filter(|task| task.tid != task.pid) {
            if !looked_up.insert(task.pid) {
                continue;
            }
            let starts = starts.entry(task.pid).or_default();
            // The pid may have been reused as the tid of another process's thread.
            let is_leader = |known: &Task| known.tid == task.pid && known.pid == task.pid;
            if let Some(leader) = leader(task.pid).filter(is_leader)
                && !starts.contains(&leader.start_boottime)
            {
                starts.push(leader.start_boottime);
                without_row.insert(task.pid, leader);
            }
        }
        Leaders {
            starts,
            without_row,
        }
    }

    /// When the thread's process started: the last leader that is not younger than the
    /// thread, else the first one within the tolerance.
    fn start_of(&self, thread: &Task) -> Option<u64> {
        let starts = || self.starts.get(&thread.pid).into_iter().flatten().copied();
        let not_after = |latest| starts().filter(move |start| *start <= latest);
        let exact = not_after(thread.start_boottime).max();
        exact.or_else(|| not_after(thread.start_boottime.saturating_add(START_TOLERANCE)).min())
    }
}

/// A thread submitted another thread's pages, both of the same process. For the process this
/// is not a write via another task: moves the bytes from `write_flushed` to `write_self`.
fn count_as_own(block: &mut TaskBlock, fact: &BlockFact) {
    if fact.class == Class::Exact {
        block.write_flushed = block.write_flushed.saturating_sub(fact.bytes);
        block.write_self += fact.bytes;
    }
    block.submitted_for_others = block.submitted_for_others.saturating_sub(fact.bytes);
}

/// Adds a thread's counters to its process. The group leader's names replace those of
/// another thread.
fn add_thread(process: &mut Task, thread: &Task) {
    let stats = process.stats + thread.stats;
    let block = sum(process.block, thread.block);
    let exited = process.exited && thread.exited;
    if thread.tid == thread.pid {
        *process = thread.clone();
    }
    process.stats = stats;
    process.block = block;
    process.exited = exited;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    const SECOND: u64 = 1_000_000_000;

    /// A thread that started at this second and has one MiB for each second until its start,
    /// so that a sum shows which threads are in it. It has exited if it started before 10 s.
    fn thread(pid: u32, tid: u32, start: u64) -> Task {
        Task {
            pid,
            tid,
            start_boottime: start * SECOND,
            exited: start < 10,
            block: Some(TaskBlock {
                write_flushed: start << 20,
                ..TaskBlock::zero()
            }),
            ..Task::default()
        }
    }

    /// The pid, start, MiB and exit of each process.
    fn processes_of(tasks: Vec<Task>, leader: Option<Task>) -> Vec<(u32, u64, u64, bool)> {
        let mut sample = golden::sample();
        sample.facts.clear();
        sample.tasks = tasks.into_iter().map(SharedTask::from).collect();
        processes(&mut sample, |_| leader.clone());
        let row = |task: &SharedTask| {
            let written = task.block.map_or(0, |block| block.write() >> 20);
            (task.tid, task.start_boottime / SECOND, written, task.exited)
        };
        sample.tasks.iter().map(row).collect()
    }

    #[test]
    fn two_processes_that_used_one_pid_stay_separate() {
        let old = [thread(7, 7, 1), thread(7, 8, 2)];
        let new = [thread(7, 9, 21), thread(7, 7, 20)];
        let both = [old, new].concat();
        let separate = [(7, 1, 3, true), (7, 20, 41, false)];
        assert_eq!(processes_of(both.clone(), None), separate);
        // The new leader has no row.
        let separate = [(7, 1, 3, true), (7, 20, 21, false)];
        assert_eq!(
            processes_of(both[..3].to_vec(), Some(thread(7, 7, 20))),
            separate
        );
        // The old leader is not known any more.
        let separate = [(7, 2, 2, true), (7, 20, 21, false)];
        assert_eq!(
            processes_of(both[1..3].to_vec(), Some(thread(7, 7, 20))),
            separate
        );
    }

    #[test]
    fn threads_of_an_exited_leader_are_one_process_with_its_start() {
        let threads = vec![thread(7, 9, 4), thread(7, 8, 3)];
        let leader = thread(7, 7, 1);
        assert_eq!(processes_of(threads, Some(leader)), [(7, 1, 7, true)]);
        // One of the threads is still alive.
        let threads = vec![thread(7, 9, 40), thread(7, 8, 3)];
        assert_eq!(
            processes_of(threads, Some(thread(7, 7, 1))),
            [(7, 1, 43, false)]
        );
    }

    #[test]
    fn a_thread_of_another_process_is_not_taken_for_the_leader() {
        let other = thread(5, 7, 30);
        assert_eq!(
            processes_of(vec![thread(7, 8, 2)], Some(other)),
            [(7, 2, 2, true)]
        );
    }

    #[test]
    fn an_estimated_start_does_not_split_a_process() {
        let mut estimated = thread(7, 8, 3);
        estimated.start_boottime -= SECOND / 10;
        assert_eq!(
            processes_of(vec![estimated, thread(7, 7, 3)], None),
            [(7, 3, 6, true)]
        );
    }
}
