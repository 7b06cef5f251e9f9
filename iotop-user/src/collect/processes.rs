//! Threads summed up to processes.

use std::collections::{HashMap, HashSet};

use iotop_common::Class;

use crate::sample::{BlockFact, Sample, SharedTask, Task, TaskBlock, sum};

/// The start of a task that is gone may be told too early or too late by this
/// where only its exit record was heard, ns.
const LOOSE: u64 = 1_000_000_000;

/// Replaces the threads of each process by one task. It is its leader's, whom
/// `leader` knows where it did nothing, or the first thread's when nobody knows
/// the leader; and it has exited when none of its threads lives. Processes that
/// had a number one after the other stay apart.
pub fn processes(sample: &mut Sample, leader: impl Fn(u32) -> Option<Task>) {
    let leaders = Leaders::of(&sample.tasks, leader);
    let mut index: HashMap<(u32, Option<u64>), usize> = HashMap::new();
    let mut sums: Vec<SharedTask> = Vec::new();
    let mut of: Vec<usize> = Vec::with_capacity(sample.tasks.len());
    for thread in &sample.tasks {
        let process = (thread.pid, leaders.start_of(thread));
        let at = *index.entry(process).or_insert(sums.len());
        match sums.get_mut(at) {
            Some(sum) => add(sum, thread),
            None => sums.push(thread.clone()),
        }
        of.push(at);
    }
    for ((pid, start), at) in index {
        let sum = &mut sums[at];
        if sum.tid != pid
            && let Some(leader) = leaders.idle.get(&pid)
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
        fact.owner = fact.owner.map(|n| of[n]);
        fact.submitter = fact.submitter.map(|n| of[n]);
        if let Some(process) = fact.owner
            && by_another_thread
            && fact.owner == fact.submitter
            && let Some(block) = &mut sums[process].block
        {
            submitted_by_itself(block, fact);
        }
    }
    sample.tasks = sums;
}

/// The leaders of the processes that have a number, or had it.
struct Leaders {
    starts: HashMap<u32, Vec<u64>>,
    /// Those that have no row.
    idle: HashMap<u32, Task>,
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
        let mut idle = HashMap::new();
        let mut asked = HashSet::new();
        for task in tasks.iter().filter(|task| task.tid != task.pid) {
            if !asked.insert(task.pid) {
                continue;
            }
            let starts = starts.entry(task.pid).or_default();
            // Its number may be another process's thread's by now.
            let is_leader = |known: &Task| known.tid == task.pid && known.pid == task.pid;
            if let Some(leader) = leader(task.pid).filter(is_leader)
                && !starts.contains(&leader.start_boottime)
            {
                starts.push(leader.start_boottime);
                idle.insert(task.pid, leader);
            }
        }
        Leaders { starts, idle }
    }

    /// When the thread's process started: no thread is older than its process.
    fn start_of(&self, thread: &Task) -> Option<u64> {
        let starts = || self.starts.get(&thread.pid).into_iter().flatten().copied();
        let until = |latest| starts().filter(move |start| *start <= latest);
        let exactly = until(thread.start_boottime).max();
        exactly.or_else(|| until(thread.start_boottime.saturating_add(LOOSE)).min())
    }
}

/// One thread's pages, submitted by another thread of the same process: for
/// the process nobody else was involved.
fn submitted_by_itself(block: &mut TaskBlock, fact: &BlockFact) {
    if fact.class == Class::Exact {
        block.write_flushed = block.write_flushed.saturating_sub(fact.bytes);
        block.write_self += fact.bytes;
    }
    block.submitted_for_others = block.submitted_for_others.saturating_sub(fact.bytes);
}

fn add(process: &mut Task, thread: &Task) {
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

    /// Its number, its start, and a MiB for each second that it is old.
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

    /// Number, start, MiB and whether it has exited.
    fn summed(tasks: Vec<Task>, leader: Option<Task>) -> Vec<(u32, u64, u64, bool)> {
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
    fn a_dead_process_and_the_next_one_of_its_number_stay_apart() {
        let old = [thread(7, 7, 1), thread(7, 8, 2)];
        let new = [thread(7, 9, 21), thread(7, 7, 20)];
        let both = [old, new].concat();
        let apart = [(7, 1, 3, true), (7, 20, 41, false)];
        assert_eq!(summed(both.clone(), None), apart);
        // The new leader did nothing.
        let apart = [(7, 1, 3, true), (7, 20, 21, false)];
        assert_eq!(summed(both[..3].to_vec(), Some(thread(7, 7, 20))), apart);
        // The old one is not known any more.
        let apart = [(7, 2, 2, true), (7, 20, 21, false)];
        assert_eq!(summed(both[1..3].to_vec(), Some(thread(7, 7, 20))), apart);
    }

    #[test]
    fn the_threads_of_a_dead_leader_are_one_process_with_its_start() {
        let threads = vec![thread(7, 9, 4), thread(7, 8, 3)];
        let leader = thread(7, 7, 1);
        assert_eq!(summed(threads, Some(leader)), [(7, 1, 7, true)]);
        // One of them lives on.
        let threads = vec![thread(7, 9, 40), thread(7, 8, 3)];
        assert_eq!(summed(threads, Some(thread(7, 7, 1))), [(7, 1, 43, false)]);
    }

    #[test]
    fn a_leader_is_no_thread_of_another_process() {
        let other = thread(5, 7, 30);
        assert_eq!(
            summed(vec![thread(7, 8, 2)], Some(other)),
            [(7, 2, 2, true)]
        );
    }

    #[test]
    fn starts_that_are_estimated_do_not_tear_a_process_apart() {
        let mut thread_of_it = thread(7, 8, 3);
        thread_of_it.start_boottime -= SECOND / 10;
        assert_eq!(
            summed(vec![thread_of_it, thread(7, 7, 3)], None),
            [(7, 3, 6, true)]
        );
    }
}
