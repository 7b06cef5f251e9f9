//! Which tasks are descendants of one process, also those whose parents have ended.
//!
//! That process is a subreaper (`PR_SET_CHILD_SUBREAPER`). So the parent of a descendant is always
//! another descendant, or the subreaper. A record of a task has the parent that the task had then,
//! and that parent lived then, so it has a record too: of its exit, or of the next pass over all
//! tasks. No process between the two is missed, however short its life was.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::sample::{Sample, Task, TaskKey};

/// The first process and the parent of all kernel threads; 0 is no process.
const ROOTS: [u32; 3] = [0, 1, 2];

/// A process: its pid and its start.
type Process = (u32, u64);

/// To which side a task belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It is a descendant.
    Descendant,
    /// It is not.
    Other,
    /// The record of one of its ancestors is not here yet.
    Undecided,
}

/// The descendants of one process.
#[derive(Debug)]
pub struct Descendants {
    /// The process's pid where the tracer runs, and its name, by which it is found where the
    /// sources have other numbers.
    pid: u32,
    name: String,
    by_name: bool,
    root: Option<TaskKey>,
    /// The processes that are older than it.
    older: HashSet<u32>,
    /// The parent and the side of each younger process.
    younger: BTreeMap<Process, (Option<u32>, Side)>,
    /// The sample in which each younger process was seen first.
    seen: HashMap<Process, u64>,
    /// The sample in which each of those that have ended was reported as such.
    ended: HashMap<Process, u64>,
    samples: u64,
    undecided: Vec<Process>,
}

impl Descendants {
    /// Those of this process. `by_name`: the sources may have other numbers than we (in a PID
    /// namespace), so its name, which no other process has, finds it.
    pub fn of(pid: u32, name: &str, by_name: bool) -> Descendants {
        Descendants {
            pid,
            name: name.to_owned(),
            by_name,
            root: None,
            older: HashSet::new(),
            younger: BTreeMap::new(),
            seen: HashMap::new(),
            ended: HashMap::new(),
            samples: 0,
            undecided: Vec::new(),
        }
    }

    /// True if the process was found in a sample. Nothing is decided before.
    pub fn is_rooted(&self) -> bool {
        self.root.is_some()
    }

    /// True if samples have every live task of the machine, not only those of our PID namespace.
    pub fn sees_all(&self) -> bool {
        !self.by_name
    }

    /// How many descendants there were until now, without threads.
    pub fn count(&self) -> u64 {
        let sides = self.younger.values();
        sides.filter(|(_, side)| *side == Side::Descendant).count() as u64
    }

    /// Learns the processes of a sample, which has to have all live tasks.
    pub fn look(&mut self, sample: &Sample) {
        self.samples += 1;
        let tasks = || {
            let tasks = sample.tasks.iter().map(|task| &**task);
            tasks.filter(|task| !task.is_crowd())
        };
        if self.root.is_none() {
            let is_root = |task: &&Task| match self.by_name {
                true => !task.exited && *task.comm == *self.name,
                false => task.pid == self.pid && task.tid == self.pid,
            };
            let Some(root) = tasks().find(is_root) else {
                return;
            };
            self.root = Some(root.key());
            let start = root.start_boottime;
            let older = tasks().filter(|task| task.start_boottime < start);
            self.older = older.map(|task| task.pid).collect();
        }
        for leader in tasks().filter(|task| task.tid == task.pid) {
            self.add(leader);
        }
        for thread in tasks().filter(|task| task.tid != task.pid) {
            // Its leader has a record in each sample, or had one.
            if self.process(thread).is_none() && !self.older.contains(&thread.pid) {
                self.add(thread);
            }
        }
        for leader in tasks().filter(|task| task.exited && task.tid == task.pid) {
            let process = (leader.pid, leader.start_boottime);
            if self.younger.contains_key(&process) {
                self.ended.entry(process).or_insert(self.samples);
            }
        }
        for process in std::mem::take(&mut self.undecided) {
            if self.decide(process) == Side::Undecided {
                self.undecided.push(process);
            }
        }
    }

