//! Runs of flushers.

use std::{sync::Arc, time::Duration};

use iotop_common::FlushId;
use jiff::Timestamp;

use super::{Task, TaskKey};

/// One run of a flusher (`wb_writeback` of fs/fs-writeback.c).
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The flusher, and which of its runs this is.
    pub key: (TaskKey, FlushId),
    /// When it began; `None` if that was before the trace.
    pub start: Option<Timestamp>,
    /// When it ended; `None` while it goes on.
    pub end: Option<Timestamp>,
    /// From its start to its end, or until now; `None` if its start was not seen.
    pub duration: Option<Duration>,
    /// How many pages it was asked to write; `None` means all dirty pages that it finds.
    pub requested_pages: Option<u64>,
    /// How many pages it has written in its finished rounds; `None` if its start was not
    /// seen.
    pub written_pages: Option<u64>,
    /// The id of the cgroup whose dirty inodes it writes; 0 if it is not known.
    pub cgroup_id: u64,
    /// That cgroup's path; `None` for the root and if it is not known.
    pub cgroup: Option<Arc<str>>,
    /// The task that asked for it. `None`: the kernel's timers or dirty thresholds started
    /// it, or the task is not known.
    pub asker: Option<Asker>,
}

/// The task that asked for a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Asker {
    /// The task.
    pub task: Task,
    /// True if the task was not seen asking for this run. sync(2) first wakes all flushers
    /// without queueing work (`wakeup_flusher_threads`), so the `writeback_queue` event does
    /// not fire. It then queues work for what is left. This task is the only one that was seen
    /// queueing such work.
    pub inferred: bool,
}
