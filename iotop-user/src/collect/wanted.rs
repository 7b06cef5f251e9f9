//! What is asked of the collector, so that it does no work for rows that
//! nobody will see.

use crate::sample::SpikeRule;

/// Which tasks a [`super::Sample`] holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Only these processes, by the number of the process or of one of its
    /// threads; empty: all.
    pub pids: Vec<u32>,
    /// Only these users' tasks; empty: all.
    pub uids: Vec<u32>,
    /// One task a process instead of one a thread.
    pub processes: bool,
    /// Which tasks are worth a row.
    pub rows: Rows,
    /// The leaders of their processes too, whatever they do.
    pub leaders: bool,
    /// The flushes too.
    pub flushes: bool,
    /// And the spikes, by this rule.
    pub spikes: Option<SpikeRule>,
}

/// Which tasks are worth a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rows {
    /// All that live, and those that exited in the interval.
    #[default]
    All,
    /// Those that moved bytes between memory and a device, made pages dirty,
    /// waited for either, or have dirty pages.
    Disk,
    /// Those and all with another counter that is not 0 (read_char and such).
    Any,
}
