//! The report as NDJSON: lines of the types `report` and `report_change`. The schema is that of
//! all lines.

use std::{borrow::Cow, collections::BTreeMap, io, sync::Arc, time::Duration};

use bytes::BytesMut;
use jiff::civil::Date;
use serde::Serialize;

use super::{
    Comparison, Lifetime, Part, Report, Usage,
    csv::{lines, seconds},
};
use crate::{
    output::{ByName, Line, bounded, write_line},
    sample::{Loss, rfc3339},
};

#[derive(Serialize)]
struct ReportLine<'a> {
    start: &'a str,
    by: &'static str,
    kind: &'static str,
    name: Option<Cow<'a, str>>,
    share: Option<f64>,
    bytes_per_day: Option<f64>,
    #[serde(flatten)]
    usage: UsagePart<'a>,
    lacks_at_most_bytes: Option<u64>,
    devices: Vec<DevicePart<'a>>,
    commits_asked: BTreeMap<&'a str, u64>,
    parts: Vec<FilePart<'a>>,
    samples: Option<u64>,
    untraced_samples: Option<u64>,
    daily_totals: Option<Vec<String>>,
    lost: Option<ByName<{ Loss::ALL.len() }>>,
    lifetimes: Option<Vec<LifetimePart<'a>>>,
}

#[derive(Serialize)]
struct UsagePart<'a> {
    written_bytes: u64,
    caused_bytes: u64,
    exact_bytes: u64,
    shared_data_bytes: u64,
    metadata_bytes: u64,
    journal_bytes: u64,
    home_bytes: u64,
    tree_bytes: u64,
    without_owner_bytes: u64,
    read_bytes: u64,
    dirtied_bytes: Option<u64>,
    dropped_bytes: Option<u64>,
    write_char: Option<u64>,
    write_syscalls: Option<u64>,
    sync_count: Option<u64>,
    amplification: Option<f64>,
    bios: Option<u64>,
    reasons: BTreeMap<&'a str, u64>,
    periods_s: Vec<f64>,
    file_size_bytes: Option<u64>,
}

#[derive(Serialize)]
struct FilePart<'a> {
    name: Cow<'a, str>,
    #[serde(flatten)]
    usage: UsagePart<'a>,
}

#[derive(Serialize)]
struct DevicePart<'a> {
    major: u32,
    minor: u32,
    name: Option<&'a str>,
    data_bytes: u64,
    metadata_bytes: u64,
}

#[derive(Serialize)]
struct LifetimePart<'a> {
    device: &'a str,
    file_system: Option<&'a str>,
    written_bytes: Option<u64>,
    used_percent: Option<u64>,
}

#[derive(Serialize)]
struct ChangeLine<'a> {
    by: &'static str,
    kind: &'static str,
    name: Option<Cow<'a, str>>,
    changed: &'static str,
    before_start: &'a str,
    before_end: &'a str,
    before_bytes_per_day: Option<f64>,
    after_start: &'a str,
    after_bytes_per_day: Option<f64>,
}

/// Appends a line of the kind `total`, and then the lines that add up to it: `row`, `other`,
/// `unattributed`.
///
/// # Errors
///
/// Those of serde_json; none is expected.
pub fn ndjson(report: &Report, buffer: &mut BytesMut) -> io::Result<()> {
    let (start, end) = (rfc3339(report.start), rfc3339(report.end));
    let totals = &report.span.totals;
    let total = Usage {
        exact: totals.attributed,
        shared: totals.shared - totals.metadata.total(),
        metadata: totals.metadata,
        without_owner: totals.unattributed.in_total(),
        read: totals.read,
        ..Usage::default()
    };
    let head = |seq| Line {
        r#type: "report",
        seq,
        time: &end,
        interval: report.span.covered,
    };
    let first = ReportLine {
        start: &start,
        by: report.by.name(),
        kind: "total",
        name: None,
        share: report.share(total.written()),
        bytes_per_day: report.per_day(total.written()),
        usage: UsagePart::of(&total, &[], None, false),
        lacks_at_most_bytes: None,
        devices: Vec::new(),
        commits_asked: BTreeMap::new(),
        parts: Vec::new(),
        samples: Some(report.span.samples),
        untraced_samples: Some(report.span.untraced),
        daily_totals: Some(report.span.daily.days.iter().map(Date::to_string).collect()),
        lost: Some(ByName::from(&report.span.lost)),
        lifetimes: report
            .lifetimes
            .as_ref()
            .map(|all| all.iter().map(LifetimePart::of).collect()),
    };
    write_line(head(1), first, buffer)?;
    for (seq, line) in (2..).zip(&lines(report)) {
        let periods = line.row.map_or(&[][..], |row| &row.periods);
        let size = line.row.and_then(|row| row.size);
        let is_row = line.kind != "unattributed";
        let whole = ReportLine {
            start: &start,
            by: report.by.name(),
            kind: line.kind,
            name: line.name.map(bounded),
            share: report.share(line.usage.written()),
            bytes_per_day: report.per_day(line.usage.written()),
            usage: UsagePart::of(&line.usage, periods, size, is_row),
            lacks_at_most_bytes: line.row.map(|row| row.lacks_at_most),
            devices: devices(&line.usage, report),
            commits_asked: kinds(&line.usage.commits),
            parts: line.row.map_or(Vec::new(), |row| {
                row.parts.iter().map(FilePart::of).collect()
            }),
            samples: None,
            untraced_samples: None,
            daily_totals: None,
            lost: None,
            lifetimes: None,
        };
        write_line(head(seq), whole, buffer)?;
    }
    Ok(())
}

