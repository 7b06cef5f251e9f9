//! What holds of the report of any samples.

use std::{collections::HashMap, path::Path, sync::Arc};

use iotop_common::Class;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::{csv::lines, *};
use crate::{
    collect::flush::flushes,
    golden::{Named, sample},
    sample::{BlockFact, BlockTotals, Reason, Sample, SharedTask, Task},
};

/// A fact by its owner, class, device, inode and bytes.
type Made = (Option<usize>, usize, u32, u64, u64);

/// A sample with four tasks and these facts, and this much beyond them in the system's totals.
fn made(facts: &[Made], more: [u64; 3]) -> Sample {
    let mut made = sample();
    made.tasks = (0..4)
        .map(|n| {
            let name = |of: u32| (n % of != 0).then(|| Arc::from(format!("n{}", n % of)));
            SharedTask::from(Task {
                pid: 10 + n,
                tid: 10 + n,
                comm: format!("task{}", n % 3).into(),
                unit: name(2),
                container: name(3),
                user: name(4),
                cgroup: name(2),
                ..Task::default()
            })
        })
        .collect();
    let like = made.facts[0];
    let fact = |&(owner, class, device, ino, bytes): &Made| BlockFact {
        owner,
        submitter: Some(1),
        class: Class::ALL[class % Class::ALL.len()],
        device: (8, device),
        ino,
        bytes,
        lag: None,
        ..like
    };
    made.facts = facts.iter().map(fact).collect();
    made.paths = HashMap::from([(((8, 1), 2, 0), "/srv/db/wal (deleted)".into())]);
    // An owner that is not among the tasks is none, nor is one of a class without owners.
    let mut known = made.facts.clone();
    for fact in &mut known {
        fact.owner = fact.owner.filter(|owner| *owner < made.tasks.len());
        fact.owner = fact.owner.filter(|_| Reason::of(fact.class).is_none());
    }
    let mut totals = BlockTotals::of(&known);
    totals.unattributed[Reason::Overflow] += more[0];
    totals.attributed += more[1];
    totals.write += more[0] + more[1];
    totals.read += more[2];
    made.system.block = Some(totals);
    made.flushes = flushes(&known, &made.tasks, &mut Named::default());
    made
}

fn gathered(by: ReportBy, samples: &[Sample]) -> Report {
    let gather = Gather::new(by, Path::new("/nonexistent"));
    let mut gather = gather.with_times(TimeZone::UTC);
    samples.iter().for_each(|sample| gather.feed(sample));
    gather.finish().expect("samples")
}

/// The rows, the others and what has no owner are all that the system wrote and read.
fn check_sums(by: ReportBy, samples: &[Sample]) -> Report {
    let report = gathered(by, samples);
    let totals = samples.iter().filter_map(|sample| sample.system.block);
    let totals = totals.fold(BlockTotals::default(), |sum, one| sum + one);
    let lines = lines(&report);
    let sum = |part: fn(&Usage) -> u64| -> u64 { lines.iter().map(|line| part(&line.usage)).sum() };
    assert_eq!(sum(Usage::written), totals.write, "{by:?}");
    assert_eq!(report.written(), totals.write, "{by:?}");
    let times = report.times.as_ref().expect("wanted");
    let rows = report.rows.iter().map(|row| &row.usage);
    let clocks = rows.chain([&report.other]).map(|usage| usage.clock.sum());
    let clocks: u64 = clocks.sum::<u64>() + times.in_no_row.sum();
    assert_eq!([clocks, times.written.sum()], [totals.write; 2], "{by:?}");
    let read = sum(|usage| usage.read) + report.span.read_in_no_row;
    assert_eq!(read, totals.read, "{by:?}");
    assert_eq!(sum(|usage| usage.metadata.total()), totals.metadata.total());
    let of_rows = sum(Usage::caused) + report.span.totals.unattributed.in_total();
    assert_eq!(of_rows, totals.write, "{by:?}");
    // Every written byte with an owner was asked for, and is on a device.
    for line in lines.iter().filter(|line| line.kind != "unattributed") {
        let asked: u64 = line.usage.reasons.values().sum();
        let on_devices = line.usage.devices.values().map(|on| on.data + on.metadata);
        assert_eq!(on_devices.sum::<u64>(), line.usage.caused(), "{by:?}");
        if by != ReportBy::File && by != ReportBy::Directory {
            assert_eq!(asked, line.usage.caused(), "{by:?}");
        }
    }
    report
}

fn any_fact() -> impl Strategy<Value = Made> {
    let owner = proptest::option::of(0..5usize);
    (owner, 0..32usize, 1..4u32, 0..6u64, 0..1u64 << 40)
}

fn any_sample() -> impl Strategy<Value = Sample> {
    let facts = prop::collection::vec(any_fact(), 0..30);
    let more = prop::array::uniform3(0..1u64 << 30);
    (facts, more).prop_map(|(facts, more)| made(&facts, more))
}

proptest! {
    #[test]
    fn conservation_rows_and_unattributed_bytes_are_all_bytes(
        samples in prop::collection::vec(any_sample(), 1..5),
    ) {
        for by in ReportBy::ALL {
            check_sums(by, &samples);
        }
    }
}

#[test]
fn conservation_with_more_files_than_are_kept() {
    let facts: Vec<Made> = (0..20_000)
        .map(|n| (Some(n as usize % 4), 0, 1, n + 10, 4096 + n % 7))
        .collect();
    let exact = Class::ALL.iter().position(|class| *class == Class::Exact);
    let facts: Vec<Made> = facts
        .into_iter()
        .map(|fact| (fact.0, exact.expect("a class"), fact.2, fact.3, fact.4))
        .collect();
    let samples = [made(&facts, [7, 0, 0]), made(&facts, [0; 3])];
    let report = check_sums(ReportBy::File, &samples);
    assert!(report.rows.len() <= 2000, "{}", report.rows.len());
    assert!(!report.other.is_nothing());
    check_sums(ReportBy::Command, &samples);
}

#[test]
fn a_month_of_samples_takes_little_time_and_bounded_room() {
    let exact = Class::ALL.iter().position(|class| *class == Class::Exact);
    let exact = exact.expect("a class");
    let mut sample = made(
        &[(Some(1), exact, 1, 2, 4096), (Some(2), exact, 1, 3, 1)],
        [0; 3],
    );
    let mut gather = Gather::new(ReportBy::Command, Path::new("/nonexistent"));
    let interval = std::time::Duration::from_secs(10);
    sample.interval = interval;
    let month = 30 * 8640;
    for n in 0..month {
        sample.time += interval;
        sample.facts[0].bytes = if n % 30 == 0 { 4096 } else { 0 };
        gather.feed(&sample);
    }
    let report = gather.finish().expect("samples");
    let row = |name: &str| {
        let found = report
            .rows
            .iter()
            .find(|row| row.name.as_deref() == Some(name));
        found.expect("a row")
    };
    let regular = row("task1");
    assert_eq!(regular.usage.exact, 4096 * month / 30);
    assert_eq!(regular.periods, [std::time::Duration::from_secs(300)]);
    assert!(regular.usage.when.recent().count() <= 1024);
    let constant = row("task2");
    assert_eq!(constant.usage.exact, month);
    assert!(constant.periods.is_empty(), "{:?}", constant.periods);
    assert!(constant.usage.when.buckets().len() <= 512);
}
