//! Tasks below their parents, threads below their process.

use std::collections::{HashMap, HashSet};

use crate::sample::{SharedTask, Task};

/// Lines are drawn down to this depth.
const DEEPEST: usize = 12;

/// A row of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Index of the task.
    pub at: usize,
    /// For each level, whether the line continues below; the last level is the row's
    /// own.
    pub lines: Vec<bool>,
}

/// Puts children right below their parents. `order` lists indices of `tasks`. Of
/// several siblings, the first is the one whose subtree has the earliest row of
/// `order`.
pub fn tree(tasks: &[SharedTask], order: &[usize]) -> Vec<Branch> {
    let parents = parents(tasks);
    let mut children: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
    let mut there: HashSet<usize> = HashSet::new();
    let all: HashSet<usize> = order.iter().copied().collect();
    for at in order {
        // The first row of a branch also places all its ancestors.
        let mut next = Some(*at);
        while let Some(at) = next.filter(|at| there.insert(*at)) {
            let parent = parents[at].filter(|parent| all.contains(parent));
            children.entry(parent).or_default().push(at);
            next = parent;
        }
    }
    let mut branches = Vec::with_capacity(order.len());
    let mut open: Vec<Branch> = Vec::new();
    let below = |parent: Option<usize>, lines: &[bool], open: &mut Vec<Branch>| {
        let of = children.get(&parent).map_or(&[][..], Vec::as_slice);
        for (n, at) in of.iter().enumerate().rev() {
            let mut lines = lines.to_vec();
            if parent.is_some() && lines.len() < DEEPEST {
                lines.push(n + 1 != of.len());
            }
            open.push(Branch { at: *at, lines });
        }
    };
    below(None, &[], &mut open);
    while let Some(branch) = open.pop() {
        below(Some(branch.at), &branch.lines, &mut open);
        branches.push(branch);
    }
    branches
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
/// child is not its parent.
fn parents(tasks: &[SharedTask]) -> Vec<Option<usize>> {
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
        let above = if task.tid == task.pid {
            task.ppid?
        } else {
            task.pid
        };
        let parent = *leaders.get(&above)?;
        let older = (tasks[parent].start_boottime, tasks[parent].pid != task.pid)
            <= (task.start_boottime, true);
        (older && parent != at).then_some(parent)
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

    fn shape(tasks: &[SharedTask]) -> Vec<(u32, usize)> {
        let order: Vec<usize> = (0..tasks.len()).collect();
        let branches = tree(tasks, &order);
        branches
            .iter()
            .map(|branch| (tasks[branch.at].tid, branch.lines.len()))
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
        assert_eq!(shape(&tasks), [(1, 0), (10, 1), (30, 2), (12, 2), (20, 1)]);
        // The busiest task is on top, below its ancestors.
        let order = [0, 4, 1, 3, 2];
        let tids: Vec<u32> = tree(&tasks, &order)
            .iter()
            .map(|b| tasks[b.at].tid)
            .collect();
        assert_eq!(tids, [1, 10, 30, 12, 20]);
        let order = [4, 0, 1, 3, 2];
        let tids: Vec<u32> = tree(&tasks, &order)
            .iter()
            .map(|b| tasks[b.at].tid)
            .collect();
        assert_eq!(tids, [1, 20, 10, 30, 12]);
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
            let mut found: Vec<usize> = tree(&tasks, &order).iter().map(|b| b.at).collect();
            found.sort_unstable();
            prop_assert_eq!(found, order);
        }
    }
}
