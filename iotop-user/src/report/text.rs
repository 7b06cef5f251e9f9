//! The report as text.

use std::fmt::Write as _;

use jiff::{Timestamp, tz::TimeZone};

use super::{
    Report, ReportBy, ReportRow, Usage,
    head::{lifetimes, notes, recorded, samples},
    shown::{row_name, shown},
    words::{bytes, commits, cost, gigabytes, into_file, pattern, percent, terabytes_a_year},
};
use crate::{
    escape::escape,
    output::units::{UNKNOWN, long},
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
        if let Some(woken) = &report.woken {
            let _ = write!(text, "\nWake-ups of disks\n\n{woken}");
        }
        text
    }

    fn head(&self, text: &mut String, report: &Report) {
        let _ = writeln!(
            text,
            "Block writes by {}, {} to {}: {} in {}",
            report.by.name(),
            self.time(report.start),
            self.time(report.end),
            long(report.span.covered),
            samples(&report.span),
        );
        for line in report.span.daily.lines(report.by) {
            let _ = writeln!(text, "{line}");
        }
        for note in notes(report) {
            let _ = writeln!(text, "! {note}");
        }
        if report.is_untraced() {
            return;
        }
        let totals = &report.span.totals;
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
        if let Some(size) = recorded(report) {
            let _ = writeln!(text, "{size}");
        }
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
        for shown in shown(report, self.rows) {
            line(text, report, &shown.usage, &shown.name);
        }
        let stacked = report.span.totals.unattributed[Reason::Stacked];
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
            let others = match report.span.daily.days.is_empty() {
                true => "others",
                false => "others, and files in daily totals",
            };
            let _ = writeln!(text, "  {:>9}  {others}", bytes(more));
        }
    }

    pub(super) fn time(&self, time: Timestamp) -> String {
        let time = time.to_zoned_datetime(self.zone.clone());
        time.strftime("%F %T%:z").to_string()
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
