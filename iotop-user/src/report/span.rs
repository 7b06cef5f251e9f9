//! What is known of a span as a whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::{Timestamp, civil::Date};

use super::ReportBy;
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
    /// The bytes of the recording's files that were read for it.
    pub recorded: u64,
    /// The part of all this that daily totals say.
    pub daily: Daily,
}

/// What daily totals say of a span: there is less in them than in a recording.
#[derive(Clone, Debug, Default)]
pub struct Daily {
    /// The days, in UTC.
    pub days: BTreeSet<Date>,
    /// Their intervals together.
    pub covered: Duration,
    /// Number of their intervals.
    pub samples: u64,
    /// Days of which something is missing: it could not be read when the totals were made.
    pub incomplete: BTreeSet<Date>,
    /// Days that are only partly in the span. Totals can't be divided, so they are left out.
    pub partly: BTreeSet<Date>,
    /// Days that were left out because totals do not have such rows.
    pub without_rows: BTreeSet<Date>,
}

impl Daily {
    /// What is from daily totals, and what they can't say: one line each.
    pub fn lines(&self, by: ReportBy) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.days.is_empty() {
            let days = days(&self.days);
            lines.push(format!(
                "Daily totals: {days}; files, syncs, what asked for writes and periods are not known there"
            ));
        }
        if !self.incomplete.is_empty() {
            let days = days(&self.incomplete);
            lines.push(format!(
                "! Incomplete: daily totals of {days}; a part of the recording could not be read"
            ));
        }
        if !self.partly.is_empty() {
            let days = days(&self.partly);
            lines.push(format!(
                "! Left out: daily totals of {days}, which are only partly in the span"
            ));
        }
        if !self.without_rows.is_empty() {
            let (days, by) = (days(&self.without_rows), by.name());
            lines.push(format!(
                "! Left out: daily totals of {days}; they have no rows by {by}, but by unit, \
                 container, command, directory and device"
            ));
        }
        lines
    }
}

/// Their number, the first and the last one.
fn days(days: &BTreeSet<Date>) -> String {
    match (days.len(), days.first(), days.last()) {
        (1, Some(first), _) => format!("1 day ({first}, UTC)"),
        (n, Some(first), Some(last)) => format!("{n} days ({first} to {last}, UTC)"),
        _ => "no day".to_owned(),
    }
}

impl Span {
    /// The mean length of an interval of those that are not in daily totals.
    pub fn interval(&self) -> Duration {
        let samples = self.samples.saturating_sub(self.daily.samples);
        let samples = u32::try_from(samples).unwrap_or(u32::MAX);
        self.covered.saturating_sub(self.daily.covered) / samples.max(1)
    }
}
