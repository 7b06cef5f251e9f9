//! A report of daily totals has the same bytes as one of the samples that they were made of.

use std::{collections::BTreeMap, path::Path, time::Duration};

use jiff::Timestamp;

use super::*;
use crate::{
    golden,
    host::devices::DeviceNames,
    report::{Report, Text},
    sample::Sample,
};

fn samples() -> Vec<Sample> {
    let samples = [
        golden::sample(),
        golden::journaled(),
        golden::flushed(),
        golden::without_ebpf(),
        golden::sample(),
    ];
    let numbered = samples.into_iter().zip(1..);
    let at = numbered.map(|(mut sample, n)| {
        sample.time = start() + Duration::from_secs(10 * n);
        sample.interval = Duration::from_secs(10);
        sample
    });
    at.collect()
}

fn start() -> Timestamp {
    "2026-11-28T03:00:00Z".parse().expect("a time")
}

fn ledger(samples: &[Sample]) -> Ledger {
    let mut ledger = Ledger::new("2026-11-28".parse().expect("a day"));
    ledger.through = 1;
    let mut names = DeviceNames::new(Path::new("/nonexistent"));
    names.know((8, 1), "sda1".into());
    for sample in samples {
        ledger.feed(sample, &mut names);
    }
    let bytes = ledger.encode(u64::MAX).expect("written");
    let read = Ledger::decode(&bytes).expect("read");
    assert_eq!(read.totals, ledger.totals);
    assert_eq!(read.rows.len(), ledger.rows.len());
    read
}

fn of_samples(by: ReportBy, samples: &[Sample]) -> Report {
    let mut gather = Gather::new(by, Path::new("/nonexistent"));
    gather.know_device((8, 1), "sda1".into());
    for sample in samples {
        gather.feed(sample);
    }
    gather.finish().expect("samples")
}

fn of_ledger(by: ReportBy, ledger: &Ledger, more: &[Sample]) -> Report {
    let mut gather = Gather::new(by, Path::new("/nonexistent"));
    gather.know_device((8, 1), "sda1".into());
    gather.feed_ledger(ledger, Span::default());
    for sample in more {
        gather.feed(sample);
    }
    gather.finish().expect("totals")
}

/// Files without a path are one row of daily totals.
fn named(name: Option<&str>) -> Option<&str> {
    name.filter(|name| !name.contains(":inode") && !name.contains(":no inode"))
}

/// All that rows count, by name.
fn rows(report: &Report) -> BTreeMap<Option<&str>, Vec<u64>> {
    let mut rows: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for row in &report.rows {
        let usage = &row.usage;
        let on = usage.devices.values();
        let numbers = [
            usage.exact,
            usage.shared,
            usage.metadata.journal,
            usage.metadata.home,
            usage.metadata.tree,
            usage.without_owner,
            usage.read,
            usage.bios,
            usage.dirtied.map_or(u64::MAX / 8, |n| n),
            usage.dropped.map_or(u64::MAX / 8, |n| n),
            usage.write_char.map_or(u64::MAX / 8, |n| n),
            usage.write_syscalls.map_or(u64::MAX / 8, |n| n),
            on.map(|on| on.data + 3 * on.metadata).sum(),
        ];
        let name = named(row.name.as_deref());
        let known = rows.entry(name).or_insert_with(|| vec![0; numbers.len()]);
        known
            .iter_mut()
            .zip(numbers)
            .for_each(|(n, more)| *n += more);
    }
    rows
}

const IN_LEDGERS: [ReportBy; 5] = [
    ReportBy::Unit,
    ReportBy::Container,
    ReportBy::Command,
    ReportBy::Directory,
    ReportBy::Device,
];

