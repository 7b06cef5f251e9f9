//! What made a journal commit, in one line.

use std::time::Duration;

use super::{
    explain::{counted, name},
    units,
};
use crate::sample::{Commits, Demand};

/// At most this many tasks are named for each system call.
const TASKS: usize = 5;

/// The line, for example `committed 412 times in 1.0s: 800 fsync calls by postgres (PID 900) 500,
/// walwriter (PID 901) 300; by the timer 3 times`. `None` if nothing is known.
pub(super) fn line(commits: &Commits, interval: Duration) -> Option<String> {
    let mut parts: Vec<String> = by_call(&commits.asked)
        .iter()
        .map(|demands| asked(demands))
        .collect();
    if commits.timer != 0 {
        parts.push(format!("by the timer {}", times(commits.timer)));
    }
    if commits.full != 0 {
        parts.push(format!(
            "because the transaction was full {}",
            times(commits.full)
        ));
    }
    if !commits.waited.is_empty() {
        let waits = counted(sum(&commits.waited), "wait");
        let demands: Vec<&Demand> = commits.waited.iter().collect();
        parts.push(format!("{waits} for log space by {}", tasks(&demands)));
    }
    let head = match commits.commits {
        Some(n) => format!("committed {} in {}", times(n), units::duration(interval)),
        // xfs does not count commits. In jbd2, the commit may have begun in the interval before.
        None => "committed".to_owned(),
    };
    match (commits.commits, parts.is_empty()) {
        (None, true) => None,
        (Some(_), true) => Some(head),
        _ => Some(format!("{head}: {}", parts.join("; "))),
    }
}

/// Demands of one system call, or of none, side by side. The call with the first demand comes
/// first.
fn by_call(demands: &[Demand]) -> Vec<Vec<&Demand>> {
    let mut calls: Vec<Vec<&Demand>> = Vec::new();
    for demand in demands {
        match calls.iter_mut().find(|call| call[0].call == demand.call) {
            Some(call) => call.push(demand),
            None => calls.push(vec![demand]),
        }
    }
    calls
}

fn asked(demands: &[&Demand]) -> String {
    let sum = sum(demands.iter().copied());
    match demands[0].call {
        Some(call) => format!(
            "{} by {}",
            counted(sum, &format!("{call} call")),
            tasks(demands)
        ),
        None => format!("{} by {}", times(sum), tasks(demands)),
    }
}

fn times(n: u64) -> String {
    match n {
        1 => "once".to_owned(),
        n => format!("{n} times"),
    }
}

fn sum<'a>(demands: impl IntoIterator<Item = &'a Demand>) -> u64 {
    demands.into_iter().map(|demand| demand.count).sum()
}

/// The tasks. Each of several comes with its count.
fn tasks(demands: &[&Demand]) -> String {
    let who = |demand: &Demand| {
        demand
            .task
            .as_ref()
            .map_or("an unknown task".to_owned(), name)
    };
    if let [one] = demands {
        return who(one);
    }
    let named = demands.iter().take(TASKS);
    let mut text: Vec<String> = named
        .map(|one| format!("{} {}", who(one), one.count))
        .collect();
    let rest = demands.get(TASKS..).unwrap_or_default();
    if !rest.is_empty() {
        let others = counted(rest.len() as u64, "other task");
        text.push(format!("{others} {}", sum(rest.iter().copied())));
    }
    text.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Task;

    const SECOND: Duration = Duration::from_secs(1);

    fn demand(tid: u32, comm: &str, call: Option<&'static str>, count: u64) -> Demand {
        let task = Task {
            pid: tid,
            tid,
            comm: comm.into(),
            kthread: comm.contains('/'),
            ..Task::default()
        };
        Demand {
            task: Some(task),
            call,
            count,
        }
    }

    #[test]
    fn tasks_are_grouped_by_their_call() {
        let commits = Commits {
            commits: Some(412),
            timer: 3,
            full: 2,
            asked: vec![
                demand(900, "postgres", Some("fsync"), 500),
                demand(901, "walwriter", Some("fsync"), 300),
                demand(55, "sync", Some("sync"), 1),
            ],
            waited: vec![demand(7, "tar", Some("write"), 1)],
        };
        let wanted = "committed 412 times in 1.0s: 800 fsync calls by postgres (PID 900) 500, \
            walwriter (PID 901) 300; 1 sync call by sync (PID 55); by the timer 3 times; because \
            the transaction was full 2 times; 1 wait for log space by tar (PID 7)";
        assert_eq!(line(&commits, SECOND).as_deref(), Some(wanted));
    }

    #[test]
    fn a_kernel_thread_has_no_call_and_many_tasks_are_summed_up() {
        let mut asked = vec![demand(5, "xfsaild/sda1", None, 9)];
        asked.extend((0..7).map(|n| demand(10 + n, "w", Some("fdatasync"), 2)));
        let commits = Commits {
            asked,
            ..Commits::default()
        };
        let wanted = "committed: 9 times by [xfsaild/sda1] (TID 5); 14 fdatasync calls by \
            w (PID 10) 2, w (PID 11) 2, w (PID 12) 2, w (PID 13) 2, w (PID 14) 2, 2 other tasks 4";
        assert_eq!(line(&commits, SECOND).as_deref(), Some(wanted));
    }

    #[test]
    fn nothing_is_said_of_what_is_not_known() {
        assert_eq!(line(&Commits::default(), SECOND), None);
        let counted = Commits {
            commits: Some(1),
            ..Commits::default()
        };
        assert_eq!(
            line(&counted, SECOND).as_deref(),
            Some("committed once in 1.0s")
        );
    }
}