    /// To which side a task belongs, as far as is known from the samples until now.
    pub fn side(&self, task: &Task) -> Side {
        match self.root {
            None => Side::Undecided,
            Some(root) if task.start_boottime < root.start_boottime || task.key() == root => {
                Side::Other
            }
            Some(_) => match self.process(task) {
                Some(process) => self.younger[&process].1,
                None if self.older.contains(&task.pid) => Side::Other,
                None => Side::Undecided,
            },
        }
    }

    /// The younger process that a task is a thread of.
    fn process(&self, task: &Task) -> Option<Process> {
        self.latest(task.pid, task.start_boottime)
    }

    /// The last process that got this number until then.
    fn latest(&self, pid: u32, until: u64) -> Option<Process> {
        let mut processes = self.younger.range((pid, 0)..=(pid, until));
        processes.next_back().map(|(process, _)| *process)
    }

    /// The process with this number when its child was seen first. One that had ended in an
    /// earlier sample is not the child's parent: another process, of which there is no record
    /// yet, has got its number.
    fn parent(&self, ppid: u32, child: Process) -> Option<Process> {
        let parent = self.latest(ppid, child.1)?;
        let seen = self.seen.get(&child).copied().unwrap_or(u64::MAX);
        // A child of the last moment may come with the sample after.
        let had_ended = self
            .ended
            .get(&parent)
            .is_some_and(|ended| seen > ended + 1);
        (!had_ended).then_some(parent)
    }

    fn add(&mut self, task: &Task) {
        let is_younger = self
            .root
            .is_some_and(|root| task.start_boottime >= root.start_boottime && task.key() != root);
        let process = (task.pid, task.start_boottime);
        if !is_younger || self.younger.contains_key(&process) {
            return;
        }
        let side = match task.kthread {
            true => Side::Other,
            false => Side::Undecided,
        };
        self.younger.insert(process, (task.ppid, side));
        self.seen.insert(process, self.samples);
        if side == Side::Undecided {
            self.undecided.push(process);
        }
    }

