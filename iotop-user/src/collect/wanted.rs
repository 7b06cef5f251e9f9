//! What the collector has to return, so that it does no work for rows that are not shown.

use crate::sample::{SpikeRule, Task, WakeRule};

/// Which tasks a [`Sample`](crate::sample::Sample) holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Only these processes. Each number is the pid of the process or the tid of one of its
    /// threads. Empty: all.
    pub pids: Vec<u32>,
    /// Only these users' tasks. Empty: all.
    pub uids: Vec<u32>,
    /// One row for each process instead of each thread.
    pub processes: bool,
    /// Which tasks are worth a row.
    pub rows: Rows,
    /// Add the group leader of each task, even if it did no I/O.
    pub leaders: bool,
    /// Gather what tasks submitted for others.
    pub for_others: bool,
    /// Gather flushes.
    pub flushes: bool,
    /// Which exited tasks have a row.
    pub exited: Exited,
    /// Find spikes by this rule. Needs `flushes`.
    pub spikes: Option<SpikeRule>,
    /// Find wake-ups of disks by this rule. Needs `flushes`.
    pub wakes: Option<WakeRule>,
}

/// Which tasks that exited before the interval, and have pages that are still dirty, have a row
/// of their own. There may be as many as owner slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exited {
    /// All.
    #[default]
    All,
    /// Those of which something changed in the interval. The others have no row.
    Changed,
    /// At most this many, and of those that exited in the interval as well. The others share
    /// rows.
    Few(usize),
}

/// Which tasks are worth a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rows {
    /// All live tasks, and those that exited in the interval.
    #[default]
    All,
    /// Tasks that moved bytes between memory and a device, dirtied pages, waited for block
    /// I/O or swap-in, or have dirty pages.
    Disk,
    /// The same, and tasks with any other counter above 0 (`read_char`, for example).
    Any,
}

impl Rows {
    /// True if a task is worth a row.
    pub(super) fn has(self, task: &Task) -> bool {
        let disk = task.did_io() || task.has_dirty_pages();
        match self {
            Rows::All => true,
            Rows::Disk => disk,
            Rows::Any => disk || task.stats.any(),
        }
    }
}
