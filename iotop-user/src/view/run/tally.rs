//! Adds up what the descendants of a process do, sample by sample.

use std::collections::{HashMap, HashSet};

use super::{Cost, Descendants, Side};
use crate::sample::{Lost, Sample, Task, TaskKey};

/// A task that is undecided in so many samples stays so: one of its ancestors' records is lost.
const PATIENCE: u8 = 3;

/// What the descendants of a process did until now.
#[derive(Debug)]
pub struct Tally {
    descendants: Descendants,
    /// What they did.
    pub cost: Cost,
    /// What those did of which it is not known whether they are descendants: tasks that share a
    /// row with others, or one of whose ancestors has no record.
    pub unknown: Cost,
    /// How many of the latter there are.
    pub unknown_tasks: u64,
    /// How many tasks, at least, shared a row in one sample.
    pub in_crowds: u64,
    /// Page cache that they made dirty and that is not written yet, in bytes. `None` without eBPF.
    pub pending: Option<u64>,
    /// How many of them had not ended at the last sample.
    pub running: u64,
    /// What the samples lost.
    pub lost: Lost,
    /// The tasks that are not decided yet, and in how many samples they were not.
    undecided: HashMap<TaskKey, (Task, Cost, u8)>,
}

impl Tally {
    /// Begins with nothing.
    pub fn of(descendants: Descendants) -> Tally {
        Tally {
            descendants,
            cost: Cost::default(),
            unknown: Cost::default(),
            unknown_tasks: 0,
            in_crowds: 0,
            pending: None,
            running: 0,
            lost: Lost::default(),
            undecided: HashMap::new(),
        }
    }

    /// How many processes there were.
    pub fn processes(&self) -> u64 {
        self.descendants.count()
    }

    /// True if the process whose descendants are counted was found.
    pub fn is_rooted(&self) -> bool {
        self.descendants.is_rooted()
    }

    /// Adds a sample with all live tasks.
    pub fn add(&mut self, sample: &Sample) {
        self.descendants.look(sample);
        if !self.is_rooted() {
            return;
        }
        self.lost = self.lost + sample.system.lost;
        // Which counters there are, even if the command did nothing.
        self.cost.stats = self.cost.stats + sample.system.counted;
        self.pending = sample.system.block.map(|_| 0);
        let mut running = HashSet::new();
        for task in &sample.tasks {
            let Some(cost) = self.cost_of(task) else {
                continue;
            };
            cost.add_row(task);
            if !task.is_crowd() && self.descendants.side(task) == Side::Descendant {
                let pending = task.block.and_then(|block| block.dirty_pending);
                self.pending = crate::sample::sum(self.pending, pending);
                if !task.exited {
                    running.insert(task.pid);
                }
            }
        }
        self.running = running.len() as u64;
        let crowds = sample.tasks.iter().filter(|task| task.is_crowd());
        self.in_crowds = self.in_crowds.max(crowds.map(|task| task.tasks()).sum());
        for fact in &sample.facts {
            let owner = fact.owner.map(|owner| &sample.tasks[owner]);
            if let Some(cost) = owner.and_then(|owner| self.cost_of(owner)) {
                cost.add_fact(fact, sample);
            }
        }
        let commits = sample
            .flushes
            .iter()
            .filter_map(|flush| flush.commits.as_ref());
        for demand in commits.flat_map(|commits| &commits.asked) {
            if let (Some(task), Some(call)) = (&demand.task, demand.call)
                && let Some(cost) = self.cost_of(task)
            {
                cost.add_commits(call, demand.count);
            }
        }
        self.settle();
    }

    /// The sum that a task belongs to; `None` if it is none of ours.
    fn cost_of(&mut self, task: &Task) -> Option<&mut Cost> {
        if task.is_crowd() {
            return Some(&mut self.unknown);
        }
        match self.descendants.side(task) {
            Side::Descendant => Some(&mut self.cost),
            Side::Other => None,
            Side::Undecided => {
                let new = || (task.clone(), Cost::default(), 0);
                let undecided = self.undecided.entry(task.key()).or_insert_with(new);
                Some(&mut undecided.1)
            }
        }
    }

    /// Moves what undecided tasks did to where it belongs.
    fn settle(&mut self) {
        for (key, (task, cost, samples)) in std::mem::take(&mut self.undecided) {
            match self.descendants.side(&task) {
                Side::Descendant => self.cost.add(cost),
                Side::Other => {}
                Side::Undecided if samples < PATIENCE => {
                    self.undecided.insert(key, (task, cost, samples + 1));
                }
                Side::Undecided => self.give_up(cost),
            }
        }
    }

