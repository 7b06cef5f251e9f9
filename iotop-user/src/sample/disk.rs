//! Whole disks.

use std::{sync::Arc, time::Duration};

use super::Number;

/// A whole disk, or a device that stands for one (dm, md, loop).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Major and minor number.
    pub number: Number,
    /// Its name.
    pub name: Arc<str>,
    /// Time with at least one request in flight (`io_ticks`,
    /// Documentation/admin-guide/iostats.rst, field 10).
    pub busy: Duration,
    /// Bytes of completed reads.
    pub read: u64,
    /// Bytes of completed writes.
    pub write: u64,
    /// Number of requests in flight at the end of the interval. A level.
    pub in_flight: u64,
    /// The numbers of its partitions.
    pub partitions: Vec<Number>,
    /// The disks or partitions that it lies on (dm, md, bcache).
    pub lower: Vec<Number>,
}

impl Disk {
    /// Its number and those of its partitions.
    pub fn numbers(&self) -> impl Iterator<Item = Number> {
        [self.number]
            .into_iter()
            .chain(self.partitions.iter().copied())
    }

    /// True if a request was in flight at any time in the interval.
    pub fn was_busy(&self) -> bool {
        self.read != 0 || self.write != 0 || !self.busy.is_zero() || self.in_flight != 0
    }
}
