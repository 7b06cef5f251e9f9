//! What the kernel half knows of a task.

use std::ops::Add;

use super::{Lag, sum};

/// What the kernel half says of a task, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskBlock {
    /// Read from devices by the task itself.
    pub read: u64,
    /// Page cache it made dirty; like the next two not known by device or file.
    pub dirtied: Option<u64>,
    /// Of all it made dirty what is not written yet.
    pub dirty_pending: Option<u64>,
    /// Its dirty pages dropped before they were written.
    pub cancelled: Option<u64>,
    /// How long it had to sleep because too much was dirty
    /// (`balance_dirty_pages`), ns.
    pub throttled_ns: Option<u64>,
    /// How many times.
    pub throttles: Option<u64>,
    /// Written for it, submitted by itself (exact).
    pub write_self: u64,
    /// Written for it, submitted by others (exact).
    pub write_flushed: u64,
    /// Its share of what can only be estimated.
    pub write_shared: u64,
    /// What it submitted for other owners.
    pub submitted_for_others: u64,
    /// From dirtying to submission; `None` where nothing was flushed.
    pub lag: Option<Lag>,
}

impl TaskBlock {
    /// Of a task that the kernel half watches, and that did nothing.
    pub fn zero() -> TaskBlock {
        TaskBlock {
            dirtied: Some(0),
            dirty_pending: Some(0),
            cancelled: Some(0),
            throttled_ns: Some(0),
            throttles: Some(0),
            ..TaskBlock::default()
        }
    }

    /// All that was written for it, exactly known.
    pub fn write(&self) -> u64 {
        self.write_self + self.write_flushed
    }

    /// Whether anything happened in the interval; dirty pages that merely wait
    /// do not count.
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

    /// As far as it is known of both.
    fn add(self, other: TaskBlock) -> TaskBlock {
        TaskBlock {
            read: self.read + other.read,
            dirtied: sum(self.dirtied, other.dirtied),
            dirty_pending: sum(self.dirty_pending, other.dirty_pending),
            cancelled: sum(self.cancelled, other.cancelled),
            throttled_ns: sum(self.throttled_ns, other.throttled_ns),
            throttles: sum(self.throttles, other.throttles),
            write_self: self.write_self + other.write_self,
            write_flushed: self.write_flushed + other.write_flushed,
            write_shared: self.write_shared + other.write_shared,
            submitted_for_others: self.submitted_for_others + other.submitted_for_others,
            lag: sum(self.lag, other.lag),
        }
    }
}
