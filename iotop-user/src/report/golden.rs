//! Reports of made-up samples, compared with golden files.

use std::{path::Path, time::Duration};

use bytes::BytesMut;
use jiff::Timestamp;
use serde_json::Value;

use super::*;
use crate::{
    golden::{compare as compare_file, flushed, journaled, sample, without_ebpf},
    output::SCHEMA,
    sample::{BlockTotals, Flush, FlushReason, Loss, Sample, SharedTask, Task, TaskCounters},
};

/// The sample number `n` of a span: of five intervals, the database writes in one.
fn interval(n: i64) -> Sample {
    let mut sample = match n % 5 {
        0 => busy(),
        _ => idle(),
    };
    // dd is there once.
    if n != 0 {
        sample.facts.retain(|fact| fact.owner != Some(0));
        sample.tasks[0] = SharedTask::from(Task::default());
        sample.system.block = sample.system.block.map(|_| BlockTotals::of(&sample.facts));
        for flush in &mut sample.flushes {
            flush
                .written
                .owners
                .retain(|owner| &*owner.task.comm != "dd");
        }
    }
    sample.time = at(2 * (n + 1));
    sample
}

/// A sample whose journal says what made it commit.
fn busy() -> Sample {
    let is_journal = |flush: &&mut Flush| flush.reason == FlushReason::Journal;
    let mut sample = journaled();
    let mut flushes = flushed().flushes;
    let commits = flushes.iter_mut().find(is_journal);
    let commits = commits.and_then(|flush| flush.commits.take());
    let journal = sample.flushes.iter_mut().find(is_journal);
    journal.expect("jbd2's").commits = commits;
    sample
}

fn idle() -> Sample {
    let mut sample = sample();
    sample.facts.clear();
    sample.flushes.clear();
    sample.system.block = Some(BlockTotals::default());
    for task in &mut sample.tasks {
        task.stats = TaskCounters::zero();
        task.block = None;
    }
    sample
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).expect("in range")
}

fn gathered(by: ReportBy, samples: impl IntoIterator<Item = Sample>) -> Report {
    let mut gather = Gather::new(by, Path::new("/nonexistent"));
    for sample in samples {
        gather.feed(&sample);
    }
    let mut report = gather.finish().expect("samples");
    report.look_up_sizes(|path| (path == Path::new("/srv/x")).then_some(27 << 20));
    report
}

fn two_minutes(by: ReportBy) -> Report {
    gathered(by, (0..60).map(interval))
}

fn check(file: &str, text: &str) {
    compare_file(&format!("src/report/golden/{file}"), text);
}

#[test]
fn text_of_commands_files_and_devices() {
    for (by, file) in [
        (ReportBy::Command, "commands.txt"),
        (ReportBy::User, "users.txt"),
        (ReportBy::Unit, "units.txt"),
        (ReportBy::File, "files.txt"),
        (ReportBy::Directory, "directories.txt"),
        (ReportBy::Device, "devices.txt"),
    ] {
        check(file, &Text::default().format(&two_minutes(by)));
    }
}

#[test]
fn text_says_what_is_missing() {
    let mut samples: Vec<Sample> = (0..10).map(interval).collect();
    samples[3].system.lost[Loss::Facts] = Some(3);
    let mut without = without_ebpf();
    without.time = at(22);
    samples.push(without);
    // An hour later.
    let mut late = interval(5);
    late.time = at(3600);
    samples.push(late);
    let mut report = gathered(ReportBy::Command, samples);
    report.lifetimes = Some(Vec::new());
    check("missing.txt", &Text::default().format(&report));
}

#[test]
fn a_span_without_ebpf_has_no_rows_and_no_zeros() {
    let report = gathered(ReportBy::Command, [without_ebpf()]);
    let text = Text::default().format(&report);
    assert!(
        text.contains("! Recorded without eBPF: 1 of 1 sample"),
        "{text}"
    );
    assert!(!text.contains("Written") && !text.contains("0B"), "{text}");
}

#[test]
fn only_what_was_written_to_has_its_lifetime_counter_in_the_report() {
    let sys = tempfile::tempdir().expect("a directory");
    for device in ["sda1", "sdz1"] {
        let directory = sys.path().join("fs/ext4").join(device);
        std::fs::create_dir_all(&directory).expect("made");
        std::fs::write(directory.join("lifetime_write_kbytes"), "1000").expect("written");
    }
    let mut report = two_minutes(ReportBy::Command);
    report.look_up_lifetimes(sys.path(), |_| None);
    let counted = Lifetime::FileSystem {
        device: "sda1".to_owned(),
        file_system: "ext4".to_owned(),
        written: 1_024_000,
    };
    assert_eq!(report.lifetimes, Some(vec![counted]));
}

