//! Exited tasks, which stay in view until their dirty pages are written, and for a
//! while longer.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use jiff::Timestamp;

use crate::sample::{Sample, Task, TaskBlock, TaskKey};

/// How long a task stays after the last sample that had it.
const STAY: Duration = Duration::from_secs(30);
/// At most this many tasks stay; the oldest are dropped first.
const MOST: usize = 500;

/// Tasks that exited lately, with all counters set to zero.
#[derive(Debug, Default)]
pub struct Gone {
    tasks: HashMap<TaskKey, (Task, Timestamp)>,
}

impl Gone {
    /// Adds the exited tasks of an interval. `did` says whether a task without I/O in
    /// this interval had some before.
    pub fn add(&mut self, sample: &Sample, did: impl Fn(&TaskKey) -> bool) {
        let exited = sample.tasks.iter().filter(|task| task.exited);
        for task in
            exited.filter(|task| task.did_io() || task.has_dirty_pages() || did(&task.key()))
        {
            let idle = Task {
                stats: task.stats.nothing(),
                block: task.block.map(|_| TaskBlock::zero()),
                ..Task::clone(task)
            };
            self.tasks.insert(task.key(), (idle, sample.time));
        }
        self.tasks
            .retain(|_, (_, heard)| sample.time.duration_since(*heard).unsigned_abs() < STAY);
        if self.tasks.len() > MOST {
            let mut times: Vec<Timestamp> = self.tasks.values().map(|(_, heard)| *heard).collect();
            times.sort_unstable();
            let oldest = times[times.len() - MOST];
            self.tasks.retain(|_, (_, heard)| *heard > oldest);
        }
    }

    /// Whether the task is kept.
    #[cfg(test)]
    pub fn has(&self, key: &TaskKey) -> bool {
        self.tasks.contains_key(key)
    }

    /// The kept tasks that are not in `sample`.
    pub fn missing(&self, sample: &Sample) -> Vec<Task> {
        if self.tasks.is_empty() {
            return Vec::new();
        }
        let there: HashSet<TaskKey> = sample.tasks.iter().map(|task| task.key()).collect();
        let missing = self.tasks.values().map(|(task, _)| task);
        missing
            .filter(|task| !there.contains(&task.key()))
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{golden, sample::TaskCounters};

    fn later(seconds: i64) -> Sample {
        let mut sample = golden::sample();
        sample.retain_tasks(&[false, true, true, true, true, true]);
        sample.time += jiff::SignedDuration::from_secs(seconds);
        sample
    }

    #[test]
    fn an_exited_writer_stays_for_a_while_with_zero_counters() {
        let mut gone = Gone::default();
        let first = golden::sample();
        gone.add(&first, |_| false);
        gone.add(&later(5), |_| false);
        let missing = gone.missing(&later(5));
        let dd = missing.iter().find(|task| task.tid == 1200).expect("dd");
        assert!(dd.exited && dd.block == Some(TaskBlock::zero()));
        assert_eq!(dd.stats, TaskCounters::default(), "it had no counters");
        assert!(gone.missing(&first).is_empty());
        gone.add(&later(31), |_| false);
        assert!(!gone.has(&first.tasks[0].key()));
    }

    #[test]
    fn a_task_that_did_nothing_is_not_kept() {
        let mut gone = Gone::default();
        let mut sample = golden::sample();
        sample.tasks[2].exited = true;
        gone.add(&sample, |_| false);
        assert!(!gone.has(&sample.tasks[2].key()));
        gone.add(&sample, |_| true);
        assert!(gone.has(&sample.tasks[2].key()));
    }
}
