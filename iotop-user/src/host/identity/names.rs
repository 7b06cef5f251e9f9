//! The names of tasks. They are looked up when a task is first seen, again when its command
//! or its cgroup has changed, and in each interval in which it is active. They are kept after
//! its exit.

use std::{
    collections::HashMap,
    mem,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use iotop_common::ExecutedHead;

use super::{
    Thread, Users, cmdline::CommandLines, executed::Executed, interned::Interned, kthread,
    place::Place, priority, start_times::StartTimes, task_cgroups::TaskCgroups,
};
use crate::{
    host::kernel::clock,
    sample::{Task, TaskKey, Unanswered},
};

/// After this time it is said that a question has no answer.
const GIVEN_UP: Duration = Duration::from_secs(3);

/// The names of tasks.
#[derive(Debug)]
pub struct Names {
    proc_root: PathBuf,
    starts: StartTimes,
    users: Users,
    cgroups: TaskCgroups,
    executed: Executed,
    places: HashMap<Arc<str>, Place>,
    strings: Interned<str>,
    known: HashMap<TaskKey, Known>,
    /// Threads often have all their names in common.
    named: Interned<Named>,
    cmdlines: CommandLines,
    /// True for user names, and for command lines, if it was said that one has no answer.
    told: [bool; 2],
    /// Counts the refreshes.
    refresh: u64,
}

/// What is known of a task.
#[derive(Clone, Debug)]
struct Known {
    named: Arc<Named>,
    /// False while there is no answer to what its command line is.
    is_whole: bool,
    /// The refresh in which it was looked up.
    refresh: u64,
}

/// A task's names when it was looked up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Named {
    /// The name that the source reports.
    comm: Arc<str>,
    /// The whole name of a kernel thread, if `comm` is cut off.
    whole: Option<Arc<str>>,
    cmdline: Option<Arc<str>>,
    cgroup_id: Option<u64>,
    cgroup: Option<Arc<str>>,
    prio: Option<Arc<str>>,
}

impl Known {
    /// True if the task has to be looked up again: it may have changed while it was active.
    fn is_due(&self, task: &Task, refresh: u64) -> bool {
        self.refresh != refresh && !task.exited && (task.is_active() || !self.is_whole)
    }
}

impl Named {
    /// True if these are still a task's names, as far as the source tells.
    fn fit(&self, task: &Task) -> bool {
        let same_comm = self.comm == task.comm || self.whole.as_ref() == Some(&task.comm);
        same_comm && (task.cgroup_id.is_none() || task.cgroup_id == self.cgroup_id)
    }
}

impl Names {
    /// Starts without names.
    pub fn new(proc_root: &Path, sys_root: &Path, users: Users) -> Names {
        Names {
            starts: StartTimes::new(),
            proc_root: proc_root.to_owned(),
            users,
            cgroups: TaskCgroups::new(proc_root, sys_root),
            executed: Executed::default(),
            places: HashMap::new(),
            strings: Interned::default(),
            known: HashMap::new(),
            named: Interned::default(),
            cmdlines: CommandLines::new(proc_root),
            told: [false; 2],
            refresh: 0,
        }
    }

    /// Finds the paths of all cgroups that exist now.
    pub fn look_at_cgroups(&mut self) {
        self.cgroups.walk();
    }

    /// Adds a cgroup that was just created.
    pub fn cgroup_made(&mut self, id: u64, path: &[u8]) {
        self.cgroups.made(id, path);
    }

    /// The programs that were executed.
    pub fn executed(&self) -> &Executed {
        &self.executed
    }

    /// Adds a program that was just executed, with its arguments.
    pub fn add_executed(&mut self, head: &ExecutedHead, arguments: &[u8]) {
        self.executed.add(head, arguments);
    }

