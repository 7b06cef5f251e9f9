//! A task's block I/O, as the kernel half counts it.

use std::ops::Add;

use super::{Lag, Metadata, sum};

/// A task's block I/O in the interval, as the kernel half counts it. Bytes unless stated
/// otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskBlock {
    /// Read from devices by the task itself.
    pub read: u64,
    /// Page cache that the task made dirty. Like the five fields below, it is counted for
    /// each task only: it is `None` for a device or a file.
    pub dirtied: Option<u64>,
    /// Pages that the task dirtied, at any time, and that are not submitted yet. A level.
    pub dirty_pending: Option<u64>,
    /// Its dirty pages that were dropped before they were written.
    pub cancelled: Option<u64>,
    /// How long `balance_dirty_pages` made it sleep because too much was dirty, ns.
    pub throttled_ns: Option<u64>,
    /// Number of those sleeps.
    pub throttles: Option<u64>,
    /// How often it waited for a file of ext4, xfs or btrfs to be written: fsync, fdatasync,
    /// msync, and writes with `O_SYNC`.
    pub syncs: Option<u64>,
    /// Written because of it, exactly attributed, submitted by the task itself.
    pub write_self: u64,
    /// Written because of it, exactly attributed, submitted by other tasks.
    pub write_flushed: u64,
    /// Written and charged to it by estimate: data (`Class::Shared`), journals and metadata.
    pub write_shared: u64,
    /// The part of `write_shared` that is journals and metadata.
    pub metadata: Metadata,
    /// Bytes that it submitted and that other tasks own.
    pub submitted_for_others: u64,
    /// Time from dirtying to submission; `None` if no page was exactly attributed to it.
    pub lag: Option<Lag>,
}

impl TaskBlock {
    /// A task that did nothing, with every counter known.
    pub fn zero() -> TaskBlock {
        TaskBlock {
            dirtied: Some(0),
            dirty_pending: Some(0),
            cancelled: Some(0),
            throttled_ns: Some(0),
            throttles: Some(0),
            syncs: Some(0),
            ..TaskBlock::default()
        }
    }

    /// All bytes written because of the task that are exactly attributed.
    pub fn write(&self) -> u64 {
        self.write_self + self.write_flushed
    }

    /// All bytes written because of the task: those exactly attributed, and those charged to
    /// it by estimate.
    pub fn caused(&self) -> u64 {
        self.write() + self.write_shared
    }

    /// True if any bytes were counted in the interval. Pending pages are a level and do not
    /// count.
    pub fn any(&self) -> bool {
        let moved = [
            self.read,
            self.dirtied.unwrap_or(0),
            self.cancelled.unwrap_or(0),
            self.write(),
            self.write_shared,
            self.submitted_for_others,
        ];
        moved.into_iter().any(|n| n != 0)
    }
}

impl Add for TaskBlock {
    type Output = TaskBlock;

    /// A counter that only one side knows keeps that side's value.
    fn add(self, other: TaskBlock) -> TaskBlock {
        TaskBlock {
            read: self.read + other.read,
            dirtied: sum(self.dirtied, other.dirtied),
            dirty_pending: sum(self.dirty_pending, other.dirty_pending),
            cancelled: sum(self.cancelled, other.cancelled),
            throttled_ns: sum(self.throttled_ns, other.throttled_ns),
            throttles: sum(self.throttles, other.throttles),
            syncs: sum(self.syncs, other.syncs),
            write_self: self.write_self + other.write_self,
            write_flushed: self.write_flushed + other.write_flushed,
            write_shared: self.write_shared + other.write_shared,
            metadata: self.metadata + other.metadata,
            submitted_for_others: self.submitted_for_others + other.submitted_for_others,
            lag: sum(self.lag, other.lag),
        }
    }
}
