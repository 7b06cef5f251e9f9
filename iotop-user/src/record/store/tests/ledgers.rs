//! What retention removes is in the daily totals, whatever stops the recorder, and never twice.

use std::collections::BTreeMap;

use super::*;
use crate::{
    record::{Ledgers, ledger::stop},
    report::{Gather, ReportBy},
    sample::Number,
};

const DAY: u64 = 8640;

/// The written bytes by command and by device, and the number of intervals: of the daily totals
/// and of the recordings that they do not hold.
fn sums(directory: &Path) -> (BTreeMap<String, u64>, BTreeMap<Number, u64>, u64) {
    let recording = Recording::open(directory).expect("opened");
    let ledgers = recording.ledgers().expect("read");
    let mut gather = Gather::new(ReportBy::Command, Path::new("/nonexistent"));
    for ledger in ledgers.days.values() {
        gather.feed_ledger(ledger, Span::default());
    }
    for sample in recording.samples_but(&ledgers, Span::default()) {
        gather.feed(&sample.expect("read"));
    }
    let report = gather.finish().expect("samples");
    let mut rows = BTreeMap::new();
    let mut devices: BTreeMap<Number, u64> = BTreeMap::new();
    for row in &report.rows {
        let name = row.name.as_deref().unwrap_or_default();
        *rows.entry(name.to_owned()).or_default() += row.usage.written();
        for (device, on) in &row.usage.devices {
            *devices.entry(*device).or_default() += on.data + on.metadata;
        }
    }
    rows.insert("other".to_owned(), report.other.written());
    for (reason, bytes) in report.in_no_row() {
        rows.insert(format!("no owner: {}", reason.name()), bytes);
    }
    assert_eq!(rows.values().sum::<u64>(), report.written());
    (rows, devices, report.span.samples)
}

/// What so many samples have.
fn truth(samples: u64) -> (BTreeMap<String, u64>, BTreeMap<Number, u64>, u64) {
    let directory = directory();
    let numbers: Vec<u64> = (1..=samples).collect();
    record(directory.path(), &[&numbers]);
    sums(directory.path())
}

/// Lets a recorder remove all that has to go.
fn tidied(store: &mut Store, files: usize) {
    while Day::list(&store.directory).expect("listed").len() != files {
        store.tidy(100).expect("tidied");
    }
}

fn ledgers(directory: &Path) -> Ledgers {
    Recording::open(directory)
        .expect("opened")
        .ledgers()
        .expect("read")
}

#[test]
fn conservation_what_is_removed_by_age_is_in_the_daily_totals() {
    let directory = directory();
    let kept = Retention { days: 1, ..ALL };
    for day in 0..5 {
        let mut store = Store::open(directory.path(), kept).expect("opened");
        for n in 0..3 {
            store.add(frame(&[sample(day * DAY + n)])).expect("added");
        }
    }
    let files = Day::list(directory.path()).expect("listed");
    assert_eq!(files.len(), 2, "{files:?}");
    let ledgers = ledgers(directory.path());
    let through: Vec<u32> = ledgers.days.values().map(|ledger| ledger.through).collect();
    assert_eq!(through, [1, 1, 1]);
    assert!(ledgers.messages().is_empty());
    assert!(
        ledgers
            .days
            .values()
            .all(|ledger| !ledger.incomplete && ledger.samples == 3)
    );
    assert_eq!(sums(directory.path()), truth(15));
}

