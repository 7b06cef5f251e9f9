//! Branches of the tree. The row of a parent shows the sum of its branch: its own figures and
//! those of all rows below it, alive or exited, whether they are visible or not.

use std::collections::HashMap;

use super::{
    rows::RowKey,
    shown::{At, Shown},
    tree::parents,
};
use crate::sample::{Group, Task, sum};

/// A row that has others below it, with all of them.
#[derive(Debug)]
pub struct Branch {
    /// The sums of its tasks.
    pub group: Group,
    /// The same of the totals, if both rates and totals are shown.
    pub totals: Option<Group>,
    /// Indices of its tasks: those of the row itself, and of all rows below it.
    pub members: Vec<usize>,
}

/// The parent of each of these rows that has one.
pub(super) fn above(shown: &Shown, rows: &[At]) -> HashMap<At, At> {
    let row_of = row_of(shown, rows);
    let parents = parents(&shown.sample.tasks);
    let parent = |at: &At| {
        let mut tasks = shown.own(*at);
        let parent = tasks.find_map(|task| row_of.get(&parents[task]?).copied())?;
        (parent != *at).then_some((*at, parent))
    };
    let mut above: HashMap<At, At> = rows.iter().filter_map(parent).collect();
    // Folds join tasks of which one may be below another if a PID was reused.
    for at in rows {
        let (mut next, mut steps) = (above.get(at).copied(), 0);
        while let Some(parent) = next {
            steps += 1;
            if parent == *at || steps > rows.len() {
                above.remove(at);
                break;
            }
            next = above.get(&parent).copied();
        }
    }
    above
}

/// The branches: one for each row that is a parent.
pub(super) fn branches(shown: &Shown, rows: &[At], above: &HashMap<At, At>) -> HashMap<At, Branch> {
    let mut members: HashMap<At, Vec<usize>> = HashMap::new();
    for at in rows {
        for parent in ancestors(*at, above) {
            let of_parent = members.entry(parent);
            let of_parent = of_parent.or_insert_with(|| shown.own(parent).collect());
            of_parent.extend(shown.own(*at));
        }
    }
    let within = within(shown, rows, above);
    let branch = |(at, members): (At, Vec<usize>)| {
        let tasks = members.iter().map(|at| &*shown.sample.tasks[*at]);
        let mut group = added(tasks.clone());
        if let (Some(block), Some(bytes)) = (&mut group.block, within.get(&at)) {
            block.submitted_for_others = block.submitted_for_others.saturating_sub(*bytes);
        }
        let totals = shown.totals.as_ref().map(|(totals, places)| {
            let known = tasks.filter_map(|task| places.get(&RowKey::Task(task.key())));
            added(known.map(|at| &*totals.tasks[*at]))
        });
        let branch = Branch {
            group,
            totals,
            members,
        };
        (at, branch)
    };
    members.into_iter().map(branch).collect()
}

/// The sum of some tasks.
pub(super) fn added<'a>(tasks: impl Iterator<Item = &'a Task>) -> Group {
    tasks.fold(Group::default(), |group, task| Group {
        tasks: group.tasks + 1,
        stats: group.stats + task.stats,
        block: sum(group.block, task.block),
        ..group
    })
}

/// Bytes that a task of a branch submitted for another task of the same branch. The branch did
/// not submit those for others.
fn within(shown: &Shown, rows: &[At], above: &HashMap<At, At>) -> HashMap<At, u64> {
    let row_of = row_of(shown, rows);
    let mut within: HashMap<At, u64> = HashMap::new();
    for fact in &shown.sample.facts {
        let (Some(owner), Some(submitter)) = (fact.owner, fact.submitter) else {
            continue;
        };
        let (Some(of), Some(by)) = (row_of.get(&owner), row_of.get(&submitter)) else {
            continue;
        };
        if owner == submitter {
            continue;
        }
        let branches = |at: At| [at].into_iter().chain(ancestors(at, above));
        for at in branches(*by).filter(|at| branches(*of).any(|other| other == *at)) {
            *within.entry(at).or_default() += fact.bytes;
        }
    }
    within
}

/// The row of each task.
fn row_of(shown: &Shown, rows: &[At]) -> HashMap<usize, At> {
    let of = |at: &At| {
        let at = *at;
        shown.own(at).map(move |task| (task, at))
    };
    rows.iter().flat_map(of).collect()
}

/// The rows above a row, the nearest first.
fn ancestors(at: At, above: &HashMap<At, At>) -> impl Iterator<Item = At> {
    let parent = |at: &At| above.get(at).copied();
    std::iter::successors(parent(&at), parent)
}