    /// No sample follows: what is undecided stays so.
    pub fn finish(&mut self) {
        for (_, cost, _) in std::mem::take(&mut self.undecided).into_values() {
            self.give_up(cost);
        }
    }

    /// It stays unknown whether the task that did this is a descendant.
    fn give_up(&mut self, cost: Cost) {
        // Of a task outside our PID namespace no ancestor is ever seen, and it is no descendant.
        if self.descendants.sees_all() {
            self.unknown_tasks += 1;
            self.unknown.add(cost);
        }
    }
}

#[cfg(test)]
mod tests {
    use iotop_common::Class;

    use super::*;
    use crate::{
        golden,
        sample::{BlockFact, TaskBlock, TaskCounters},
    };

    fn task(pid: u32, ppid: u32, start: u64, wrote: u64) -> Task {
        Task {
            pid,
            tid: pid,
            ppid: Some(ppid),
            start_boottime: start,
            stats: TaskCounters {
                write_char: Some(wrote),
                ..TaskCounters::zero()
            },
            block: Some(TaskBlock {
                dirty_pending: Some(wrote),
                ..TaskBlock::zero()
            }),
            ..Task::default()
        }
    }

    fn sample(tasks: &[Task]) -> Sample {
        let mut sample = golden::sample();
        sample.tasks = tasks.iter().cloned().map(Into::into).collect();
        sample.facts.clear();
        sample
    }

    /// A tally after a sample with the supervisor, pid 100.
    fn tally() -> Tally {
        let mut tally = Tally::of(Descendants::of(100, "", false));
        let tasks = [task(1, 0, 1, 7), task(90, 1, 10, 7), task(100, 90, 50, 7)];
        tally.add(&sample(&tasks));
        assert!(tally.is_rooted());
        tally
    }

    #[test]
    fn only_descendants_are_counted_each_sample_once() {
        let mut tally = tally();
        for _ in 0..2 {
            let tasks = [task(101, 100, 60, 10), task(90, 1, 10, 1000)];
            tally.add(&sample(&tasks));
        }
        assert_eq!(tally.cost.stats.write_char, Some(20));
        assert_eq!(tally.pending, Some(10), "a level");
        assert_eq!((tally.processes(), tally.running), (1, 1));
        tally.finish();
        assert_eq!(tally.unknown_tasks, 0);
    }

    #[test]
    fn what_a_task_did_before_its_parent_was_seen_counts() {
        let mut tally = tally();
        tally.add(&sample(&[task(102, 101, 61, 5)]));
        assert_eq!(tally.cost.stats.write_char, Some(0));
        tally.add(&sample(&[task(101, 100, 60, 1)]));
        assert_eq!(tally.cost.stats.write_char, Some(6));
        // Of the next one the parent never comes.
        tally.add(&sample(&[task(105, 104, 70, 9)]));
        tally.finish();
        assert_eq!(tally.cost.stats.write_char, Some(6));
        assert_eq!(tally.unknown.stats.write_char, Some(9));
        assert_eq!(tally.unknown_tasks, 1);
    }

    #[test]
    fn a_shared_row_is_unknown_and_belongs_to_nobody() {
        let mut tally = tally();
        let crowd = Task {
            crowd: Some(3),
            ..task(0, 0, 1 << 63, 11)
        };
        tally.add(&sample(&[crowd]));
        assert_eq!(tally.cost.stats.write_char, Some(0));
        assert_eq!(tally.unknown.stats.write_char, Some(11));
    }

    #[test]
    fn facts_go_to_devices_and_files_of_the_owner_whoever_submits() {
        let mut tally = tally();
        let mut sample = sample(&[task(101, 100, 60, 1), task(90, 1, 10, 1)]);
        let fact = golden::sample().facts[0];
        let owned = |owner, class, bytes| BlockFact {
            owner: Some(owner),
            submitter: Some(1),
            class,
            bytes,
            ..fact
        };
        sample.facts = vec![
            owned(0, Class::Exact, 4096),
            owned(0, Class::Journal, 512),
            owned(1, Class::Exact, 1 << 20),
        ];
        tally.add(&sample);
        let device = tally.cost.devices[&(8, 1)];
        assert_eq!((device.write_flushed, device.metadata.journal), (4096, 512));
        let files = tally.cost.top_files(5);
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].1.bytes, 4096);
        assert_eq!(files[0].1.path.as_deref(), Some("/srv/x"));
    }
}
