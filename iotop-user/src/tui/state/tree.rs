//! Tasks below their parents, threads below their process.

use std::{collections::HashMap, hash::Hash};

use crate::sample::{SharedTask, Task};

/// Lines are drawn down to this depth.
const DEEPEST: usize = 12;

/// A row of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<K> {
    /// The row.
    pub at: K,
    /// For each level, whether the line continues below; the last level is the row's
    /// own.
    pub lines: Vec<bool>,
}

/// Puts children right below their parents. `above` has the parent of each row that has one.
/// Siblings stay in the order of `order`.
pub fn tree<K: Copy + Eq + Hash>(order: &[K], above: &HashMap<K, K>) -> Vec<Line<K>> {
    let mut children: HashMap<Option<K>, Vec<K>> = HashMap::new();
    for at in order {
        children
            .entry(above.get(at).copied())
            .or_default()
            .push(*at);
    }
    let mut rows = Vec::with_capacity(order.len());
    let mut open: Vec<Line<K>> = Vec::new();
    let below = |parent: Option<K>, lines: &[bool], open: &mut Vec<Line<K>>| {
        let of = children.get(&parent).map_or(&[][..], Vec::as_slice);
        for (n, at) in of.iter().enumerate().rev() {
            let mut lines = lines.to_vec();
            if parent.is_some() && lines.len() < DEEPEST {
                lines.push(n + 1 != of.len());
            }
            open.push(Line { at: *at, lines });
        }
    };
    below(None, &[], &mut open);
    while let Some(row) = open.pop() {
        below(Some(row.at), &row.lines, &mut open);
        rows.push(row);
    }
    rows
}

/// Marks the chosen tasks and all their ancestors, so that the tree is complete.
pub fn with_ancestors(tasks: &[SharedTask], chosen: impl Fn(&Task) -> bool) -> Vec<bool> {
    let parents = parents(tasks);
    let mut keep = vec![false; tasks.len()];
    for at in (0..tasks.len()).filter(|at| chosen(&tasks[*at])) {
        let mut next = Some(at);
        while let Some(at) = next.filter(|at| !keep[*at]) {
            keep[at] = true;
            next = parents[at];
        }
    }
    keep
}

/// The index of each task's parent. PIDs are reused: a task that is younger than the
/// child is not its parent. An exited task is below the nearest of its ancestors that is there:
/// its parent may have exited too.
pub fn parents(tasks: &[SharedTask]) -> Vec<Option<usize>> {
    let mut leaders: HashMap<u32, usize> = HashMap::new();
    for (at, task) in tasks
        .iter()
        .enumerate()
        .filter(|(_, task)| task.tid == task.pid)
    {
        let newest = leaders.entry(task.pid).or_insert(at);
        if tasks[*newest].start_boottime < task.start_boottime {
            *newest = at;
        }
    }
    let parent = |(at, task): (usize, &SharedTask)| {
        let there = |pid: u32| {
            let parent = *leaders.get(&pid)?;
            let older = (tasks[parent].start_boottime, tasks[parent].pid != task.pid)
                <= (task.start_boottime, true);
            (older && parent != at).then_some(parent)
        };
        if task.tid != task.pid {
            return there(task.pid);
        }
        let launchers = task.parents.iter().filter(|_| task.exited);
        let mut launchers = launchers.flat_map(|parents| parents.iter().map(|one| one.pid));
        launchers.find_map(there).or_else(|| there(task.ppid?))
    };
    let mut parents: Vec<Option<usize>> = tasks.iter().enumerate().map(parent).collect();
    // Tasks that started in the same tick could form a circle.
    for at in 0..parents.len() {
        let (mut above, mut steps) = (parents[at], 0);
        while let Some(next) = above {
            steps += 1;
            if next == at || steps > tasks.len() {
                parents[at] = None;
                break;
            }
            above = parents[next];
        }
    }
    parents
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample::Parent;

    fn task(pid: u32, tid: u32, ppid: u32) -> SharedTask {
        let task = Task {
            pid,
            tid,
            ppid: Some(ppid),
            start_boottime: u64::from(tid),
            ..Task::default()
        };
        task.into()
    }

    fn above(tasks: &[SharedTask]) -> HashMap<usize, usize> {
        let parents = parents(tasks).into_iter().enumerate();
        parents
            .filter_map(|(at, parent)| Some((at, parent?)))
            .collect()
    }

    fn shape(tasks: &[SharedTask], order: &[usize]) -> Vec<(u32, usize)> {
        let rows = tree(order, &above(tasks)).into_iter();
        rows.map(|row| (tasks[row.at].tid, row.lines.len()))
            .collect()
    }

    #[test]
    fn children_and_threads_lie_below_in_the_order_given() {
        let tasks = [
            task(30, 30, 10),
            task(1, 1, 0),
            task(10, 12, 1),
            task(10, 10, 1),
            task(20, 20, 1),
        ];
        let as_given = [(1, 0), (10, 1), (30, 2), (12, 2), (20, 1)];
        assert_eq!(shape(&tasks, &[0, 1, 2, 3, 4]), as_given);
        // Only the order of siblings counts.
        let other = [(1, 0), (20, 1), (10, 1), (30, 2), (12, 2)];
        assert_eq!(shape(&tasks, &[0, 4, 1, 2, 3]), other);
        assert_eq!(shape(&tasks, &[4, 0, 1, 3, 2]), other);
    }

    #[test]
    fn an_exited_task_is_below_the_nearest_ancestor_that_is_there() {
        let launched_by = |pids: &[u32], exited| {
            let parent = |pid: &u32| Parent {
                pid: *pid,
                comm: "sh".into(),
            };
            let dd = Task {
                parents: Some(pids.iter().map(parent).collect()),
                exited,
                ..Task::clone(&task(40, 40, 1))
            };
            SharedTask::from(dd)
        };
        // The script, 30, has exited and has no row. 50 is younger than its would-be child.
        let others = [task(1, 1, 0), task(20, 20, 1), task(50, 50, 1)];
        for (dd, parent) in [
            (launched_by(&[30, 20], true), 1),
            (launched_by(&[50, 20], true), 1),
            (launched_by(&[30], true), 0),
            (launched_by(&[30, 20], false), 0),
        ] {
            let mut tasks = others.to_vec();
            tasks.push(dd);
            assert_eq!(parents(&tasks)[3], Some(parent));
        }
    }

    #[test]
    fn chosen_tasks_keep_all_their_ancestors() {
        let tasks = [
            task(1, 1, 0),
            task(10, 10, 1),
            task(20, 20, 1),
            task(30, 30, 10),
        ];
        assert_eq!(
            with_ancestors(&tasks, |task| task.pid == 30),
            [true, true, false, true]
        );
    }

    proptest! {
        #[test]
        fn every_task_is_in_the_tree_once(
            tasks in prop::collection::vec((0u32..8, 0u32..8, 0u32..8, 0u64..3), 0..20)
        ) {
            let of = |(pid, tid, ppid, start)| {
                let mut task = task(pid, tid, ppid);
                task.start_boottime = start;
                task
            };
            let tasks: Vec<SharedTask> = tasks.into_iter().map(of).collect();
            let order: Vec<usize> = (0..tasks.len()).collect();
            let mut found: Vec<usize> =
                tree(&order, &above(&tasks)).iter().map(|row| row.at).collect();
            found.sort_unstable();
            prop_assert_eq!(found, order);
        }
    }
}
