//! The cgroups of tasks: by id, as they are in /proc, or as those of the parent.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Cgroups, Thread, cgroup, interned::Interned};
use crate::{host::kernel::clock, sample::Task};

/// The cgroups of tasks.
#[derive(Debug)]
pub struct TaskCgroups {
    proc_root: PathBuf,
    cgroups: Cgroups,
    read: Read,
}

/// The cgroups that were read from /proc in this refresh. Threads of a process that are
/// together in version 2 are so in version 1.
#[derive(Debug, Default)]
struct Read {
    /// By pid and cgroup id.
    of_tasks: HashMap<(u32, Option<u64>), Arc<str>>,
    /// By the parent's pid and the dead child's cgroup id. A shell may have thousands of
    /// children in one interval.
    of_parents: HashMap<(u32, u64), Option<ParentCgroup>>,
}

/// The cgroup of a parent.
#[derive(Debug)]
struct ParentCgroup {
    start_ticks: u64,
    path: Arc<str>,
}

impl TaskCgroups {
    /// Starts without cgroups.
    pub fn new(proc_root: &Path, sys_root: &Path) -> TaskCgroups {
        TaskCgroups {
            proc_root: proc_root.to_owned(),
            cgroups: Cgroups::new(sys_root),
            read: Read::default(),
        }
    }

    /// True if there is no hierarchy of version 1.
    pub fn are_unified(&self) -> bool {
        self.cgroups.are_unified()
    }

    /// Finds the paths of all cgroups that exist now.
    pub fn walk(&mut self) {
        self.cgroups.walk();
    }

    /// Adds a cgroup that was just created.
    pub fn made(&mut self, id: u64, path: &[u8]) {
        self.cgroups.made(id, path);
    }

    /// A cgroup's path by its id.
    pub fn path(&mut self, id: u64, strings: &mut Interned<str>) -> Option<Arc<str>> {
        Some(strings.string(self.cgroups.path(id)?))
    }

    /// The path of a task's cgroup. `is_there` says whether its process is in /proc.
    pub fn of(
        &mut self,
        task: &Task,
        is_there: bool,
        strings: &mut Interned<str>,
    ) -> Option<Arc<str>> {
        if self.are_unified()
            && let Some(path) = task.cgroup_id.and_then(|id| self.path(id, strings))
        {
            return Some(path);
        }
        if is_there && let Some(path) = self.read(task, strings) {
            return Some(path);
        }
        let own = self.path(task.cgroup_id?, strings)?;
        Some(self.like_parent(task, &own, strings).unwrap_or(own))
    }

    /// The path of the cgroup of a task whose id is the same. It may have been moved in a
    /// hierarchy of version 1. `None` if there is none.
    pub fn again(&mut self, task: &Task, strings: &mut Interned<str>) -> Option<Arc<str>> {
        match self.are_unified() {
            true => None,
            false => self.read(task, strings),
        }
    }

    /// Ends a refresh.
    pub fn end_refresh(&mut self) {
        self.read = Read::default();
        self.cgroups.look_again();
    }

    /// Reads the path of a task's cgroup from /proc.
    fn read(&mut self, task: &Task, strings: &mut Interned<str>) -> Option<Arc<str>> {
        let key = (task.pid, task.cgroup_id);
        if let Some(known) = self.read.of_tasks.get(&key) {
            return Some(known.clone());
        }
        let (pid, tid) = (task.pid, task.tid);
        let directory = match task.exited {
            true => self.proc_root.join(pid.to_string()),
            false => Thread { pid, tid }.directory(&self.proc_root),
        };
        let path = strings.string(&cgroup::of_thread(&directory)?);
        self.read.of_tasks.insert(key, path.clone());
        Some(path)
    }

    /// The cgroup of a dead task, if its parent is still there.
    fn like_parent(
        &mut self,
        task: &Task,
        own: &str,
        strings: &mut Interned<str>,
    ) -> Option<Arc<str>> {
        let (pid, cgroup_id) = (task.ppid?, task.cgroup_id?);
        let proc_root = &self.proc_root;
        let read = || {
            let parent = Thread { pid, tid: pid }.stat(proc_root)?;
            let path = cgroup::like_parent(&proc_root.join(pid.to_string()), own)?;
            Some(ParentCgroup {
                start_ticks: parent.start_ticks,
                path: strings.string(&path),
            })
        };
        let parents = &mut self.read.of_parents;
        let parent = parents.entry((pid, cgroup_id)).or_insert_with(read);
        let parent = parent.as_ref()?;
        (parent.start_ticks <= clock::ticks(task.start_boottime)).then(|| parent.path.clone())
    }
}
