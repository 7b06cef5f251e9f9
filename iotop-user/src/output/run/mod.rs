//! The report of `run`: what a command cost, as text or as one JSON object.

mod json;
mod text;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{sample::Number, view::run::Tally};

pub use json::json;
pub use text::text;

/// The JSON Schema of the JSON report.
pub const SCHEMA: &str = include_str!("../../../schema/run-v1.schema.json");

/// This many files are in a report.
const FILES: usize = 10;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It exited with this status.
    Exited(u8),
    /// This signal ended it.
    Signalled(i32),
}

impl Outcome {
    /// From a status as wait(2) has it.
    pub fn of_wait(status: i32) -> Outcome {
        match libc::WIFSIGNALED(status) {
            true => Outcome::Signalled(libc::WTERMSIG(status)),
            // The kernel keeps eight bits.
            false => Outcome::Exited(libc::WEXITSTATUS(status) as u8),
        }
    }

    /// The exit status that a shell has for it.
    pub fn status(self) -> u8 {
        match self {
            Outcome::Exited(status) => status,
            Outcome::Signalled(signal) => 128 + signal as u8,
        }
    }
}

/// Whether the run waited until all was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// It was not asked to.
    No,
    /// All processes have ended, and their file systems were written.
    Complete,
    /// The user ended the wait.
    Interrupted,
}

/// What is reported.
#[derive(Debug)]
pub struct Report<'a> {
    /// The command and its arguments.
    pub words: Vec<String>,
    /// When the report was made.
    pub time: Timestamp,
    /// How the command ended.
    pub outcome: Outcome,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether the run waited until all was written.
    pub waited: Waited,
    /// What was counted.
    pub tally: &'a Tally,
    /// The names of the devices.
    pub devices: Vec<(Number, Arc<str>)>,
    /// What can't be reported on this machine, and what went wrong.
    pub notices: Vec<String>,
}

