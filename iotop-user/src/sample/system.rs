//! What holds for the machine as a whole.

use super::{BlockTotals, Lost, TaskCounters};

/// What holds for the machine as a whole.
#[derive(Clone, Debug, Default)]
pub struct System {
    /// `pgpgin` of /proc/vmstat: bytes file systems asked block devices to read.
    pub pgpgin_bytes: Option<u64>,
    /// `pgpgout` of /proc/vmstat: bytes file systems submitted for writing.
    pub pgpgout_bytes: Option<u64>,
    /// `nr_dirty` when the interval began.
    pub dirty_before_bytes: Option<u64>,
    /// `nr_dirty`: dirty page cache now.
    pub dirty_bytes: Option<u64>,
    /// `nr_dirty_background_threshold`: beyond it flushers begin to write.
    pub background_threshold_bytes: Option<u64>,
    /// `nr_dirty_threshold`: beyond it whoever writes is held back.
    pub dirty_threshold_bytes: Option<u64>,
    /// `nr_writeback`: page cache being written now.
    pub writeback_bytes: Option<u64>,
    /// `nr_dirtied`: page cache that became dirty.
    pub dirtied_bytes: Option<u64>,
    /// `nr_written`: page cache that was written.
    pub written_bytes: Option<u64>,
    /// What the kernel half saw; `None` without eBPF.
    pub block: Option<BlockTotals>,
    /// What was lost, by name; empty where nothing can be lost.
    pub lost: Lost,
    /// 0 for each counter that is known of tasks.
    pub counted: TaskCounters,
    /// Tasks on the machine.
    pub tasks_total: Option<u64>,
    /// Tasks with I/O in the interval.
    pub tasks_running_io: Option<u64>,
    /// Tasks that exited in the interval and had I/O.
    pub tasks_exited: Option<u64>,
    /// CPU time this program used in the interval.
    pub self_cpu_ns: Option<u64>,
}
