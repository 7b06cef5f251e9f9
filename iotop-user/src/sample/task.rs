//! A task and its I/O.

use std::sync::Arc;

use jiff::Timestamp;

use super::{TaskBlock, TaskCounters};

/// A task's identity: a tid alone is reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskKey {
    /// Thread id.
    pub tid: u32,
    /// Start time after boot, ns; where /proc tells it, to 10 ms.
    pub start_boottime: u64,
}

/// One task (or, in process mode, one process) and its I/O in the interval.
#[derive(Clone, Debug, Default)]
pub struct Task {
    /// Thread group id.
    pub pid: u32,
    /// Thread id; equal to `pid` for a process.
    pub tid: u32,
    /// Start time after boot, ns. With `tid` the task's identity.
    pub start_boottime: u64,
    /// cgroup v2 id: the inode number of the cgroup's directory.
    pub cgroup_id: Option<u64>,
    /// The parent's thread group id.
    pub ppid: Option<u32>,
    /// When the task started.
    pub start_time: Option<Timestamp>,
    /// The command name, as the kernel keeps it (15 bytes), lossily decoded.
    pub comm: Arc<str>,
    /// The command line; `None` for kernel threads and where it can't be read.
    pub cmdline: Option<Arc<str>>,
    /// The user's name, or the number where it has none.
    pub user: Option<Arc<str>>,
    /// Effective user id.
    pub uid: Option<u32>,
    /// cgroup path.
    pub cgroup: Option<Arc<str>>,
    /// systemd unit.
    pub unit: Option<Arc<str>>,
    /// Container.
    pub container: Option<Arc<str>>,
    /// I/O priority as iotop shows it (`be/4`).
    pub prio: Option<Arc<str>>,
    /// A kernel thread.
    pub kthread: bool,
    /// The task has exited.
    pub exited: bool,
    /// The kernel's own counters of the task.
    pub stats: TaskCounters,
    /// From the kernel half; `None` without eBPF.
    pub block: Option<TaskBlock>,
}

impl Task {
    /// Its identity.
    pub fn key(&self) -> TaskKey {
        TaskKey {
            tid: self.tid,
            start_boottime: self.start_boottime,
        }
    }

    /// Whether the task has dirty pages that wait to be written.
    pub fn has_dirty_pages(&self) -> bool {
        let pending = self.block.and_then(|block| block.dirty_pending);
        pending.is_some_and(|bytes| bytes != 0)
    }

    /// Whether the task moved bytes between memory and a device, or made
    /// pages dirty, or waited for either.
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
