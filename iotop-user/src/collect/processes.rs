//! Threads summed up to processes.

use std::collections::HashMap;

use iotop_common::Class;

use super::{BlockFact, Sample, Task, TaskBlock};

/// Replaces the threads of each process by one task. It is its leader's, whom
/// `leader` knows where it did nothing, or the first thread's when the leader
/// is gone; and it has exited when none of its threads lives.
pub fn processes(sample: &mut Sample, leader: impl Fn(u32) -> Option<Task>) {
    let mut index: HashMap<u32, usize> = HashMap::new();
    let mut sums: Vec<Task> = Vec::new();
    let mut of: Vec<usize> = Vec::with_capacity(sample.tasks.len());
    for thread in &sample.tasks {
        let at = *index.entry(thread.pid).or_insert(sums.len());
        match sums.get_mut(at) {
            Some(sum) => add(sum, thread),
            None => sums.push(thread.clone()),
        }
        of.push(at);
    }
    for sum in &mut sums {
        if sum.tid != sum.pid
            && let Some(leader) = leader(sum.pid)
        {
            *sum = Task {
                stats: sum.stats,
                block: sum.block,
                ..leader
            };
        }
        sum.tid = sum.pid;
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

/// One thread's pages, submitted by another thread of the same process: for
/// the process nobody else was involved.
fn submitted_by_itself(block: &mut TaskBlock, fact: &BlockFact) {
    if fact.class == Class::Exact {
        block.write_flushed = block.write_flushed.saturating_sub(fact.bytes);
        block.write_self += fact.bytes;
    }
    block.submitted_for_others = block.submitted_for_others.saturating_sub(fact.bytes);
}

fn add(sum: &mut Task, thread: &Task) {
    let stats = sum.stats.plus(&thread.stats);
    let block = match (&sum.block, &thread.block) {
        (Some(sum), Some(thread)) => Some(sum.plus(thread)),
        (sum, thread) => sum.or(*thread),
    };
    let exited = sum.exited && thread.exited;
    if thread.tid == thread.pid {
        *sum = thread.clone();
    }
    sum.stats = stats;
    sum.block = block;
    sum.exited = exited;
}
