//! The report as CSV (RFC 4180, lines end in LF): a header, then a line for each row. An
//! unknown value is empty.

use std::io;

use super::{Comparison, Report, ReportRow, Usage};
use crate::{escape::escape, output::harmless, sample::rfc3339};

const HEADER: [&str; 26] = [
    "start",
    "end",
    "by",
    "kind",
    "name",
    "written_bytes",
    "share",
    "caused_bytes",
    "exact_bytes",
    "shared_data_bytes",
    "metadata_bytes",
    "journal_bytes",
    "home_bytes",
    "tree_bytes",
    "without_owner_bytes",
    "dirtied_bytes",
    "dropped_bytes",
    "read_bytes",
    "write_char",
    "write_syscalls",
    "sync_count",
    "amplification",
    "bios",
    "bytes_per_day",
    "lacks_at_most_bytes",
    "periods_s",
];

/// The report. `kind` is `row`, or `other` for the sum of the rows that were not kept, or
/// `unattributed` for bytes that are in no row, with the reason as their name. `written_bytes` of
/// all lines add up to all written bytes.
///
/// # Errors
///
/// Those of the csv crate; none is expected.
pub fn csv(report: &Report) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER)?;
    for line in lines(report) {
        writer.write_record(record(report, &line))?;
    }
    writer.into_inner().map_err(|error| error.into_error())
}

/// A line of an export of a report.
pub(super) struct Line<'a> {
    pub kind: &'static str,
    pub name: Option<&'a str>,
    pub usage: Usage,
    /// The row, if the line is one.
    pub row: Option<&'a ReportRow>,
}

/// The lines of a report, rows first. Their written bytes add up to all written bytes.
pub(super) fn lines(report: &Report) -> Vec<Line<'_>> {
    let row = |row: &'_ ReportRow| row.usage.clone();
    let mut lines: Vec<Line<'_>> = report
        .rows
        .iter()
        .map(|one| Line {
            kind: "row",
            name: one.name.as_deref(),
            usage: row(one),
            row: Some(one),
        })
        .collect();
    if !report.other.is_nothing() {
        lines.push(Line {
            kind: "other",
            name: None,
            usage: report.other.clone(),
            row: None,
        });
    }
    for (reason, bytes) in report.in_no_row() {
        let usage = Usage {
            without_owner: bytes,
            ..Usage::default()
        };
        lines.push(Line {
            kind: "unattributed",
            name: Some(reason.name()),
            usage,
            row: None,
        });
    }
    lines
}

fn record(report: &Report, line: &Line<'_>) -> Vec<String> {
    let usage = &line.usage;
    let known = |n: Option<u64>| n.map_or(String::new(), |n| n.to_string());
    let ratio = |n: Option<f64>| n.map_or(String::new(), |n| n.to_string());
    let is_row = line.row.is_some() || line.kind == "other";
    let of_tasks = |n: Option<u64>| known(n.filter(|_| is_row));
    let periods = line.row.map_or(Vec::new(), |row| row.periods.clone());
    let periods: Vec<String> = periods
        .iter()
        .map(|one| seconds(*one).to_string())
        .collect();
    let name = line
        .name
        .map_or(String::new(), |name| harmless(&escape(name)));
    vec![
        rfc3339(report.start),
        rfc3339(report.end),
        report.by.name().to_owned(),
        line.kind.to_owned(),
        name,
        usage.written().to_string(),
        ratio(report.share(usage.written())),
        usage.caused().to_string(),
        usage.exact.to_string(),
        usage.shared.to_string(),
        usage.metadata.total().to_string(),
        usage.metadata.journal.to_string(),
        usage.metadata.home.to_string(),
        usage.metadata.tree.to_string(),
        usage.without_owner.to_string(),
        of_tasks(usage.dirtied),
        of_tasks(usage.dropped),
        usage.read.to_string(),
        of_tasks(usage.write_char),
        of_tasks(usage.write_syscalls),
        of_tasks(usage.syncs),
        ratio(usage.amplification()),
        known(is_row.then_some(usage.bios)),
        ratio(report.per_day(usage.written())),
        known(line.row.map(|row| row.lacks_at_most)),
        periods.join(" "),
    ]
}

/// To the millisecond.
pub(super) fn seconds(duration: std::time::Duration) -> f64 {
    duration.as_millis() as f64 / 1e3
}

/// A comparison: a line for each row, also those that did not change, then the total.
///
/// # Errors
///
/// Those of the csv crate; none is expected.
pub fn changes_csv(comparison: &Comparison) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "by",
        "kind",
        "name",
        "changed",
        "before_bytes_per_day",
        "after_bytes_per_day",
    ])?;
    let rows = comparison.changes.iter().map(|change| ("row", change));
    for (kind, change) in rows.chain([("total", &comparison.total)]) {
        let rate = |n: Option<f64>| n.map_or(String::new(), |n| n.to_string());
        let name = change
            .name
            .as_deref()
            .map_or(String::new(), |name| harmless(&escape(name)));
        writer.write_record([
            comparison.by().name(),
            kind,
            &name,
            change.changed.name(),
            &rate(change.before),
            &rate(change.after),
        ])?;
    }
    writer.into_inner().map_err(|error| error.into_error())
}
