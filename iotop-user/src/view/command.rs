//! The command that a task belongs to where rows are commands: one row for all the short-lived
//! processes that a script starts.

use std::{borrow::Cow, cell::OnceCell, collections::HashMap, sync::Arc};

use crate::{
    escape::task_name,
    sample::{Parent, SharedTask, Task, chain},
};

/// Finds the commands of a sample's tasks.
#[derive(Debug)]
pub struct Commands<'a> {
    tasks: &'a [SharedTask],
    leaders: OnceCell<HashMap<u32, usize>>,
}

impl<'a> Commands<'a> {
    /// Looks nothing up yet.
    pub fn new(tasks: &'a [SharedTask]) -> Commands<'a> {
        Commands {
            tasks,
            leaders: OnceCell::new(),
        }
    }

    /// The name that the task's process has: a thread may have a name of its own. It is the
    /// task's own name if the process is not in the sample.
    pub fn comm(&self, task: &Task) -> Arc<str> {
        let leader = (task.tid != task.pid).then(|| self.leader(task)).flatten();
        leader.map_or(&task.comm, |leader| &leader.comm).clone()
    }

    fn leader(&self, thread: &Task) -> Option<&Task> {
        let leaders = self.leaders.get_or_init(|| {
            let tasks = self.tasks.iter().enumerate();
            let leaders = tasks.filter(|(_, task)| task.tid == task.pid);
            leaders.map(|(at, task)| (task.pid, at)).collect()
        });
        let leader = &self.tasks[*leaders.get(&thread.pid)?];
        // The PID may have been used again.
        (leader.start_boottime <= thread.start_boottime).then_some(leader)
    }
}

/// The name of a command. All kworkers are one: which of them runs a piece of work is chance.
pub fn command_name(comm: &Arc<str>, kthread: bool) -> Arc<str> {
    match kthread {
        true if comm.starts_with("kworker/") => "[kworker]".into(),
        _ => match task_name(comm, kthread) {
            Cow::Borrowed(_) => comm.clone(),
            Cow::Owned(name) => name.into(),
        },
    }
}

/// The name of a command and of the ancestors that launched it: `dd <- backup.sh <- cron`.
/// A kernel thread has only its own name.
pub fn launched_name(comm: &Arc<str>, kthread: bool, parents: Option<&[Parent]>) -> Arc<str> {
    match parents {
        _ if kthread => command_name(comm, kthread),
        Some(parents) => chain(comm, parents).into(),
        None => format!("{} <- ?", task_name(comm, kthread)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_command_in_brackets_is_not_a_kernel_threads() {
        let name = |comm: &str, kthread| command_name(&comm.into(), kthread).to_string();
        assert_eq!(name("kworker/0:1", true), "[kworker]");
        assert_eq!(name("kworker/0:1", false), "kworker/0:1");
        assert_eq!(name("[kworker]", false), "\\[kworker]");
    }
}
