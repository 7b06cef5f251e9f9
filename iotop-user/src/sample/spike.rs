//! Spikes: intervals in which a device was written to much more than usual.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{FlushReason, Number, Written};

/// The write rate above which an interval is part of a spike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpikeRule {
    /// The rate must be above this multiple of the usual rate.
    pub factor: f64,
    /// The rate must also be above this, bytes a second.
    pub floor: f64,
    /// How long to watch before any rate is called unusual.
    pub history: Duration,
}

impl Default for SpikeRule {
    fn default() -> SpikeRule {
        SpikeRule {
            factor: 2.0,
            floor: 8.0 * 1024.0 * 1024.0,
            history: Duration::from_secs(60),
        }
    }
}

/// A period in which a device was written to much more than usual.
#[derive(Clone, Debug, PartialEq)]
pub struct Spike {
    /// The device.
    pub device: Number,
    /// Its name, or its number if it has no name.
    pub device_name: Arc<str>,
    /// The start of its first interval.
    pub start: Timestamp,
    /// The end of its last interval above the threshold.
    pub end: Timestamp,
    /// True while it goes on.
    pub open: bool,
    /// The highest write rate of an interval, bytes a second.
    pub peak: f64,
    /// The usual rate when it began, bytes a second: nearly all earlier intervals stayed
    /// below it.
    pub usual: f64,
    /// When the oldest written page became dirty, to within an interval; `None` if it is not
    /// known.
    pub oldest: Option<Timestamp>,
    /// The bytes by reason and submitter, largest part first.
    pub parts: Vec<SpikePart>,
    /// The bytes and their owners.
    pub written: Written,
}

/// What submitters of one name wrote for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpikePart {
    /// Why it was written.
    pub reason: FlushReason,
    /// The submitters' name; `None` if it is not known.
    pub submitter: Option<Arc<str>>,
    /// True if they are kernel threads.
    pub kthread: bool,
    /// Number of bytes.
    pub bytes: u64,
}
