//! Daily totals as lines: what is written is read again, and what is damaged is not.

use std::path::Path;

use bytes::BytesMut;
use serde_json::Value;

use super::*;
use crate::{golden, host::devices::DeviceNames, output::SCHEMA, sample::Sample};

fn ledger(samples: &[Sample]) -> Ledger {
    let mut ledger = Ledger::new("2026-11-28".parse().expect("a day"));
    ledger.through = 1;
    let mut names = DeviceNames::new(Path::new("/nonexistent"));
    for sample in samples {
        ledger.feed(sample, &mut names);
    }
    ledger
}

fn lines(ledger: &Ledger) -> String {
    let mut buffer = BytesMut::new();
    ledger.lines(&mut buffer).expect("written");
    String::from_utf8(buffer.to_vec()).expect("UTF-8")
}

#[test]
fn totals_are_read_as_they_were_written() {
    let mut whole = ledger(&[golden::sample(), golden::journaled()]);
    whole.rows.retain(|_, row| !row.is_nothing());
    let text = lines(&whole);
    let read = Ledger::parse(text.as_bytes()).expect("read");
    assert_eq!(read.rows, whole.rows);
    assert_eq!(lines(&read), text);
    assert_eq!(read.between, whole.between);
}

/// Files that exist stay readable: a change of this one needs a new version, or fields that may
/// be missing.
#[test]
fn lines_of_totals_stay_as_they_are() {
    let text = lines(&ledger(&[golden::sample(), golden::journaled()]));
    golden::compare("src/hostile/corpus/ledger_lines/two", &text);
    // A file of them, for the other parser.
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/hostile/corpus/ledger_file/two");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let mut ledger = ledger(&[golden::sample(), golden::journaled()]);
        let bytes = ledger.encode(u64::MAX).expect("written");
        std::fs::write(&file, bytes).expect("written");
    }
    let bytes = std::fs::read(&file).expect("read");
    let read = Ledger::decode(&bytes).expect("what was written once is read");
    assert_eq!(lines(&read), text);
}

#[test]
fn every_line_fits_the_schema_and_none_of_its_fields_can_be_left_out() {
    let schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let mut folded = ledger(&[golden::journaled()]);
    folded.encode(1).expect("written");
    let empty = ledger(&[]);
    let text = lines(&ledger(&[golden::sample(), golden::journaled()]));
    for line in (text + &lines(&folded) + &lines(&empty)).lines() {
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

/// Crash or power cut: the file may end anywhere, and any byte may be another one.
#[test]
fn torn_or_damaged_totals_are_never_read_as_others() {
    let mut whole = ledger(&[golden::sample(), golden::journaled()]);
    let bytes = whole.encode(u64::MAX).expect("written");
    let read = Ledger::decode(&bytes).expect("read");
    for length in 0..bytes.len() {
        assert!(Ledger::decode(&bytes[..length]).is_err(), "{length}");
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let result = Ledger::decode(&damaged);
        assert!(result.is_err() || result.expect("read") == read, "{at}");
    }
}

#[test]
fn rows_that_do_not_add_up_are_refused() {
    let text = lines(&ledger(&[golden::sample()]));
    let refused = |text: &str| {
        Ledger::parse(text.as_bytes())
            .expect_err("refused")
            .to_string()
    };
    let without_last = text.trim_end().rsplit_once('\n').expect("lines").0;
    let all_but_tasks: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains(r#""kind":"row""#))
        .collect();
    assert!(refused(&all_but_tasks.join("\n")).contains("do not add up"));
    let last = text.lines().last().expect("lines");
    assert!(refused(&format!("{text}{last}\n")).contains("twice"));
    assert!(refused(without_last.split_once('\n').expect("lines").1).contains("missing"));
    let huge = text.replacen(r#""bios":"#, r#""bios":9999999999"#, 1);
    let huge = huge.replacen("9999999999", "99999999999999999", 1);
    assert!(
        refused(&huge).contains("more than a day"),
        "{}",
        refused(&huge)
    );
    let newer = text.replacen(r#"{"v":1,"#, r#"{"v":9,"#, 1);
    assert!(refused(&newer).contains("version 9"));
}

/// The figure in the documentation.
#[test]
fn four_hundred_days_are_a_few_megabytes() {
    let mut sizes = 0;
    for day in 0..4_u64 {
        let mut ledger = ledger(&[]);
        let base = golden::sample();
        // 60 services, each with a command or two, which write in several directories.
        for n in 0..300_u64 {
            let mut sample = base.clone();
            for (at, task) in sample.tasks.iter_mut().enumerate() {
                let mut one = crate::sample::Task::clone(task);
                one.unit = Some(format!("service-{}.service", n % 60).into());
                one.comm = format!("daemon-{}-{at}", n % 90).into();
                one.stats.write_char = Some(random(day, n, 1) % (1 << 30));
                *task = one.into();
            }
            for path in sample.paths.values_mut() {
                let file = path.rsplit('/').next().unwrap_or("x").to_owned();
                let user = random(0, n, 2) % 40;
                *path = format!("/var/lib/service-{}/data/{user:x}/{file}", n % 60).into();
            }
            for fact in &mut sample.facts {
                fact.bytes = 4096 * (random(day, n, fact.ino) % 100_000);
                fact.bios = random(day, n, fact.ino + 1) % 5000;
            }
            sample.system.block = Some(crate::sample::BlockTotals::of(&sample.facts));
            ledger.feed(&sample, &mut DeviceNames::new(Path::new("/nonexistent")));
        }
        let bytes = ledger.encode(u64::MAX).expect("written");
        println!("{} rows: {} bytes", ledger.rows.len(), bytes.len());
        assert!(ledger.rows.len() >= 300);
        sizes += bytes.len();
    }
    let all = sizes / 4 * 400;
    assert!(all < 8 << 20, "{all} bytes for 400 days");
}

/// Numbers without a pattern that would compress.
fn random(a: u64, b: u64, c: u64) -> u64 {
    let mut x = (a << 40) ^ (b << 20) ^ c ^ 0x9E37_79B9_7F4A_7C15;
    for _ in 0..4 {
        x = (x ^ (x >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    }
    x >> 8
}
