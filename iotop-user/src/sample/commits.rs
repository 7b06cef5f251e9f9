//! What made a file system's journal commit.

use super::Task;

/// What made a file system commit in the interval.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Commits {
    /// How many transactions were committed. `None`: the file system does not count them
    /// (xfs).
    pub commits: Option<u64>,
    /// How many commits the periodic timer made, or how often it forced the log.
    pub timer: u64,
    /// How many commits were made because the transaction was full.
    pub full: u64,
    /// The tasks that asked for commits, most first. One commit may serve many of them.
    pub asked: Vec<Demand>,
    /// The tasks that waited because the log had no room, most first.
    pub waited: Vec<Demand>,
}

/// How often a task needed something of a journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// The task; `None` if it is not known.
    pub task: Option<Task>,
    /// The system call that it was in; `None` for kernel threads, and if it is not known.
    pub call: Option<&'static str>,
    /// How often.
    pub count: u64,
}

impl Commits {
    /// Every task in it.
    pub fn tasks_mut(&mut self) -> impl Iterator<Item = &mut Task> {
        let demands = self.asked.iter_mut().chain(&mut self.waited);
        demands.filter_map(|demand| demand.task.as_mut())
    }
}
