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
}
