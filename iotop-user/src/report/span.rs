//! What is known of a span as a whole.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::sample::{BlockTotals, Lost, Number, Unattributed};

/// What is known of a span beside its rows.
#[derive(Clone, Debug, Default)]
pub struct Span {
    /// The start of the first interval and the end of the last one.
    pub between: Option<(Timestamp, Timestamp)>,
    /// The intervals together: less than the span if samples are missing in it.
    pub covered: Duration,
    /// Number of samples.
    pub samples: u64,
    /// The part of them without eBPF: which task caused writes is not known there.
    pub untraced: u64,
    /// All block I/O.
    pub totals: BlockTotals,
    /// The part of the written bytes that is in no row, by reason.
    pub in_no_row: Unattributed,
    /// The part of the read bytes that is in no row.
    pub read_in_no_row: u64,
    /// What the samples lost.
    pub lost: Lost,
    /// The names of the devices.
    pub devices: BTreeMap<Number, Arc<str>>,
}

impl Span {
    /// The mean length of an interval.
    pub fn interval(&self) -> Duration {
        let samples = u32::try_from(self.samples).unwrap_or(u32::MAX);
        self.covered / samples.max(1)
    }
}
