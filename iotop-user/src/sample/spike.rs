//! Spikes: a device was written to much more than usual.

use std::sync::Arc;

use jiff::Timestamp;

use super::{FlushReason, Number, Written};

/// From when on writes are a spike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpikeRule {
    /// So many times the usual rate.
    pub factor: f64,
    /// But not below this, bytes a second.
    pub floor: f64,
}

impl Default for SpikeRule {
    fn default() -> SpikeRule {
        SpikeRule {
            factor: 2.0,
            floor: 8.0 * 1024.0 * 1024.0,
        }
    }
}

/// A device that was written to much more than usual.
#[derive(Clone, Debug)]
pub struct Spike {
    /// The device.
    pub device: Number,
    /// Its name, or its number where it has none.
    pub device_name: Arc<str>,
    /// When the first interval began that is part of it.
    pub start: Timestamp,
    /// When the last one ended.
    pub end: Timestamp,
    /// It goes on.
    pub open: bool,
    /// The highest rate of an interval, bytes a second.
    pub peak: f64,
    /// What the rate hardly ever was above before, bytes a second.
    pub usual: f64,
    /// Since when the oldest of it had been dirty, to an interval; `None` where
    /// nothing tells.
    pub oldest: Option<Timestamp>,
    /// By whom, by reason and submitter, most first.
    pub parts: Vec<SpikePart>,
    /// What was written, and whose it was.
    pub written: Written,
}

/// What was written for one reason by submitters of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpikePart {
    /// Why.
    pub reason: FlushReason,
    /// The submitters' name; `None` where it is not known.
    pub submitter: Option<Arc<str>>,
    /// They are kernel threads.
    pub kthread: bool,
    /// Bytes.
    pub bytes: u64,
}
