//! The report: the rows of a span, largest first, with their files and patterns.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

use super::{
    Lifetime, ReportBy, Span, Times,
    gather::{PartKey, RowKey},
    heavy::{Heavy, Kept},
    lifetimes,
    period::periods,
    usage::Usage,
};
use crate::{
    host::smart::Smart,
    sample::{Number, Reason},
};

/// At most this many parts of a row are kept.
pub(super) const PARTS: usize = 20;
/// The patterns of this many rows, and of this many parts of each, are looked for.
const PATTERNS: (usize, usize) = (100, 5);

/// What was written and read in a span, by unit, container, command and so on.
#[derive(Clone, Debug)]
pub struct Report {
    /// What the rows are.
    pub by: ReportBy,
    /// The start of the first interval.
    pub start: Timestamp,
    /// The end of the last interval.
    pub end: Timestamp,
    /// The span's totals.
    pub span: Span,
    /// The rows, largest first.
    pub rows: Vec<ReportRow>,
    /// The sum of the rows that were too small and too many to be kept.
    pub other: Usage,
    /// What file systems and drives have counted since they were made, as far as it was looked
    /// up; see [`Report::look_up_lifetimes`].
    pub lifetimes: Option<Vec<Lifetime>>,
    /// When bytes were written, if that was gathered.
    pub times: Option<Times>,
    /// What woke the disks, in lines, if that is wanted.
    pub woken: Option<String>,
}

/// A row of a report.
#[derive(Clone, Debug, Default)]
pub struct ReportRow {
    /// The name of the unit, container and so on. `None`: its tasks have none.
    pub name: Option<Arc<str>>,
    /// Its bytes.
    pub usage: Usage,
    /// At most this many written bytes of it are in [`Report::other`].
    pub lacks_at_most: u64,
    /// The periods in which it is written, shortest first; empty if there are none or it was
    /// not looked for.
    pub periods: Vec<Duration>,
    /// The size of the file now, if the row is one; `None` if it has gone or was not looked up.
    pub size: Option<u64>,
    /// Its files, largest first, at most 20. Of a file, a directory or a device: the commands
    /// that wrote it.
    pub parts: Vec<Part>,
}

/// A part of a row.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// The path of the file, or the name of the command.
    pub name: Arc<str>,
    /// Its bytes.
    pub usage: Usage,
    /// The periods in which it is written.
    pub periods: Vec<Duration>,
    /// The size of the file now; `None` if it is a command, has gone or was not looked up.
    pub size: Option<u64>,
}

impl Report {
    pub(super) fn of(
        by: ReportBy,
        span: Span,
        rows: Heavy<RowKey>,
        parts: Heavy<PartKey>,
    ) -> Report {
        let (start, end) = span.between.unwrap_or_default();
        let mut parts_of: HashMap<RowKey, Vec<Part>> = HashMap::new();
        for ((row, name), kept) in parts.into_parts().0 {
            let part = Part {
                name,
                usage: kept.usage,
                ..Part::default()
            };
            parts_of.entry(row).or_default().push(part);
        }
        let (kept, other) = rows.into_parts();
        let row = |(name, kept): (RowKey, Kept)| ReportRow {
            parts: largest(parts_of.remove(&name).unwrap_or_default()),
            name,
            usage: kept.usage,
            lacks_at_most: kept.lacks_at_most,
            ..ReportRow::default()
        };
        let mut rows: Vec<ReportRow> = kept.into_iter().map(row).collect();
        rows.retain(|row| !row.usage.is_nothing());
        rows.sort_by(|a, b| {
            let rank = |row: &ReportRow| Reverse(row.usage.weight());
            rank(a).cmp(&rank(b)).then_with(|| a.name.cmp(&b.name))
        });
        let interval = span.interval();
        let found = |usage: &Usage| -> Vec<Duration> {
            let found = periods(&usage.when).into_iter();
            found.map(|intervals| interval.mul_f64(intervals)).collect()
        };
        for row in rows.iter_mut().take(PATTERNS.0) {
            row.periods = found(&row.usage);
            for part in row.parts.iter_mut().take(PATTERNS.1) {
                part.periods = found(&part.usage);
            }
        }
        Report {
            by,
            start,
            end,
            span,
            rows,
            other,
            lifetimes: None,
            woken: None,
            times: None,
        }
    }

    /// Looks up how large the files of the report are now: a file of 27 MB may have been
    /// written a thousand times. `size` returns the size of a regular file with this path, if
    /// there is one.
    pub fn look_up_sizes(&mut self, size: impl Fn(&Path) -> Option<u64>) {
        let size = |name: &str| match name.starts_with('/') {
            true => size(Path::new(name)),
            false => None,
        };
        for row in &mut self.rows {
            match self.by {
                ReportBy::File => row.size = row.name.as_deref().and_then(size),
                // The parts are commands.
                ReportBy::Directory | ReportBy::Device => {}
                _ => row.parts.iter_mut().for_each(|part| {
                    part.size = size(&part.name);
                }),
            }
        }
    }

    /// Looks up what the file systems and drives that were written to have counted since they
    /// were made, below `sys_root` and by `ask`.
    pub fn look_up_lifetimes(&mut self, sys_root: &Path, ask: impl Fn(&str) -> Option<Smart>) {
        let usages = self.rows.iter().map(|row| &row.usage).chain([&self.other]);
        let devices: BTreeSet<Number> = usages
            .flat_map(|usage| usage.devices.keys())
            .copied()
            .collect();
        let names = devices
            .iter()
            .filter_map(|device| self.span.devices.get(device));
        let names: Vec<&str> = names.map(|name| &**name).collect();
        self.lifetimes = Some(lifetimes(sys_root, &names, ask));
    }

    /// All written bytes.
    pub fn written(&self) -> u64 {
        self.span.totals.write
    }

    /// The part of all written bytes, at most 1; `None` if nothing was written.
    pub fn share(&self, bytes: u64) -> Option<f64> {
        (self.written() != 0).then(|| bytes as f64 / self.written() as f64)
    }

    /// Bytes a day at the rate of the recorded time; `None` if no time was recorded.
    pub fn per_day(&self, bytes: u64) -> Option<f64> {
        let seconds = self.span.covered.as_secs_f64();
        (seconds > 0.0).then(|| bytes as f64 * 86_400.0 / seconds)
    }

    /// The bytes that are in no row, by reason: those without an owner, or where rows are
    /// files, directories or devices, those of which the place is not known.
    pub fn in_no_row(&self) -> Vec<(Reason, u64)> {
        let unattributed = &self.span.in_no_row;
        let parts = unattributed.parts();
        let parts = parts.filter(|(reason, n)| *n != 0 && reason.is_in_total());
        parts.collect()
    }

    /// True if no sample knows which task caused writes.
    pub fn is_untraced(&self) -> bool {
        self.span.untraced == self.span.samples
    }
}

/// The size of a regular file; `None` if there is none with this path.
pub fn file_size(path: &Path) -> Option<u64> {
    let file = std::fs::symlink_metadata(path).ok()?;
    file.is_file().then_some(file.len())
}

fn largest(mut parts: Vec<Part>) -> Vec<Part> {
    parts.retain(|part| !part.usage.is_nothing());
    parts.sort_by(|a, b| {
        let rank = |part: &Part| Reverse(part.usage.weight());
        rank(a).cmp(&rank(b)).then_with(|| a.name.cmp(&b.name))
    });
    parts.truncate(PARTS);
    parts
}
