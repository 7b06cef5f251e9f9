//! The machine as a whole.

use super::{BlockTotals, Lost, TaskCounters};

/// Counters and levels of the whole machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct System {
    /// `pgpgin` of /proc/vmstat: bytes that file systems submitted for reading.
    pub pgpgin_bytes: Option<u64>,
    /// `pgpgout` of /proc/vmstat: bytes that file systems submitted for writing.
    pub pgpgout_bytes: Option<u64>,
    /// `nr_dirty` at the start of the interval.
    pub dirty_before_bytes: Option<u64>,
    /// `nr_dirty`: dirty page cache at its end.
    pub dirty_bytes: Option<u64>,
    /// `nr_dirty_background_threshold`: above it, flushers start background writeback.
    pub background_threshold_bytes: Option<u64>,
    /// `nr_dirty_threshold`: the kernel throttles writing tasks so that dirty page cache
    /// stays below it.
    pub dirty_threshold_bytes: Option<u64>,
    /// `nr_writeback`: page cache under writeback at the end of the interval.
    pub writeback_bytes: Option<u64>,
    /// `nr_dirtied`: page cache that became dirty.
    pub dirtied_bytes: Option<u64>,
    /// `nr_written`: page cache that was written.
    pub written_bytes: Option<u64>,
    /// Block I/O that the kernel half counted; `None` without eBPF.
    pub block: Option<BlockTotals>,
    /// What was lost; every loss is `None` without eBPF, but for exit records.
    pub lost: Lost,
    /// Which task counters this machine has: 0 for each of them, `None` for the others.
    pub counted: TaskCounters,
    /// Number of tasks on the machine.
    pub tasks_total: Option<u64>,
    /// Number of tasks with I/O in the interval.
    pub tasks_running_io: Option<u64>,
    /// Number of tasks that had I/O in the interval and exited in it.
    pub tasks_exited: Option<u64>,
    /// CPU time that this program used in the interval.
    pub self_cpu_ns: Option<u64>,
}
