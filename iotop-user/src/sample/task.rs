//! A task and its I/O.

use std::sync::Arc;

use jiff::Timestamp;

use super::{TaskBlock, TaskCounters};
use crate::escape::of_user;

/// A task's identity. The tid alone is not one: the kernel reuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskKey {
    /// Thread id.
    pub tid: u32,
    /// Start time after boot, ns. From /proc it is rounded down to 10 ms.
    pub start_boottime: u64,
}

/// An ancestor of a task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Parent {
    /// Thread group id.
    pub pid: u32,
    /// Its name when it was last seen.
    pub comm: Arc<str>,
}

/// One task (or, in process mode, one process) and its I/O in the interval.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Task {
    /// Thread group id.
    pub pid: u32,
    /// Thread id; equal to `pid` for a process.
    pub tid: u32,
    /// Start time after boot, ns. Together with `tid` it is the task's identity.
    pub start_boottime: u64,
    /// cgroup v2 id: the inode number of the cgroup's directory.
    pub cgroup_id: Option<u64>,
    /// The parent's thread group id.
    pub ppid: Option<u32>,
    /// Its ancestors, its parent first, as far as they are known. `None` if they are not known,
    /// for a kernel thread, and for a task without I/O.
    pub parents: Option<Arc<[Parent]>>,
    /// When the task started.
    pub start_time: Option<Timestamp>,
    /// The command name, as the kernel keeps it: 15 bytes, or the whole name of a kernel
    /// thread. Lossily decoded.
    pub comm: Arc<str>,
    /// The command line; `None` for kernel threads and if it can't be read.
    pub cmdline: Option<Arc<str>>,
    /// The user's name, or the uid if it has no name.
    pub user: Option<Arc<str>>,
    /// Effective user id.
    pub uid: Option<u32>,
    /// Path of the cgroup.
    pub cgroup: Option<Arc<str>>,
    /// systemd unit, taken from the cgroup's path.
    pub unit: Option<Arc<str>>,
    /// Container, taken from the cgroup's path.
    pub container: Option<Arc<str>>,
    /// I/O priority as iotop shows it (`be/4`).
    pub prio: Option<Arc<str>>,
    /// True for a kernel thread.
    pub kthread: bool,
    /// True if the task has exited.
    pub exited: bool,
    /// The row is shared by at least so many tasks with one name, user and cgroup: owner slots ran
    /// short, or very many tasks have exited. `tid` is 0.
    pub crowd: Option<u64>,
    /// The kernel's own counters for the task.
    pub stats: TaskCounters,
    /// Block I/O that the kernel half counted; `None` without eBPF.
    pub block: Option<TaskBlock>,
}

impl Task {
    /// The task's identity.
    pub fn key(&self) -> TaskKey {
        TaskKey {
            tid: self.tid,
            start_boottime: self.start_boottime,
        }
    }

    /// True if the row is shared by several tasks.
    pub fn is_crowd(&self) -> bool {
        self.crowd.is_some()
    }

    /// How many tasks the row stands for.
    pub fn tasks(&self) -> u64 {
        self.crowd.unwrap_or(1)
    }

    /// Who launched it: `dd <- backup.sh <- cron`.
    pub fn chain(&self) -> Option<String> {
        Some(chain(&self.comm, self.parents.as_ref()?))
    }

    /// True if the task has dirty pages that are not written yet.
    pub fn has_dirty_pages(&self) -> bool {
        let pending = self.block.and_then(|block| block.dirty_pending);
        pending.is_some_and(|bytes| bytes != 0)
    }

    /// True if any of the task's counters moved in the interval.
    pub fn is_active(&self) -> bool {
        self.stats.any() || self.block.is_some_and(|block| block.any())
    }

    /// True if the task moved bytes between memory and a device, dirtied pages, or waited
    /// for block I/O or swap-in.
    pub fn did_io(&self) -> bool {
        let stats = &self.stats;
        let counted = [
            stats.read_bytes,
            stats.write_bytes,
            stats.cancelled_write_bytes,
            stats.blkio_delay_ns,
            stats.swapin_delay_ns,
        ];
        counted.into_iter().flatten().any(|n| n != 0) || self.block.is_some_and(|block| block.any())
    }
}

/// A program's name and those of its ancestors: `dd <- backup.sh <- cron`. A process and its
/// fork have the same name, and are named once.
pub fn chain(comm: &str, parents: &[Parent]) -> String {
    let mut names = vec![of_user(comm)];
    names.extend(parents.iter().map(|parent| of_user(&parent.comm)));
    names.dedup();
    names.join(" <- ")
}
