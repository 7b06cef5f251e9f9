//! The report as text.

use std::fmt::Write as _;

use jiff::{Timestamp, tz::TimeZone};

use super::{
    Lifetime, Report, ReportBy, ReportRow, Usage,
    words::{
        bytes, commits, cost, every, gigabytes, into_file, long, percent, reasons, terabytes_a_year,
    },
};
use crate::{
    escape::escape,
    output::{grouped, losses_named, nameless, units::UNKNOWN},
    sample::Reason,
};

/// How a report is printed as text.
#[derive(Clone, Debug)]
pub struct Text {
    /// The time zone of times.
    pub zone: TimeZone,
    /// At most this many rows are printed; the others are added up.
    pub rows: usize,
    /// The cost and the pattern of at most this many rows are printed.
    pub details: usize,
    /// At most this many files of each are printed.
    pub files: usize,
}

impl Default for Text {
    fn default() -> Text {
        Text {
            zone: TimeZone::UTC,
            rows: 20,
            details: 10,
            files: 5,
        }
    }
}

impl Text {
    /// The report.
    pub fn format(&self, report: &Report) -> String {
        let mut text = String::new();
        self.head(&mut text, report);
        if report.is_untraced() {
            return text;
        }
        self.table(&mut text, report);
        for row in report.rows.iter().take(self.details) {
            self.detail(&mut text, report, row);
        }
        text
    }

    fn head(&self, text: &mut String, report: &Report) {
        let span = &report.span;
        let samples = match span.samples {
            1 => "1 sample".to_owned(),
            n => format!("{} samples", grouped(n)),
        };
        let _ = writeln!(
            text,
            "Block writes by {}, {} to {}: {} in {samples}",
            report.by.name(),
            self.time(report.start),
            self.time(report.end),
            long(span.covered),
        );
        let whole = report.end.duration_since(report.start).as_secs_f64();
        if span.covered.as_secs_f64() < 0.99 * whole {
            let missing = long(std::time::Duration::from_secs_f64(
                whole - span.covered.as_secs_f64(),
            ));
            let _ = writeln!(
                text,
                "! Not recorded: {missing} of this span; rates are of the rest"
            );
        }
        if span.untraced != 0 {
            let _ = writeln!(
                text,
                "! Recorded without eBPF: {} of {samples}; what caused writes is not known there",
                grouped(span.untraced),
            );
        }
        if let Some(lost) = losses_named(&span.lost) {
            let _ = writeln!(text, "! Lost: {lost}");
        }
        if let Some(nameless) = nameless(&span.lost) {
            let _ = writeln!(text, "! {nameless}");
        }
        if report.is_untraced() {
            return;
        }
        let totals = &span.totals;
        let _ = writeln!(
            text,
            "Written {}: {} exact, {} estimated data, {} metadata, {} without an owner; read {}",
            bytes(totals.write),
            bytes(totals.attributed),
            bytes(totals.shared - totals.metadata.total()),
            bytes(totals.metadata.total()),
            bytes(totals.unattributed.in_total()),
            bytes(totals.read),
        );
        if let Some(found) = &report.lifetimes {
            let _ = writeln!(text, "{}", lifetimes(found));
        }
    }

    fn table(&self, text: &mut String, report: &Report) {
        let of_facts = report.by.is_of_facts();
        let _ = writeln!(
            text,
            "\n{:>9} {:>6} {:>9} {:>9} {:>9} {:>6} {:>9} {:>8} {:>9} {:>8} {:>8}  {}",
            if of_facts { "WRITTEN" } else { "CAUSED" },
            "SHARE",
            "EXACT",
            "EST_DATA",
            "METADATA",
            "META%",
            if of_facts { "NO_OWNER" } else { "DIRTIED" },
            if of_facts { "" } else { "DROPPED%" },
            "READ",
            "GB/DAY",
            "TB/YEAR",
            report.by.name().to_uppercase(),
        );
        let (shown, rest) = report.rows.split_at(self.rows.min(report.rows.len()));
        for row in shown {
            line(text, report, &row.usage, &row_name(report.by, row));
        }
        let mut others = report.other.clone();
        for row in rest {
            others.merge(
                &row.usage,
                super::Room {
                    recent: 0,
                    buckets: 1,
                },
            );
        }
        if !others.is_nothing() {
            let more = if report.other.is_nothing() {
                ""
            } else {
                "more than "
            };
            let name = match rest.len() {
                1 if more.is_empty() => "and 1 other".to_owned(),
                n => format!("and {more}{} others", grouped(n as u64)),
            };
            line(text, report, &others, &name);
        }
        for (reason, n) in report.in_no_row() {
            let usage = Usage {
                without_owner: n,
                ..Usage::default()
            };
            line(
                text,
                report,
                &usage,
                &format!("no owner: {}", reason.sentence()),
            );
        }
        let unattributed = &report.span.totals.unattributed;
        let total = Usage {
            exact: report.span.totals.attributed,
            shared: report.span.totals.shared - report.span.totals.metadata.total(),
            metadata: report.span.totals.metadata,
            without_owner: unattributed.in_total(),
            read: report.span.totals.read,
            ..Usage::default()
        };
        line(text, report, &total, "total");
        let stacked = unattributed[Reason::Stacked];
        if stacked != 0 {
            let copies = bytes(stacked);
            let _ = writeln!(
                text,
                "{copies:>9}  copies on lower devices, not in the total"
            );
        }
    }

