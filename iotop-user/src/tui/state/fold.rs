//! Folds: the exited tasks of one parent that have one name are one row, `head x23`. A script
//! that starts a program again and again would fill the screen otherwise.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use super::{branch, rows::RowKey};
use crate::{
    sample::{Group, SharedTask, Task},
    view::command_name,
};

/// Tasks in one row.
#[derive(Debug)]
pub struct Fold {
    /// Its identity.
    pub key: RowKey,
    /// The sums of its tasks, and its name.
    pub group: Group,
    /// The same of the totals, if both rates and totals are shown.
    pub totals: Option<Group>,
    /// Indices of its tasks, at least two.
    pub members: Vec<usize>,
}

/// The folds of a sample's tasks.
pub fn folds(tasks: &[SharedTask]) -> Vec<Fold> {
    let mut places: HashMap<(u32, &Arc<str>), Vec<usize>> = HashMap::new();
    for (at, task) in tasks.iter().enumerate().filter(|(_, task)| task.exited) {
        if let Some(parent) = parent(task) {
            places.entry((parent, &task.comm)).or_default().push(at);
        }
    }
    // Exited kworkers have names of their own.
    let mut members: HashMap<RowKey, Vec<usize>> = HashMap::new();
    for ((parent, comm), at) in places {
        let kthread = tasks[at[0]].kthread;
        let key = RowKey::Fold(parent, command_name(comm, kthread));
        match members.entry(key) {
            Entry::Occupied(mut known) => known.get_mut().extend(at),
            Entry::Vacant(free) => {
                free.insert(at);
            }
        }
    }
    let several = members.into_iter().filter(|(_, members)| members.len() > 1);
    let fold = |(key, mut members): (RowKey, Vec<usize>)| {
        members.sort_unstable();
        let group = added(&key, members.iter().map(|at| &*tasks[*at]));
        Fold {
            key,
            group,
            totals: None,
            members,
        }
    };
    several.map(fold).collect()
}

/// The sum of a fold's tasks.
pub fn added<'a>(key: &RowKey, tasks: impl Iterator<Item = &'a Task>) -> Group {
    let mut group = branch::added(tasks);
    if let RowKey::Fold(_, name) = key {
        group.name = Some(format!("{name} x{}", group.tasks).into());
    }
    group
}

/// The parent of a process, or the process of a thread.
fn parent(task: &Task) -> Option<u32> {
    match task.tid == task.pid {
        true => task.ppid,
        false => Some(task.pid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exited(tid: u32, ppid: u32, comm: &str) -> SharedTask {
        let task = Task {
            pid: tid,
            tid,
            ppid: Some(ppid),
            comm: comm.into(),
            exited: true,
            stats: crate::sample::TaskCounters {
                write_bytes: Some(4096),
                ..Default::default()
            },
            ..Task::default()
        };
        task.into()
    }

    #[test]
    fn only_exited_siblings_of_one_name_are_folded() {
        let mut tasks = vec![
            exited(10, 1, "head"),
            exited(11, 1, "head"),
            exited(12, 2, "head"),
            exited(13, 1, "tail"),
            exited(14, 1, "head"),
        ];
        let mut alive = Task::clone(&exited(15, 1, "head"));
        alive.exited = false;
        tasks.push(alive.into());
        let folds = folds(&tasks);
        assert_eq!(folds.len(), 1);
        assert_eq!(folds[0].key, RowKey::Fold(1, "head".into()));
        assert_eq!(folds[0].members, [0, 1, 4]);
        let group = &folds[0].group;
        assert_eq!(group.name.as_deref(), Some("head x3"));
        assert_eq!(group.stats.write_bytes, Some(3 * 4096));
    }

    #[test]
    fn exited_kworkers_and_threads_of_a_process_are_folded_too() {
        let mut tasks = vec![exited(20, 2, "kworker/0:1"), exited(21, 2, "kworker/u8:3")];
        for task in &mut tasks {
            *task = Task {
                kthread: true,
                ..Task::clone(task)
            }
            .into();
        }
        for tid in [31, 32] {
            let thread = exited(30, 1, "worker");
            tasks.push(
                Task {
                    tid,
                    ..Task::clone(&thread)
                }
                .into(),
            );
        }
        let mut names: Vec<_> = folds(&tasks).into_iter().map(|fold| fold.key).collect();
        names.sort_by_key(|key| format!("{key:?}"));
        let fold = |parent, name: &str| RowKey::Fold(parent, name.into());
        assert_eq!(names, [fold(2, "[kworker]"), fold(30, "worker")]);
    }
}