#[test]
fn few_rows_are_printed_if_few_are_wanted() {
    let text = Text {
        rows: 1,
        details: 0,
        ..Text::default()
    };
    check("short.txt", &text.format(&two_minutes(ReportBy::Command)));
}

#[test]
fn without_samples_there_is_no_report() {
    let gather = Gather::new(ReportBy::Unit, Path::new("/nonexistent"));
    assert!(gather.finish().is_none());
}

#[test]
fn csv_of_commands_and_files() {
    for (by, file) in [
        (ReportBy::Command, "commands.csv"),
        (ReportBy::File, "files.csv"),
    ] {
        let text = csv(&two_minutes(by)).expect("written");
        check(file, &String::from_utf8_lossy(&text));
    }
}

fn json(report: &Report) -> String {
    let mut buffer = BytesMut::new();
    ndjson(report, &mut buffer).expect("written");
    String::from_utf8(buffer.to_vec()).expect("UTF-8")
}

#[test]
fn ndjson_of_commands() {
    let mut report = two_minutes(ReportBy::Command);
    report.lifetimes = Some(vec![
        Lifetime::FileSystem {
            device: "sda1".to_owned(),
            file_system: "ext4".to_owned(),
            written: 1 << 40,
        },
        Lifetime::Drive {
            device: "mmcblk0".to_owned(),
            written: None,
            percent: Some(20),
        },
        Lifetime::Drive {
            device: "nvme0n1".to_owned(),
            written: Some(32_146_715_136_000),
            percent: Some(3),
        },
    ]);
    check("commands.ndjson", &json(&report));
    let text = Text::default().format(&report);
    let line = "Lifetime: ext4 on sda1 has written 1099.51 GB since it was made, mmcblk0 has used \
                up to 20% of its life, nvme0n1 has been written 32147 GB in its life and has used \
                up to 3% of its life\n";
    assert!(text.contains(line), "{text}");
}

/// dd once a minute earlier, and the database twice as often later.
fn changed() -> [Report; 2] {
    let before = (0..60).map(interval);
    let after = (60..120).map(|n| {
        let mut sample = match n % 5 {
            3 => interval(5),
            _ => interval(n),
        };
        sample.time = at(2 * (n + 1));
        sample
    });
    [
        gathered(ReportBy::Command, before),
        gathered(ReportBy::Command, after),
    ]
}

#[test]
fn a_comparison_in_every_format() {
    let [before, after] = changed();
    let comparison = compare(&before, &after);
    check("changes.txt", &changes_text(&Text::default(), &comparison));
    let text = changes_csv(&comparison).expect("written");
    check("changes.csv", &String::from_utf8_lossy(&text));
    let mut buffer = BytesMut::new();
    changes_ndjson(&comparison, &mut buffer).expect("written");
    check("changes.ndjson", &String::from_utf8_lossy(&buffer));
}

#[test]
fn every_line_fits_the_schema_and_none_of_its_fields_can_be_left_out() {
    let schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let [before, after] = changed();
    let mut buffer = BytesMut::new();
    changes_ndjson(&compare(&before, &after), &mut buffer).expect("written");
    let mut lines = String::from_utf8(buffer.to_vec()).expect("UTF-8");
    for by in ReportBy::ALL {
        lines += &json(&two_minutes(by));
    }
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let errors: Vec<_> = validator
            .iter_errors(&line)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?} in {line}");
        let fields = line.as_object().expect("an object");
        for name in fields.keys() {
            let mut without = fields.clone();
            without.remove(name);
            assert!(!validator.is_valid(&Value::Object(without)), "{name}");
        }
    }
}

#[test]
fn a_hostile_name_harms_no_format() {
    let mut sample = journaled();
    sample.tasks[0].comm = "=1+1\u{1b}[2J\n".into();
    let report = gathered(ReportBy::Command, [sample]);
    let texts = [
        Text::default().format(&report),
        String::from_utf8(csv(&report).expect("written")).expect("UTF-8"),
        json(&report),
    ];
    for text in texts {
        assert!(text.contains("2J") && !text.contains('\u{1b}'), "{text}");
        assert!(!text.contains(",=1+1"), "{text}");
    }
}

#[test]
fn a_regular_writer_is_found_and_a_single_write_has_no_period() {
    let report = two_minutes(ReportBy::Command);
    let row = |name: &str| {
        let found = report
            .rows
            .iter()
            .find(|row| row.name.as_deref() == Some(name));
        found.expect("a row")
    };
    assert_eq!(row("postgres").periods, [Duration::from_secs(10)]);
    assert!(row("dd").periods.is_empty());
}