#[test]
fn conservation_what_is_removed_by_size_is_in_the_totals_of_its_day() {
    let directory = directory();
    let length = frame(&[sample(1)]).finish().expect("finished").len() as u64;
    let kept = Retention {
        days: 30,
        bytes: 40 * length,
    };
    // Two days, and a recorder that is started again and again.
    for n in 0..200 {
        let mut store = Store::open(directory.path(), kept).expect("opened");
        let time = n + if n < 120 { 0 } else { DAY };
        store.add(frame(&[sample(time)])).expect("added");
        drop(store);
        let files = fs::read_dir(directory.path()).expect("listed");
        let lengths = files.map(|file| file.expect("one").metadata().expect("there").len());
        let all: u64 = lengths.sum();
        // With the PID of the recorder.
        assert!(all <= kept.bytes + 16, "{all} of {}", kept.bytes);
    }
    let ledgers = ledgers(directory.path());
    assert_eq!(ledgers.days.len(), 2);
    assert!(ledgers.days.values().all(|ledger| !ledger.incomplete));
    assert!(ledgers.days.values().next().expect("one").through > 3);
    let (rows, devices, samples) = sums(directory.path());
    let (all_rows, all_devices, all_samples) = truth(200);
    assert_eq!((devices, samples), (all_devices, all_samples));
    assert_eq!(rows.values().sum::<u64>(), all_rows.values().sum::<u64>());
}

/// A kill between any two operations on files, and a recorder that goes on.
#[test]
fn a_stop_between_any_two_steps_neither_loses_nor_doubles_a_byte() {
    let mut stops = 0;
    for after in 1.. {
        let directory = directory();
        let all = Retention { days: 0, ..ALL };
        // Two files of a day, and then another day: both go.
        let mut recorded = 0;
        for part in 1..=2 {
            let mut store = Store::open(directory.path(), ALL).expect("opened");
            for _ in 0..2 {
                recorded += 1;
                store.add(frame(&[sample(recorded)])).expect("added");
            }
            drop(store);
            let name = |part| {
                day::path(
                    directory.path(),
                    Day {
                        part,
                        ..Day::of(sample(1).time)
                    },
                )
            };
            if part == 1 {
                fs::rename(name(1), directory.path().join("kept")).expect("renamed");
            } else {
                fs::rename(name(1), name(2)).expect("renamed");
                fs::rename(directory.path().join("kept"), name(1)).expect("renamed");
            }
        }
        let mut store = Store::open(directory.path(), all).expect("opened");
        stop::AFTER.set(Some(after));
        let mut added = store.add(frame(&[sample(DAY)])).map(drop);
        while added.is_ok() && Day::list(directory.path()).expect("listed").len() != 1 {
            added = store.tidy(100);
        }
        let was_stopped = stop::is_stopped();
        stop::AFTER.set(None);
        assert_eq!(added.is_err(), was_stopped, "{added:?}");
        drop(store);
        // The frame itself was written before.
        assert_eq!(sums(directory.path()), truth(5), "after {after} operations");
        // The next recorder goes on.
        let mut store = Store::open(directory.path(), all).expect("opened");
        store.add(frame(&[sample(DAY + 1)])).expect("added");
        assert_eq!(sums(directory.path()), truth(6), "and then, after {after}");
        tidied(&mut store, 1);
        assert_eq!(
            sums(directory.path()),
            truth(6),
            "and at last, after {after}"
        );
        let ledgers = ledgers(directory.path());
        let only = ledgers.days.values().next().expect("one");
        assert!(!only.incomplete && ledgers.messages().is_empty());
        assert_eq!((ledgers.days.len(), only.through, only.samples), (1, 2, 4));
        if !was_stopped {
            break;
        }
        stops = after;
    }
    // Two files, each with the steps of its totals, its own and those of the totals before.
    assert!(stops >= 12, "{stops}");
}

#[test]
fn torn_totals_beside_their_recording_are_made_again() {
    let directory = directory();
    record(directory.path(), &[&[1, 2]]);
    let torn = directory.path().join("2026-09-21.1.ledger.zst");
    fs::write(&torn, "torn").expect("written");
    assert_eq!(sums(directory.path()), truth(2));
    assert!(ledgers(directory.path()).messages().is_empty());
    let kept = Retention { days: 0, ..ALL };
    let mut store = Store::open(directory.path(), kept).expect("opened");
    store.add(frame(&[sample(DAY)])).expect("added");
    assert_eq!(sums(directory.path()), truth(3));
    assert!(
        !ledgers(directory.path())
            .days
            .values()
            .next()
            .expect("one")
            .incomplete
    );
}