#[test]
fn conservation_a_report_of_daily_totals_has_the_bytes_of_the_samples() {
    let samples = samples();
    for (from_totals, rest) in [(5, 5), (3, 3), (0, 0)] {
        let ledger = match from_totals {
            0 => None,
            n => Some(ledger(&samples[..n])),
        };
        for by in IN_LEDGERS {
            let whole = of_samples(by, &samples);
            let report = match &ledger {
                Some(ledger) => of_ledger(by, ledger, &samples[rest..]),
                None => of_samples(by, &samples),
            };
            assert_eq!(report.span.totals, whole.span.totals, "{by:?}");
            assert_eq!(report.span.in_no_row, whole.span.in_no_row, "{by:?}");
            assert_eq!(
                report.span.read_in_no_row, whole.span.read_in_no_row,
                "{by:?}"
            );
            assert_eq!((report.start, report.end), (whole.start, whole.end));
            assert_eq!(report.span.covered, whole.span.covered);
            assert_eq!(report.span.untraced, whole.span.untraced);
            let without_tasks = |mut rows: BTreeMap<Option<&str>, Vec<u64>>| {
                if by == ReportBy::Directory {
                    // What has no path may be several rows, each with unknown counters.
                    rows.values_mut().for_each(|numbers| numbers[8..12].fill(0));
                }
                format!("{rows:?}")
            };
            assert_eq!(
                without_tasks(rows(&report)),
                without_tasks(rows(&whole)),
                "{by:?} {from_totals}"
            );
            let sum: u64 = report.rows.iter().map(|row| row.usage.written()).sum();
            let none: u64 = report.in_no_row().iter().map(|(_, bytes)| bytes).sum();
            assert_eq!(sum + report.other.written() + none, report.written());
        }
    }
}

#[test]
fn bytes_of_rows_that_were_added_up_are_in_the_others() {
    let samples = samples();
    let mut ledger = ledger(&samples);
    // No row fits into so few bytes.
    ledger.encode(1).expect("written");
    assert!(ledger.rows.keys().all(|key| key.kind != Kind::Row));
    for by in IN_LEDGERS {
        let (report, whole) = (of_ledger(by, &ledger, &[]), of_samples(by, &samples));
        assert_eq!(report.span.totals, whole.span.totals);
        let sum: u64 = report.rows.iter().map(|row| row.usage.written()).sum();
        let none: u64 = report.in_no_row().iter().map(|(_, bytes)| bytes).sum();
        assert_eq!(
            sum + report.other.written() + none,
            report.written(),
            "{by:?}"
        );
        if by == ReportBy::Device {
            let bytes = |report: &Report| -> Vec<_> {
                let rows = report.rows.iter();
                rows.map(|row| (row.name.clone(), row.usage.written()))
                    .collect()
            };
            assert_eq!(bytes(&report), bytes(&whole));
        }
    }
}

#[test]
fn a_row_says_how_much_of_it_may_be_among_the_others() {
    let samples = samples();
    let mut ledger = ledger(&samples);
    ledger.encode(1).expect("written");
    let report = of_ledger(ReportBy::Command, &ledger, &samples);
    let folded = report.other.written();
    assert!(folded != 0);
    let rows = report.rows.iter().filter(|row| row.usage.written() != 0);
    assert!(rows.clone().count() != 0);
    for row in rows {
        assert!(row.lacks_at_most >= folded, "{:?}", row.name);
    }
}

#[test]
fn totals_that_are_only_partly_in_the_span_are_left_out_and_said() {
    let samples = samples();
    let ledger = ledger(&samples);
    let at = |seconds| Some(start() + Duration::from_secs(seconds));
    let fed = |by, from, until| {
        let mut gather = Gather::new(by, Path::new("/nonexistent"));
        gather.feed_ledger(&ledger, Span { from, until });
        let lines = gather.daily().lines(by).join("\n");
        (gather.finish().map(|report| report.written()), lines)
    };
    let all = Some(ledger.totals.write);
    let command = ReportBy::Command;
    assert_eq!(fed(command, None, None).0, all);
    // The first interval ends after 10 seconds, the last one after 50.
    assert_eq!(fed(command, at(9), at(50)).0, all);
    for (from, until) in [
        (at(10), None),
        (None, at(49)),
        (at(20), at(30)),
        (at(49), None),
    ] {
        let (written, lines) = fed(command, from, until);
        assert_eq!(written, None);
        assert!(
            lines.contains("1 day (2026-11-28, UTC), which are only partly"),
            "{lines}"
        );
    }
    for (from, until) in [(at(50), None), (None, at(9))] {
        assert_eq!(fed(command, from, until), (None, String::new()));
    }
    let (written, lines) = fed(ReportBy::User, None, None);
    assert_eq!(written, None);
    assert!(lines.contains("they have no rows by user"), "{lines}");
}

#[test]
fn the_text_says_which_days_are_from_totals() {
    let samples = samples();
    let mut ledger = ledger(&samples);
    ledger.incomplete = true;
    let report = of_ledger(ReportBy::Command, &ledger, &samples);
    let text = Text::default().format(&report);
    for line in [
        "\nDaily totals: 1 day (2026-11-28, UTC); files, syncs, what asked for writes and periods are not known",
        "\n! Incomplete: daily totals of 1 day (2026-11-28, UTC)",
    ] {
        assert!(text.contains(line), "{text}");
    }
}