    /// Follows the parents of a process up to one whose side is known.
    fn decide(&mut self, process: Process) -> Side {
        let mut way = vec![process];
        let side = loop {
            let at = way[way.len() - 1];
            let (ppid, side) = self.younger[&at];
            let (Side::Undecided, Some(ppid)) = (side, ppid) else {
                break side;
            };
            if self.root.is_some_and(|root| root.tid == ppid) {
                break Side::Descendant;
            }
            match self.parent(ppid, at) {
                // Records that contradict each other lead nowhere.
                Some(parent) if !way.contains(&parent) => way.push(parent),
                None if ROOTS.contains(&ppid) || self.older.contains(&ppid) => break Side::Other,
                _ => break Side::Undecided,
            }
        };
        for process in way {
            if let Some(known) = self.younger.get_mut(&process) {
                known.1 = side;
            }
        }
        side
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    /// A process: pid, parent, start.
    type Row = (u32, u32, u64);

    fn task((pid, ppid, start): Row) -> Task {
        Task {
            pid,
            tid: pid,
            ppid: Some(ppid),
            start_boottime: start,
            comm: format!("p{pid}").into(),
            ..Task::default()
        }
    }

    fn sample(rows: &[Row]) -> Sample {
        let mut sample = golden::sample();
        sample.tasks = rows.iter().map(|row| task(*row).into()).collect();
        sample
    }

    const SUPERVISOR: Row = (100, 90, 50);
    const SHELL: Row = (90, 1, 10);
    const INIT: Row = (1, 0, 1);

    /// After these samples, the side of each process.
    fn sides(samples: &[&[Row]], of: &[Row]) -> Vec<Side> {
        let mut descendants = Descendants::of(100, "p100", false);
        descendants.look(&sample(&[INIT, SHELL, SUPERVISOR]));
        for rows in samples {
            descendants.look(&sample(rows));
        }
        of.iter().map(|row| descendants.side(&task(*row))).collect()
    }

    use Side::{Descendant as Ours, Other, Undecided};

    #[test]
    fn children_of_children_are_descendants_and_the_tracer_and_its_shell_are_not() {
        let (make, cc, cron) = ((101, 100, 60), (102, 101, 61), (103, 1, 62));
        let child_of_shell = (104, 90, 63);
        let rows = [cc, make, cron, child_of_shell];
        assert_eq!(sides(&[&rows], &rows), [Ours, Ours, Other, Other]);
        assert_eq!(
            sides(&[], &[INIT, SHELL, SUPERVISOR]),
            [Other, Other, Other]
        );
    }

    #[test]
    fn a_daemon_is_a_descendant_after_its_parents_have_gone() {
        // By then, its parent is the subreaper.
        let daemon = (105, 100, 70);
        assert_eq!(sides(&[&[daemon]], &[daemon]), [Ours]);
        // Its pages are written long after its exit: the slot has the first parent.
        let slot = (105, 104, 70);
        assert_eq!(sides(&[&[daemon], &[slot]], &[slot]), [Ours]);
    }

    #[test]
    fn a_child_whose_parent_is_seen_later_is_decided_then() {
        let (parent, child) = ((101, 100, 60), (102, 101, 61));
        assert_eq!(sides(&[&[child]], &[child]), [Undecided]);
        assert_eq!(sides(&[&[child], &[parent]], &[child]), [Ours]);
        let (parent, child) = ((101, 1, 60), (102, 101, 61));
        assert_eq!(sides(&[&[child], &[parent]], &[child]), [Other]);
    }

    #[test]
    fn a_process_that_gets_a_number_again_has_its_own_parent() {
        // 101 was a descendant; its number goes to a process of cron's.
        let (first, second) = ((101, 100, 60), (101, 90, 80));
        let (of_first, of_second) = ((102, 101, 61), (103, 101, 81));
        let rows = [first, second, of_first, of_second];
        assert_eq!(sides(&[&rows], &rows), [Ours, Other, Ours, Other]);
        // The number of an older process goes to a descendant.
        let (old, new) = ((91, 90, 60), (90, 100, 80));
        assert_eq!(sides(&[&[old], &[new]], &[old, new]), [Other, Ours]);
    }

    /// Regression: with 32,768 numbers, a fork storm had a foreign writer among its descendants.
    #[test]
    fn a_parent_that_has_ended_is_nobodys_parent_later() {
        let (ended, foreign) = ((101, 100, 60), (102, 101, 90));
        let mut descendants = Descendants::of(100, "p100", false);
        descendants.look(&sample(&[INIT, SHELL, SUPERVISOR, ended]));
        let mut with_end = sample(&[INIT, SHELL, SUPERVISOR]);
        with_end.tasks.push(
            Task {
                exited: true,
                ..task(ended)
            }
            .into(),
        );
        descendants.look(&with_end);
        // Its last child may be seen with the sample after.
        let child = (103, 101, 61);
        descendants.look(&sample(&[INIT, SHELL, SUPERVISOR, child]));
        descendants.look(&sample(&[INIT, SHELL, SUPERVISOR, foreign]));
        let side = |row| descendants.side(&task(row));
        assert_eq!([side(child), side(foreign)], [Ours, Undecided]);
    }

    #[test]
    fn a_thread_belongs_to_its_process() {
        let leader = (101, 100, 60);
        let thread = Task {
            tid: 110,
            ..task((101, 100, 65))
        };
        let mut descendants = Descendants::of(100, "p100", false);
        descendants.look(&sample(&[SUPERVISOR, leader]));
        assert_eq!(descendants.side(&thread), Ours);
        assert_eq!(descendants.count(), 1);
    }

    #[test]
    fn in_a_namespace_the_process_is_found_by_its_name() {
        let mut descendants = Descendants::of(7, "p100", true);
        let command = (101, 100, 60);
        descendants.look(&sample(&[SHELL, SUPERVISOR, command]));
        assert!(descendants.is_rooted());
        assert_eq!(descendants.side(&task(command)), Ours);
    }

    #[test]
    fn parents_in_a_circle_end_the_search() {
        let rows = [(101, 102, 60), (102, 101, 60)];
        assert_eq!(sides(&[&rows], &rows), [Undecided, Undecided]);
    }
}