    /// Asks for what these tasks need and what may take long, all at once: an interval waits
    /// only once for answers that do not come.
    pub fn ask_for<'a>(&mut self, tasks: impl Iterator<Item = &'a Task> + Clone) {
        self.users
            .look_up(tasks.clone().filter_map(|task| task.uid));
        let known = &self.known;
        let reads = |task: &&Task| match known.get(&task.key()) {
            Some(known) if known.named.fit(task) => known.is_due(task, self.refresh),
            _ => !task.exited,
        };
        let tasks = tasks.filter(|task| !task.kthread).filter(reads);
        self.cmdlines.read(tasks.map(|task| task.pid));
    }

    /// Fills in a task's names. What the task has already (comm, uid, cgroup id) is right,
    /// whatever /proc says. Returns false if a name is not known yet, because it was asked for
    /// and there is no answer.
    pub fn fill(&mut self, task: &mut Task) -> bool {
        let key = task.key();
        task.start_time = self.starts.of(key.start_boottime);
        task.user = task.uid.map(|uid| self.users.name(uid));
        let known = self.known.get(&key);
        let (named, is_whole) = match known {
            Some(known) if known.named.fit(task) && !known.is_due(task, self.refresh) => {
                (known.named.clone(), known.is_whole)
            }
            _ => self.look(task, known.cloned()),
        };
        task.comm = named.whole.as_ref().unwrap_or(&named.comm).clone();
        task.cmdline = named.cmdline.clone();
        task.prio = named.prio.clone().filter(|_| !task.exited);
        if let Some(cgroup) = named.cgroup.clone() {
            let place = self
                .places
                .entry(cgroup.clone())
                .or_insert_with(|| Place::of(&cgroup));
            task.unit = place.unit.clone();
            task.container = place.container.clone();
            task.cgroup = Some(cgroup);
        }
        is_whole && task.uid.is_none_or(|uid| self.users.is_known(uid))
    }

    /// Looks a task up, and keeps what is found. Returns false if there is no answer yet to what
    /// its command line is.
    fn look(&mut self, task: &Task, known: Option<Known>) -> (Arc<Named>, bool) {
        let (named, is_whole) = match known.map(|known| known.named) {
            Some(known) if known.fit(task) => self.look_again(task, &known),
            known => self.look_up(task, known.as_deref()),
        };
        let known = Known {
            named: self.named.share(named),
            is_whole,
            refresh: self.refresh,
        };
        let named = known.named.clone();
        self.known.insert(task.key(), known);
        (named, is_whole)
    }

    /// The names that have no answer for long. Each kind is told once.
    pub fn unanswered(&mut self) -> Vec<Unanswered> {
        let [user, line] = &mut self.told;
        let is_new = |told: &mut bool| !mem::replace(told, true);
        let stuck = self.users.stuck(GIVEN_UP).filter(|_| is_new(user));
        let user = stuck.map(Unanswered::User);
        let stuck = self.cmdlines.stuck(GIVEN_UP).filter(|_| is_new(line));
        let line = stuck.map(Unanswered::CommandLine);
        user.into_iter().chain(line).collect()
    }

    /// Ends a refresh. Forgets the tasks that are not `wanted` any more.
    pub fn keep(&mut self, wanted: impl Fn(&TaskKey) -> bool) {
        self.known.retain(|key, _| wanted(key));
        self.cmdlines.forget();
        self.refresh += 1;
        self.starts.follow_clock();
        self.cgroups.end_refresh();
        self.named.forget_unused();
        self.strings.forget_unused();
        let strings = &self.strings;
        self.places.retain(|cgroup, _| strings.has(cgroup));
    }

    /// A task's names, if `known` ones do not fit any more.
    fn look_up(&mut self, task: &Task, known: Option<&Named>) -> (Arc<Named>, bool) {
        let is_there = self.is_of_process(task);
        let known = known.filter(|known| known.comm == task.comm);
        let line = match is_there {
            true => self.command_line(task),
            false => Some(None),
        };
        let is_whole = line.is_some();
        let cmdline = line.flatten().or_else(|| known?.cmdline.clone());
        // A process that is exiting has none in /proc.
        let cmdline = cmdline.or_else(|| {
            let line = self.executed.command_line(task)?;
            Some(self.strings.string(&line))
        });
        let whole = (is_there && task.kthread)
            .then(|| kthread::whole_name(thread_of(task), &task.comm, &self.proc_root));
        let prio = (is_there && !task.exited).then(|| priority::of(task.tid));
        let named = Named {
            comm: self.strings.share(task.comm.clone()),
            whole: whole.flatten().map(|name| self.strings.string(&name)),
            cmdline: cmdline.filter(|_| !task.kthread),
            cgroup_id: task.cgroup_id,
            cgroup: self.cgroups.of(task, is_there, &mut self.strings),
            prio: prio.flatten().map(|prio| self.strings.string(&prio)),
        };
        (named.into(), is_whole)
    }

    /// An active task's names. It may have executed a program of the same name, given itself
    /// another title (setproctitle(3)) or priority, or been moved in a hierarchy of version 1.
    fn look_again(&mut self, task: &Task, known: &Arc<Named>) -> (Arc<Named>, bool) {
        let line = self.command_line(task);
        let is_whole = line.is_some();
        if !is_whole && !task.is_active() {
            return (known.clone(), false);
        }
        let cgroup = self.cgroups.again(task, &mut self.strings);
        let prio = known.prio.as_ref().and_then(|_| priority::of(task.tid));
        let now = Named {
            cmdline: line.flatten().or_else(|| known.cmdline.clone()),
            cgroup: cgroup.or_else(|| known.cgroup.clone()),
            prio: prio.map(|prio| self.strings.string(&prio)),
            ..Named::clone(known)
        };
        // If it has just exited, its numbers may belong to another task by now.
        if now == **known || !self.is_of_process(task) {
            return (known.clone(), is_whole);
        }
        (now.into(), is_whole)
    }

    /// True if `/proc/PID` is this task's process. Pids are reused, and differ between pid
    /// namespaces. A live thread must therefore have the same start time, and the process of
    /// an exited thread must not be younger than the thread.
    fn is_of_process(&self, task: &Task) -> bool {
        let started = clock::ticks(task.start_boottime);
        let stat = |tid| Thread { pid: task.pid, tid }.stat(&self.proc_root);
        if task.exited {
            task.tid != task.pid && stat(task.pid).is_some_and(|s| s.start_ticks <= started)
        } else {
            stat(task.tid).is_some_and(|stat| stat.start_ticks == started)
        }
    }

    /// A cgroup's path by its id. `None` for a root.
    pub fn cgroup_below_root(&mut self, id: u64) -> Option<Arc<str>> {
        // In kernfs, the root of a hierarchy has the number 1.
        (id > 1).then(|| self.cgroups.path(id, &mut self.strings))?
    }

    /// The command line of a task's process. The outer `None`: there is no answer yet.
    fn command_line(&mut self, task: &Task) -> Option<Option<Arc<str>>> {
        if task.kthread {
            return Some(None);
        }
        let line = self.cmdlines.of(task.pid, task.start_boottime)?;
        Some(line.map(|line| self.strings.string(line)))
    }
}

fn thread_of(task: &Task) -> Thread {
    Thread {
        pid: task.pid,
        tid: task.tid,
    }
}

#[cfg(test)]
mod tests;
