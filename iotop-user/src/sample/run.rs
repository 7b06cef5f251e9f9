//! Runs of writeback workers.

use std::{sync::Arc, time::Duration};

use iotop_common::FlushId;
use jiff::Timestamp;

use super::{Task, TaskKey};

/// One run of a writeback worker (`wb_writeback` of fs/fs-writeback.c).
#[derive(Clone, Debug)]
pub struct Run {
    /// The worker, and which of its runs it is.
    pub key: (TaskKey, FlushId),
    /// When it began; `None`: before the trace did.
    pub start: Option<Timestamp>,
    /// When it ended; `None`: it goes on.
    pub end: Option<Timestamp>,
    /// From its start to its end, or until now.
    pub duration: Option<Duration>,
    /// How many pages it was to write; `None`: all that it finds.
    pub requested_pages: Option<u64>,
    /// How many it has written in the rounds that are over; `None` where its
    /// start was not seen.
    pub written_pages: Option<u64>,
    /// The cgroup whose dirty inodes these are, by id; 0: not known.
    pub cgroup_id: u64,
    /// That cgroup's path; `None` for the root and where it is not known.
    pub cgroup: Option<Arc<str>>,
    /// Who asked for it; `None`: the kernel's own timers and levels did, or
    /// nobody knows.
    pub asker: Option<Asker>,
}

/// Who asked for a flush.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The task.
    pub task: Task,
    /// It was not seen asking for this run: sync(2) first wakes all workers
    /// without a word (`wakeup_flusher_threads`), and then asks each for what
    /// is left. It is the only task that did the latter.
    pub inferred: bool,
}