impl Report<'_> {
    fn device(&self, number: Number) -> String {
        let known = self.devices.iter().find(|(known, _)| *known == number);
        match known {
            Some((_, name)) => name.to_string(),
            None => format!("{}:{}", number.0, number.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use iotop_common::Class;
    use serde_json::Value;

    use super::*;
    use crate::{
        golden,
        sample::{BlockFact, Commits, Demand, Loss, Sample, TaskBlock, TaskCounters, sum},
        view::run::Descendants,
    };

    const MIB: u64 = 1 << 20;

    /// The golden sample with a command in it: `make` wrote through a compiler that has exited.
    fn measured() -> Sample {
        let mut sample = golden::flushed();
        let root = &mut sample.tasks[5];
        (root.tid, root.pid, root.start_boottime) = (100, 100, 50);
        for (n, start) in [(0, 70), (3, 60), (4, 65)] {
            sample.tasks[n].start_boottime = start;
            sample.tasks[n].ppid = Some(100);
        }
        let fact = |owner, class, bytes| BlockFact {
            owner: Some(owner),
            class,
            bytes,
            ..sample.facts[0]
        };
        let more = [
            fact(0, Class::Journal, 5 * MIB),
            fact(0, Class::Home, MIB),
            fact(3, Class::Shared, 8192),
            fact(3, Class::Read, 4 * MIB),
        ];
        for fact in more {
            let owner = fact.owner.expect("owned");
            let block = &mut sample.tasks[owner].block;
            *block = sum(*block, Some(fact.of_owner()));
        }
        sample.facts.extend(more);
        sample.facts[2].device = (8, 16);
        sample.tasks[0].stats = TaskCounters {
            write_char: Some(12 * MIB),
            write_syscalls: Some(40_000),
            ..TaskCounters::zero()
        };
        sample.tasks[3].stats.read_char = Some(6 * MIB);
        sample.tasks[3].stats.read_syscalls = Some(3);
        let block = sample.tasks[0].block.get_or_insert_with(TaskBlock::zero);
        block.dirtied = Some(276 * MIB);
        block.cancelled = Some(20 * MIB);
        block.throttled_ns = Some(1_200_000_000);
        block.throttles = Some(40);
        block.syncs = Some(400);
        sample.flushes[0].commits = Some(Commits {
            asked: vec![Demand {
                task: Some(sample.tasks[0].clone().into_task()),
                call: Some("fsync"),
                count: 398,
            }],
            ..Commits::default()
        });
        sample
    }

    fn tally(sample: &Sample) -> Tally {
        let mut tally = Tally::of(Descendants::of(100, "", false));
        tally.add(sample);
        tally.finish();
        // The sources report tasks that exit.
        tally.lost[Loss::ExitRecords] = Some(0);
        tally
    }

    fn report(tally: &Tally) -> Report<'_> {
        Report {
            words: vec!["make".into(), "-j2".into(), "a\u{1b}[2J b".into()],
            time: golden::sample().time,
            outcome: Outcome::Exited(0),
            elapsed: Duration::from_millis(12_345),
            waited: Waited::No,
            tally,
            devices: vec![((8, 1), "sda1".into())],
            notices: Vec::new(),
        }
    }

    fn lossy(tally: &mut Tally) -> Report<'_> {
        tally.lost[Loss::Facts] = Some(3);
        tally.unknown.block = Some(TaskBlock {
            write_self: MIB,
            ..TaskBlock::zero()
        });
        tally.unknown_tasks = 2;
        Report {
            outcome: Outcome::Signalled(libc::SIGTERM),
            waited: Waited::Interrupted,
            notices: vec!["/srv: it can't be written".into()],
            ..report(tally)
        }
    }

    #[test]
    fn golden_text_of_a_run() {
        golden::compare("src/golden/run.txt", &text(&report(&tally(&measured()))));
        golden::compare(
            "src/golden/run_lossy.txt",
            &text(&lossy(&mut tally(&measured()))),
        );
        let mut unknown = measured();
        unknown.system = golden::without_ebpf().system;
        unknown.facts.clear();
        unknown.flushes.clear();
        for task in &mut unknown.tasks {
            task.block = None;
        }
        golden::compare(
            "src/golden/run_no_ebpf.txt",
            &text(&report(&tally(&unknown))),
        );
    }

    #[test]
    fn golden_json_of_a_run() {
        golden::compare("src/golden/run.json", &json(&report(&tally(&measured()))));
    }

    #[test]
    fn the_parts_of_a_report_add_up_to_what_was_written() {
        let line: Value = serde_json::from_str(&json(&report(&tally(&measured())))).expect("JSON");
        let number = |value: &Value, name: &str| value[name].as_u64().expect(name);
        let parts = [
            "block_write_self_bytes",
            "block_write_flushed_bytes",
            "block_write_shared_bytes",
        ];
        let sum: u64 = parts.iter().map(|part| number(&line, part)).sum();
        assert_eq!(sum, number(&line, "caused_bytes"));
        let devices = line["devices"].as_array().expect("devices");
        for part in parts {
            let sum: u64 = devices.iter().map(|device| number(device, part)).sum();
            assert_eq!(sum, number(&line, part), "{part}");
        }
        let shared = line["shared"].as_object().expect("parts");
        let shared: u64 = shared.values().filter_map(Value::as_u64).sum();
        assert_eq!(shared, number(&line, "block_write_shared_bytes"));
    }

    #[test]
    fn every_json_report_fits_the_schema_that_ships_with_the_program() {
        let schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let mut without = golden::without_ebpf();
        let root = without.tasks.last_mut().expect("tasks");
        (root.tid, root.pid, root.start_boottime) = (100, 100, 50);
        let tallies = [
            tally(&measured()),
            tally(&without),
            tally(&golden::sample()),
        ];
        let mut lost = tally(&measured());
        let mut lines: Vec<String> = tallies.iter().map(|one| json(&report(one))).collect();
        lines.push(json(&lossy(&mut lost)));
        for line in lines {
            assert!(line.ends_with("}\n") && line.lines().count() == 1, "{line}");
            assert!(!line.contains('\u{1b}'), "{line}");
            let line: Value = serde_json::from_str(&line).expect("JSON");
            let errors: Vec<_> = validator
                .iter_errors(&line)
                .map(|e| e.to_string())
                .collect();
            assert!(errors.is_empty(), "{errors:?} in {line}");
            // And the other way round: nothing in the schema is missing.
            for name in schema["properties"].as_object().expect("names").keys() {
                assert!(line.get(name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn a_signal_has_the_status_of_a_shell() {
        assert_eq!(Outcome::of_wait(0), Outcome::Exited(0));
        assert_eq!(Outcome::of_wait(3 << 8).status(), 3);
        assert_eq!(Outcome::of_wait(15), Outcome::Signalled(15));
        assert_eq!(Outcome::of_wait(15).status(), 143);
        // With a core dump.
        assert_eq!(Outcome::of_wait(6 | 0x80).status(), 134);
    }
}
