//! Totals since start instead of the interval's.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;

use super::{BlockTotals, Lost, Sample, System, Task, Unattributed};

/// A task in one sample and the next: its tid alone may be reused.
type Key = (u32, Option<Timestamp>);

/// Adds samples up.
#[derive(Debug, Default)]
pub struct Accumulator {
    interval: Duration,
    system: System,
    tasks: Vec<Task>,
    index: HashMap<Key, usize>,
}

impl Accumulator {
    /// Turns an interval's sample into the sum of all so far. Tasks that have
    /// exited stay.
    pub fn add(&mut self, sample: &mut Sample) {
        self.interval += sample.interval;
        self.system = sum_system(&self.system, &sample.system);
        // Dirty pages are a level: those of a task that is not in this sample
        // have been written.
        for task in &mut self.tasks {
            if let Some(block) = &mut task.block {
                block.dirty_pending = block.dirty_pending.map(|_| 0);
            }
        }
        for task in sample.tasks.drain(..) {
            let key = (task.tid, task.start_time);
            match self.index.get(&key) {
                Some(at) => sum_task(&mut self.tasks[*at], task),
                None => {
                    self.index.insert(key, self.tasks.len());
                    self.tasks.push(task);
                }
            }
        }
        sample.interval = self.interval;
        sample.system = self.system.clone();
        sample.tasks = self.tasks.clone();
        // Their indices are the interval's.
        sample.facts.clear();
    }
}

fn sum_task(sum: &mut Task, task: Task) {
    let stats = sum.stats.plus(&task.stats);
    let block = match (sum.block, task.block) {
        (Some(sum), Some(now)) => Some(sum.plus(&now)),
        (sum, now) => sum.or(now),
    };
    *sum = Task {
        stats,
        block,
        ..task
    };
}

fn plus(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.saturating_add(b)),
        (a, b) => a.or(b),
    }
}

fn sum_system(sum: &System, now: &System) -> System {
    System {
        pgpgin_bytes: plus(sum.pgpgin_bytes, now.pgpgin_bytes),
        pgpgout_bytes: plus(sum.pgpgout_bytes, now.pgpgout_bytes),
        dirtied_bytes: plus(sum.dirtied_bytes, now.dirtied_bytes),
        written_bytes: plus(sum.written_bytes, now.written_bytes),
        tasks_exited: plus(sum.tasks_exited, now.tasks_exited),
        self_cpu_ns: plus(sum.self_cpu_ns, now.self_cpu_ns),
        block: match (sum.block, now.block) {
            (Some(sum), Some(now)) => Some(sum_block(&sum, &now)),
            (sum, now) => sum.or(now),
        },
        lost: sum_lost(&sum.lost, &now.lost),
        ..now.clone()
    }
}

fn sum_block(a: &BlockTotals, b: &BlockTotals) -> BlockTotals {
    let (ua, ub) = (&a.unattributed, &b.unattributed);
    BlockTotals {
        read: a.read + b.read,
        write: a.write + b.write,
        attributed: a.attributed + b.attributed,
        shared: a.shared + b.shared,
        unattributed: Unattributed {
            pre_trace: ua.pre_trace + ub.pre_trace,
            metadata: ua.metadata + ub.metadata,
            swap: ua.swap + ub.swap,
            stacked: ua.stacked + ub.stacked,
            overflow: ua.overflow + ub.overflow,
            unknown: ua.unknown + ub.unknown,
        },
    }
}

fn sum_lost(a: &Lost, b: &Lost) -> Lost {
    Lost {
        exit_records: plus(a.exit_records, b.exit_records),
        owner_slots: plus(a.owner_slots, b.owner_slots),
        facts: plus(a.facts, b.facts),
        fact_inodes: plus(a.fact_inodes, b.fact_inodes),
        tags: plus(a.tags, b.tags),
        long_bios: plus(a.long_bios, b.long_bios),
        faults: plus(a.faults, b.faults),
        missed_events: plus(a.missed_events, b.missed_events),
    }
}