impl UsagePart<'_> {
    fn of<'a>(
        usage: &'a Usage,
        periods: &[Duration],
        size: Option<u64>,
        has_bios: bool,
    ) -> UsagePart<'a> {
        UsagePart {
            written_bytes: usage.written(),
            caused_bytes: usage.caused(),
            exact_bytes: usage.exact,
            shared_data_bytes: usage.shared,
            metadata_bytes: usage.metadata.total(),
            journal_bytes: usage.metadata.journal,
            home_bytes: usage.metadata.home,
            tree_bytes: usage.metadata.tree,
            without_owner_bytes: usage.without_owner,
            read_bytes: usage.read,
            dirtied_bytes: usage.dirtied,
            dropped_bytes: usage.dropped,
            write_char: usage.write_char,
            write_syscalls: usage.write_syscalls,
            sync_count: usage.syncs,
            amplification: usage.amplification(),
            bios: has_bios.then_some(usage.bios),
            reasons: kinds(&usage.reasons),
            periods_s: periods.iter().map(|period| seconds(*period)).collect(),
            file_size_bytes: size,
        }
    }
}

impl FilePart<'_> {
    fn of(part: &Part) -> FilePart<'_> {
        FilePart {
            name: bounded(&part.name),
            usage: UsagePart::of(&part.usage, &part.periods, part.size, true),
        }
    }
}

fn kinds(kinds: &BTreeMap<Arc<str>, u64>) -> BTreeMap<&str, u64> {
    kinds.iter().map(|(kind, n)| (&**kind, *n)).collect()
}

fn devices<'a>(usage: &Usage, report: &'a Report) -> Vec<DevicePart<'a>> {
    let part = |(number, on): (&(u32, u32), &super::OnOneDevice)| DevicePart {
        major: number.0,
        minor: number.1,
        name: report.span.devices.get(number).map(|name| &**name),
        data_bytes: on.data,
        metadata_bytes: on.metadata,
    };
    usage.devices.iter().map(part).collect()
}

impl LifetimePart<'_> {
    fn of(lifetime: &Lifetime) -> LifetimePart<'_> {
        match lifetime {
            Lifetime::FileSystem {
                device,
                file_system,
                written,
            } => LifetimePart {
                device,
                file_system: Some(file_system),
                written_bytes: Some(*written),
                used_percent: None,
            },
            Lifetime::Drive {
                device,
                written,
                percent,
            } => LifetimePart {
                device,
                file_system: None,
                written_bytes: *written,
                used_percent: *percent,
            },
        }
    }
}

/// Appends a line for each row of a comparison, also those that did not change, and one of the
/// kind `total`.
///
/// # Errors
///
/// Those of serde_json; none is expected.
pub fn changes_ndjson(comparison: &Comparison, buffer: &mut BytesMut) -> io::Result<()> {
    let [before, after] = [comparison.before, comparison.after]
        .map(|report| [rfc3339(report.start), rfc3339(report.end)]);
    let rows = comparison.changes.iter().map(|change| ("row", change));
    for (seq, (kind, change)) in (1..).zip(rows.chain([("total", &comparison.total)])) {
        let line = ChangeLine {
            by: comparison.by().name(),
            kind,
            name: change.name.as_deref().map(bounded),
            changed: change.changed.name(),
            before_start: &before[0],
            before_end: &before[1],
            before_bytes_per_day: change.before,
            after_start: &after[0],
            after_bytes_per_day: change.after,
        };
        let head = Line {
            r#type: "report_change",
            seq,
            time: &after[1],
            interval: comparison.after.span.covered,
        };
        write_line(head, line, buffer)?;
    }
    Ok(())
}
