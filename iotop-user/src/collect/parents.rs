//! Who launched a task: its ancestors, also those that have exited.

use std::sync::Arc;

use iotop_common::ExecutedHead;

use super::live::{self, LiveTasks};
use crate::{
    host::identity::Executed,
    sample::{Parent, Task},
};

/// More ancestors than this are left out.
const MOST: usize = 16;
/// The first process and the parent of all kernel threads. Neither says who launched a task.
const INIT: u32 = 1;
const KTHREADD: u32 = 2;

/// A task's ancestors as far as they are known, its parent first, without init. `None` for a
/// kernel thread, and if the parent is not known.
///
/// If a parent exits, its children get another one. The parent at the last execve therefore
/// counts, if it is known.
pub fn parents_of(task: &Task, live: &LiveTasks, executed: &Executed) -> Option<Arc<[Parent]>> {
    if task.kthread {
        return None;
    }
    let mut parents = Vec::new();
    // What the last process executed, when it started, and its parent.
    let mut program = executed.program(task.pid, task.start_boottime);
    let mut start = task.start_boottime;
    let mut pid = program.map(|program| program.ppid).or(task.ppid)?;
    while ![0, INIT, KTHREADD].contains(&pid) && parents.len() < MOST {
        let Some(parent) = Process::find(pid, start, program, live, executed) else {
            break;
        };
        parents.push(Parent {
            pid,
            comm: live::comm(&parent.comm),
        });
        (program, start, pid) = (parent.program, parent.start, parent.ppid);
    }
    let is_unknown = parents.is_empty() && ![0, INIT, KTHREADD].contains(&pid);
    (!is_unknown).then(|| parents.into())
}

/// An ancestor.
struct Process<'a> {
    comm: [u8; 16],
    /// When it started, or a later time.
    start: u64,
    ppid: u32,
    program: Option<&'a ExecutedHead>,
}

impl<'a> Process<'a> {
    /// The process with a pid that is not younger than its child, which executed `child`.
    fn find(
        pid: u32,
        not_after: u64,
        child: Option<&ExecutedHead>,
        live: &LiveTasks,
        executed: &'a Executed,
    ) -> Option<Process<'a>> {
        let program = executed.program(pid, not_after);
        let alive = live
            .by_tid(pid)
            .filter(|state| state.pid == pid && state.start_boottime <= not_after);
        if let Some(state) = alive {
            let start = state.start_boottime;
            let program = program.filter(|program| program.start_boottime == start);
            return Some(Process {
                comm: state.comm,
                start,
                ppid: program.map(|program| program.ppid).or(state.ppid)?,
                program,
            });
        }
        // A subshell executes no program: its child's record has its name.
        let known_to_child = || {
            let child = child.filter(|child| child.ppid == pid)?;
            Some(Process {
                comm: child.parent_comm,
                start: not_after,
                ppid: child.grandparent,
                program: None,
            })
        };
        let known = program.map(|program| Process {
            comm: program.comm,
            start: program.start_boottime,
            ppid: program.ppid,
            program: Some(program),
        });
        known.or_else(known_to_child)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::live::{Interval, TaskState};

    fn name(text: &str) -> [u8; 16] {
        let mut name = [0; 16];
        name[..text.len()].copy_from_slice(text.as_bytes());
        name
    }

    /// Live processes: pid, parent, name. Each started at its pid.
    fn alive(processes: &[(u32, u32, &str)]) -> LiveTasks {
        let mut live = LiveTasks::default();
        for &(pid, ppid, comm) in processes {
            let state = TaskState {
                id: u64::from(pid),
                start_boottime: u64::from(pid),
                tid: pid,
                pid,
                ppid: Some(ppid),
                comm: name(comm),
                ..TaskState::default()
            };
            live.update(&mut Interval::default(), &state);
        }
        live
    }

    /// Executed programs: pid, parent, its parent, name, the parent's name.
    fn executed(programs: &[(u32, u32, u32, &str, &str)]) -> Executed {
        let mut executed = Executed::default();
        for &(pid, ppid, grandparent, comm, parent_comm) in programs {
            let head = ExecutedHead {
                start_boottime: u64::from(pid),
                pid,
                ppid,
                length: 0,
                grandparent,
                comm: name(comm),
                parent_comm: name(parent_comm),
            };
            executed.add(&head, b"");
        }
        executed
    }

    fn chain(ppid: u32, live: &LiveTasks, executed: &Executed) -> Option<String> {
        let task = Task {
            pid: 90,
            tid: 90,
            start_boottime: 90,
            ppid: Some(ppid),
            comm: "dd".into(),
            ..Task::default()
        };
        Task {
            parents: parents_of(&task, live, executed),
            ..task
        }
        .chain()
    }

    #[test]
    fn live_ancestors_are_named_up_to_init() {
        let live = alive(&[(80, 70, "backup.sh"), (70, 1, "cron"), (1, 0, "systemd")]);
        let named = chain(80, &live, &Executed::default());
        assert_eq!(named.as_deref(), Some("dd <- backup.sh <- cron"));
        assert_eq!(chain(1, &live, &Executed::default()).as_deref(), Some("dd"));
        assert_eq!(chain(60, &live, &Executed::default()), None, "unknown");
    }

    #[test]
    fn ancestors_that_have_exited_are_known_from_what_they_executed() {
        let live = alive(&[(70, 1, "cron")]);
        let programs = [
            (80, 75, 70, "backup.sh", "cron"),
            (90, 80, 75, "dd", "backup.sh"),
        ];
        // init is the parent of a process whose own parent has exited.
        let named = chain(1, &live, &executed(&programs));
        assert_eq!(named.as_deref(), Some("dd <- backup.sh <- cron"));
    }

    #[test]
    fn a_subshell_that_has_exited_is_known_from_its_childs_program() {
        let live = alive(&[(80, 1, "backup.sh")]);
        let named = chain(1, &live, &executed(&[(90, 85, 80, "dd", "backup.sh")]));
        assert_eq!(named.as_deref(), Some("dd <- backup.sh"), "shown once");
    }

    #[test]
    fn a_process_that_has_a_parents_pid_now_is_not_the_parent() {
        let mut live = alive(&[(80, 1, "younger")]);
        let state = live.by_tid(80).expect("alive");
        let younger = TaskState {
            id: 1,
            start_boottime: 95,
            ..state
        };
        live.update(&mut Interval::default(), &younger);
        assert_eq!(chain(80, &live, &Executed::default()), None);
        let programs = executed(&[(90, 80, 1, "dd", "older")]);
        assert_eq!(chain(1, &live, &programs).as_deref(), Some("dd <- older"));
    }

    #[test]
    fn ancestors_without_end_are_cut_off() {
        let processes: Vec<_> = (3..90).map(|pid| (pid, pid - 1, "sh")).collect();
        let live = alive(&processes);
        let task = Task {
            ppid: Some(89),
            start_boottime: 90,
            ..Task::default()
        };
        let parents = parents_of(&task, &live, &Executed::default());
        assert_eq!(parents.map(|parents| parents.len()), Some(MOST));
    }
}
