//! Crowds: of very many exited tasks, those that moved least share rows.

use std::{
    cmp::Reverse,
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use super::{Sample, SharedTask, Task, TaskKey, sum};

/// What the tasks of a shared row have in common.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Common {
    comm: Arc<str>,
    /// The process, of its threads.
    pid: Option<u32>,
    uid: Option<u32>,
    cgroup_id: Option<u64>,
    kthread: bool,
}

impl Common {
    fn of(task: &Task) -> Common {
        Common {
            comm: task.comm.clone(),
            pid: (task.tid != task.pid).then_some(task.pid),
            uid: task.uid,
            cgroup_id: task.cgroup_id,
            kthread: task.kthread,
        }
    }

    /// What all others have in common.
    fn exited() -> Common {
        Common {
            comm: "exited".into(),
            ..Common::default()
        }
    }

    /// The identity of the shared row, the same in each sample.
    fn key(&self) -> TaskKey {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        TaskKey {
            tid: 0,
            // Later than any process, so that the process of threads is found.
            start_boottime: hasher.finish() | 1 << 63,
        }
    }

    /// A shared row of one task.
    fn row(&self, task: Task) -> Task {
        let TaskKey {
            tid,
            start_boottime,
        } = self.key();
        let tasks = task.tasks();
        let names = match *self == Common::of(&task) {
            true => task,
            false => Task {
                stats: task.stats,
                block: task.block,
                ..Task::default()
            },
        };
        Task {
            tid,
            pid: self.pid.unwrap_or(0),
            start_boottime,
            comm: self.comm.clone(),
            exited: true,
            crowd: Some(tasks),
            ppid: None,
            parents: None,
            start_time: None,
            cmdline: None,
            prio: None,
            ..names
        }
    }
}

impl Task {
    /// The row that this exited task shares with others, with its counters.
    pub fn into_crowd(self) -> Task {
        Common::of(&self).row(self)
    }
}

impl Sample {
    /// Leaves at most `most` exited tasks a row of their own: those with dirty pages, and those
    /// that moved most. The others
    /// share a row with those of the same name, user and cgroup, of which there are at most
    /// `most` too; the rest share one more. Every counter is in one row.
    ///
    /// Returns the new index of each task, in which the facts are not yet, or `None` if nothing
    /// changed.
    pub fn share_rows_of_exited(&mut self, most: usize) -> Option<Vec<usize>> {
        let own = |task: &Task| task.exited && !task.is_crowd();
        let shared = |task: &Task| task.exited && task.is_crowd();
        let mut exited: Vec<usize> = (0..self.tasks.len())
            .filter(|n| own(&self.tasks[*n]))
            .collect();
        if exited.len() <= most {
            return None;
        }
        exited.select_nth_unstable_by_key(most, |n| {
            let task = &self.tasks[*n];
            (Reverse((task.has_dirty_pages(), moved(task))), *n)
        });
        let mut shares = vec![false; self.tasks.len()];
        exited[most..].iter().for_each(|n| shares[*n] = true);

        let mut crowds: HashMap<Common, usize> = HashMap::new();
        let mut kept: Vec<SharedTask> = Vec::new();
        let mut index = Vec::with_capacity(self.tasks.len());
        for (n, task) in self.tasks.drain(..).enumerate() {
            if !shares[n] && !shared(&task) {
                index.push(kept.len());
                kept.push(task);
                continue;
            }
            let mut common = Common::of(&task);
            if crowds.len() >= most && !crowds.contains_key(&common) {
                common = Common::exited();
            }
            match crowds.get(&common) {
                Some(at) => {
                    let crowd = &mut kept[*at];
                    crowd.stats = crowd.stats + task.stats;
                    crowd.block = sum(crowd.block, task.block);
                    crowd.crowd = Some(crowd.tasks() + task.tasks());
                    index.push(*at);
                }
                None => {
                    index.push(kept.len());
                    kept.push(common.row(task.into_task()).into());
                    crowds.insert(common, kept.len() - 1);
                }
            }
        }
        self.tasks = kept;
        Some(index)
    }
}

/// How much a task moved or has pending.
fn moved(task: &Task) -> u64 {
    let block = task.block.unwrap_or_default();
    let stats = [task.stats.read_bytes, task.stats.write_bytes];
    let parts = [block.read, block.caused(), block.dirty_pending.unwrap_or(0)];
    let stats = stats.into_iter().flatten();
    stats.chain(parts).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        golden,
        sample::{TaskBlock, TaskCounters},
    };

    /// This many tasks have exited, each with one KiB more than the one before.
    fn crowd(names: &[&str]) -> Sample {
        let mut sample = golden::sample();
        sample.facts.clear();
        sample.tasks.clear();
        for (n, name) in names.iter().enumerate() {
            let task = Task {
                pid: 100 + n as u32,
                tid: 100 + n as u32,
                comm: (*name).into(),
                exited: true,
                stats: TaskCounters {
                    write_bytes: Some((n as u64 + 1) << 10),
                    ..TaskCounters::default()
                },
                block: Some(TaskBlock::zero()),
                ..Task::default()
            };
            sample.tasks.push(task.into());
        }
        sample
    }

    fn rows(sample: &Sample) -> Vec<(u32, &str, u64)> {
        let row = |task: &Task| {
            let kib = task.stats.write_bytes.unwrap_or(0) >> 10;
            (task.tid, kib)
        };
        let tasks = sample.tasks.iter();
        tasks
            .map(|task| (row(task).0, &*task.comm, row(task).1))
            .collect()
    }

    #[test]
    fn those_that_moved_least_share_rows_and_no_byte_is_lost() {
        let mut sample = crowd(&["cp", "dd", "cp", "dd", "cp"]);
        assert_eq!(sample.share_rows_of_exited(5), None);
        let index = sample.share_rows_of_exited(2).expect("shared");
        assert_eq!(index, [0, 1, 0, 2, 3]);
        assert_eq!(
            rows(&sample),
            [(0, "cp", 4), (0, "dd", 2), (103, "dd", 4), (104, "cp", 5)]
        );
        // Nothing else may share rows.
        assert_eq!(sample.share_rows_of_exited(2), None);
    }

    #[test]
    fn a_live_task_keeps_its_row_and_a_shared_row_takes_more() {
        let mut sample = crowd(&["cp", "cp", "cp"]);
        sample.tasks[0].exited = false;
        sample.share_rows_of_exited(1).expect("shared");
        assert_eq!(
            rows(&sample),
            [(100, "cp", 1), (0, "cp", 2), (102, "cp", 3)]
        );
        sample.tasks.extend(crowd(&["dd", "cp"]).tasks);
        sample.share_rows_of_exited(1).expect("shared");
        assert_eq!(
            rows(&sample),
            [
                (100, "cp", 1),
                (0, "cp", 4),
                (102, "cp", 3),
                (0, "exited", 1)
            ]
        );
    }

    #[test]
    fn hostile_names_do_not_make_more_rows() {
        let names: Vec<String> = (0..5000).map(|n| format!("name {n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut sample = crowd(&names);
        let before: u64 = rows(&sample).iter().map(|row| row.2).sum();
        sample.share_rows_of_exited(100).expect("shared");
        assert_eq!(sample.tasks.len(), 100 + 100 + 1);
        assert_eq!(rows(&sample).iter().map(|row| row.2).sum::<u64>(), before);
    }
}