#[test]
fn damaged_totals_are_said_and_later_ones_are_incomplete() {
    let directory = directory();
    let kept = Retention { days: 0, ..ALL };
    record(directory.path(), &[&[1, 2]]);
    let mut store = Store::open(directory.path(), kept).expect("opened");
    store.add(frame(&[sample(DAY)])).expect("added");
    let path = directory.path().join("2026-09-21.1.ledger.zst");
    let whole = fs::read(&path).expect("totals");
    fs::write(&path, &whole[..whole.len() / 2]).expect("torn");
    let said = ledgers(directory.path()).messages().join("\n");
    assert!(said.contains("left out the daily totals in"), "{said}");
    assert_eq!(sums(directory.path()).2, 1);
    // The clock is set back to that day: its file gets a number of its own.
    store.add(frame(&[sample(3)])).expect("added");
    let second = directory.path().join("2026-09-21.2.ndjson.zst");
    assert!(second.exists());
    store.add(frame(&[sample(2 * DAY)])).expect("added");
    assert!(!second.exists());
    let ledgers = ledgers(directory.path());
    let first = ledgers.days.values().next().expect("one");
    assert_eq!(
        (first.incomplete, first.through, first.samples),
        (true, 2, 1)
    );
}

#[test]
fn a_damaged_frame_is_counted_in_the_totals_and_the_rest_is_added_up() {
    let directory = directory();
    record(directory.path(), &[&[1], &[2], &[3]]);
    let path = only_file(directory.path());
    let mut bytes = fs::read(&path).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&path, &bytes).expect("written");
    let kept = Retention { days: 0, ..ALL };
    let mut store = Store::open(directory.path(), kept).expect("opened");
    store.add(frame(&[sample(DAY)])).expect("added");
    let ledgers = ledgers(directory.path());
    let first = ledgers.days.values().next().expect("one");
    assert_eq!((first.samples, first.damaged), (2, 1));
    assert_eq!(sums(directory.path()), truth(3));
}

/// Regression: `--keep` counted days from the clock, and a clock that jumped to 2099 removed all.
#[test]
fn a_clock_that_jumps_ahead_removes_nothing() {
    let directory = directory();
    let kept = Retention { days: 2, ..ALL };
    let mut store = Store::open(directory.path(), kept).expect("opened");
    store.add(frame(&[sample(1)])).expect("added");
    store.add(frame(&[sample(2 + DAY)])).expect("added");
    store
        .add(frame(&[sample(3 + 30_000 * DAY)]))
        .expect("added");
    store.add(frame(&[sample(4 + DAY)])).expect("added");
    let (numbers, _) = read(directory.path(), Span::default());
    assert_eq!(numbers, [1, 2 + DAY, 4 + DAY, 3 + 30_000 * DAY]);
    assert!(ledgers(directory.path()).days.is_empty());
}

#[test]
fn a_frame_that_alone_is_too_large_is_not_written() {
    let directory = directory();
    let tiny = Retention {
        days: 30,
        bytes: 400,
    };
    let mut store = Store::open(directory.path(), tiny).expect("opened");
    let outcome = store.add(frame(&[sample(1)])).expect("tried");
    assert_eq!(outcome, Outcome::TooLarge);
}

#[test]
fn totals_of_four_hundred_days_are_kept() {
    let directory = directory();
    let last = Day::of(sample(1).time).date;
    for day in 1..=405 {
        let date = last.saturating_sub(jiff::Span::new().days(day));
        let mut ledger = crate::record::Ledger::new(date);
        ledger.through = 1;
        let bytes = ledger.encode(u64::MAX).expect("written");
        let path = directory.path().join(format!("{date}.1.ledger.zst"));
        fs::write(path, bytes).expect("written");
    }
    record(directory.path(), &[&[1]]);
    let kept = Retention { days: 0, ..ALL };
    let mut store = Store::open(directory.path(), kept).expect("opened");
    store.add(frame(&[sample(DAY)])).expect("added");
    assert_eq!(Day::list(directory.path()).expect("listed").len(), 1);
    let days = ledgers(directory.path()).days;
    assert_eq!(days.len(), 400);
    assert_eq!(days.keys().next_back(), Some(&last));
}