    fn detail(&self, text: &mut String, report: &Report, row: &ReportRow) {
        if row.usage.written() == 0 {
            return;
        }
        let _ = writeln!(text, "\n{}", row_name(report.by, row));
        if row.usage.caused() != 0 {
            let _ = writeln!(text, "  {}", cost(&row.usage, report));
        }
        if report.by == ReportBy::File {
            let written = bytes(row.usage.written());
            let _ = writeln!(text, "  {written} {}", into_file(&row.usage, row.size));
        }
        if row.lacks_at_most != 0 {
            let most = bytes(row.lacks_at_most);
            let _ = writeln!(text, "  up to {most} more of it is among the others");
        }
        if let Some(pattern) = pattern(&row.usage, &row.periods) {
            let _ = writeln!(text, "  {pattern}");
        }
        if let Some(asked) = commits(&row.usage.commits) {
            let _ = writeln!(text, "  {asked}");
        }
        // Parts without written bytes are last.
        let parts = row.parts.partition_point(|part| part.usage.written() != 0);
        let (shown, rest) = row.parts[..parts].split_at(self.files.min(parts));
        for part in shown {
            let written = bytes(part.usage.written());
            let mut what = vec![into_file(&part.usage, part.size)];
            what.extend(pattern(&part.usage, &part.periods));
            let name = escape(&part.name);
            let _ = writeln!(text, "  {written:>9}  {name} {}", what.join("; "));
        }
        let named: u64 = shown.iter().map(|part| part.usage.written()).sum();
        let more = row.usage.written().saturating_sub(named);
        if more != 0 && !rest.is_empty() {
            let _ = writeln!(text, "  {:>9}  others", bytes(more));
        }
    }

    pub(super) fn time(&self, time: Timestamp) -> String {
        let time = time.to_zoned_datetime(self.zone.clone());
        time.strftime("%F %T%:z").to_string()
    }
}

fn pattern(usage: &Usage, periods: &[std::time::Duration]) -> Option<String> {
    let parts = [
        reasons(usage).map(|reasons| format!("asked for by {reasons}")),
        every(periods),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn row_name(by: ReportBy, row: &ReportRow) -> String {
    match &row.name {
        Some(name) => escape(name).into_owned(),
        None => format!("(no {})", by.name()),
    }
}

fn line(text: &mut String, report: &Report, usage: &Usage, name: &str) {
    let written = usage.written();
    let known = |n: Option<u64>| n.map_or(UNKNOWN.to_owned(), bytes);
    let (seventh, eighth) = match report.by.is_of_facts() {
        true => (bytes(usage.without_owner), String::new()),
        false => (known(usage.dirtied), percent(usage.dropped_share())),
    };
    let metadata =
        (usage.caused() != 0).then(|| usage.metadata.total() as f64 / usage.caused() as f64);
    let per_day = report.per_day(written);
    let _ = writeln!(
        text,
        "{:>9} {:>6} {:>9} {:>9} {:>9} {:>6} {seventh:>9} {eighth:>8} {:>9} {:>8} {:>8}  {name}",
        bytes(written),
        percent(report.share(written)),
        bytes(usage.exact),
        bytes(usage.shared),
        bytes(usage.metadata.total()),
        percent(metadata),
        bytes(usage.read),
        gigabytes(per_day),
        terabytes_a_year(per_day),
    );
}

/// What has been counted since file systems and drives were made, in one line.
fn lifetimes(found: &[Lifetime]) -> String {
    let counters = found.iter().map(|one| match one {
        Lifetime::FileSystem {
            device,
            file_system,
            written,
        } => {
            let written = gigabytes(Some(*written as f64));
            let device = escape(device);
            format!("{file_system} on {device} has written {written} GB since it was made")
        }
        Lifetime::Drive { device, percent } => {
            format!("{} has used up to {percent}% of its life", escape(device))
        }
    });
    let counters: Vec<String> = counters.collect();
    let has_drive = found
        .iter()
        .any(|one| matches!(one, Lifetime::Drive { .. }));
    let drives = match has_drive {
        true => "",
        false => "the drives' own counters are not in /sys (`smartctl -a DEVICE` reads them)",
    };
    let parts = [counters.join(", "), drives.to_owned()];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("Lifetime: {}", parts.join("; "))
}
