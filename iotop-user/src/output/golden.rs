//! The sample that the outputs' golden files are made of, and the comparison.

use std::{fs, path::PathBuf, time::Duration};

use bytes::BytesMut;
use iotop_common::Class;
use jiff::{Timestamp, tz::TimeZone};

use super::{Table, ndjson::ndjson};
use crate::{
    cli::Text,
    collect::{
        Accumulator, BlockFact, BlockTotals, Lag, Lost, Sample, System, Task, TaskBlock,
        TaskCounters, Unattributed, processes::processes,
    },
};

const MIB: u64 = 1 << 20;

fn time(second: i64) -> Timestamp {
    Timestamp::new(1_790_000_000 + second, 250_000_000).expect("in range")
}

fn task(pid: u32, tid: u32, comm: &str) -> Task {
    Task {
        pid,
        tid,
        ppid: Some(1),
        start_time: Some(time(-60)),
        comm: comm.into(),
        user: Some("root".into()),
        uid: Some(0),
        cgroup: Some("/user.slice".into()),
        prio: Some("be/4".into()),
        stats: TaskCounters::zero(),
        block: Some(TaskBlock::zero()),
        ..Task::default()
    }
}

/// An exited dd whose 256 MiB a kworker flushed, a database of two threads,
/// jbd2, and somebody with a hostile name.
pub fn sample() -> Sample {
    let mut dd = task(1200, 1200, "dd");
    dd.exited = true;
    dd.prio = None;
    dd.cmdline = Some("dd if=/dev/zero of=/srv/x bs=1M count=256".into());
    dd.stats = TaskCounters::default();
    dd.block = Some(TaskBlock {
        write_flushed: 256 * MIB,
        lag: Some(Lag {
            sum: Duration::from_millis(4812 * 65536),
            max: Duration::from_millis(5117),
            pages: 65536,
        }),
        ..TaskBlock::zero()
    });
    let mut kworker = task(77, 77, "kworker/u8:2");
    kworker.kthread = true;
    kworker.block = Some(TaskBlock {
        submitted_for_others: 256 * MIB,
        ..TaskBlock::zero()
    });
    let mut jbd2 = task(80, 80, "jbd2/sda1-8");
    jbd2.kthread = true;
    let mut db = task(900, 900, "postgres");
    db.user = Some("postgres".into());
    db.cmdline = Some("postgres -D /var/lib".into());
    db.stats.write_bytes = Some(3 * MIB);
    db.stats.blkio_delay_ns = Some(120_000_000);
    db.block = Some(TaskBlock {
        dirtied: Some(3 * MIB),
        write_self: 2 * MIB,
        write_flushed: MIB,
        dirty_pending: Some(64 << 10),
        lag: Some(Lag {
            sum: Duration::from_millis(17 * 768),
            max: Duration::from_millis(34),
            pages: 768,
        }),
        ..TaskBlock::zero()
    });
    let mut writer = task(900, 901, "walwriter");
    writer.user = Some("postgres".into());
    writer.cmdline = Some("postgres -D /var/lib".into());
    writer.block = Some(TaskBlock {
        submitted_for_others: MIB,
        ..TaskBlock::zero()
    });
    let mut hostile = task(666, 666, "a\u{1b}[2J\nb");
    hostile.cmdline = Some("x \u{202e}\u{1b}]0;evil\u{7} y".into());
    hostile.stats.read_bytes = Some(1234);
    let fact = |owner, submitter, class, bytes| BlockFact {
        owner,
        submitter: Some(submitter),
        device: (8, 1),
        ino: 12,
        class,
        bytes,
        bios: 1,
        lag: None,
    };
    Sample {
        seq: 1,
        time: time(0),
        interval: Duration::from_secs(2),
        system: System {
            pgpgin_bytes: Some(2048),
            pgpgout_bytes: Some(259 * MIB + 40960),
            dirty_bytes: Some(65536),
            writeback_bytes: Some(0),
            dirtied_bytes: Some(3 * MIB),
            written_bytes: Some(259 * MIB),
            block: Some(BlockTotals {
                read: 2048,
                write: 259 * MIB + 40960,
                attributed: 259 * MIB,
                shared: 0,
                unattributed: Unattributed {
                    metadata: 40960,
                    ..Unattributed::default()
                },
            }),
            lost: Lost {
                owner_slots: Some(0),
                facts: Some(0),
                fact_inodes: Some(0),
                tags: Some(0),
                long_bios: Some(0),
                faults: Some(0),
                missed_events: Some(0),
                exit_records: None,
            },
            tasks_total: Some(5),
            tasks_running_io: Some(5),
            tasks_exited: Some(1),
            self_cpu_ns: Some(1_500_000),
        },
        tasks: vec![dd, kworker, jbd2, db, writer, hostile],
        facts: vec![
            fact(Some(0), 1, Class::Exact, 256 * MIB),
            fact(None, 2, Class::Metadata, 40960),
            fact(Some(3), 3, Class::Exact, 2 * MIB),
            fact(Some(3), 4, Class::Exact, MIB),
        ],
        groups: None,
    }
}

/// The same machine without the kernel half and with delays not counted.
pub fn without_ebpf() -> Sample {
    let mut sample = sample();
    sample.system.block = None;
    sample.system.lost = Lost::default();
    sample.system.tasks_exited = None;
    sample.facts.clear();
    sample.tasks.retain(|task| !task.exited);
    for task in &mut sample.tasks {
        task.block = None;
        task.stats.blkio_count = None;
        task.stats.blkio_delay_ns = None;
        task.stats.swapin_count = None;
        task.stats.swapin_delay_ns = None;
    }
    sample
}

/// Compares with a file of `golden/`; `UPDATE_GOLDEN=1` writes it instead.
fn check(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("src/output/golden")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).expect("written");
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        text,
        wanted,
        "{} differs; UPDATE_GOLDEN=1 rewrites it",
        path.display()
    );
}

fn table(text: Text, sample: &Sample) -> String {
    Table::new(text, TimeZone::UTC, Vec::new()).format(sample)
}

#[test]
fn text_plain() {
    check("plain.txt", &table(Text::default(), &sample()));
}

#[test]
fn text_with_time_and_kilobytes() {
    let text = Text {
        time: true,
        kilobytes: true,
        ..Text::default()
    };
    check("time_kilobytes.txt", &table(text, &sample()));
}

#[test]
fn text_of_processes_counts_a_sibling_thread_as_the_process_itself() {
    let mut sample = sample();
    processes(&mut sample, |_| None);
    let text = Text {
        processes: true,
        ..Text::default()
    };
    check("processes.txt", &table(text, &sample));
}

#[test]
fn text_accumulated_keeps_the_dead() {
    let mut accumulator = Accumulator::default();
    let mut first = sample();
    accumulator.add(&mut first);
    let mut second = sample();
    second.tasks.remove(0);
    accumulator.add(&mut second);
    let text = Text {
        accumulated: true,
        ..Text::default()
    };
    check("accumulated.txt", &table(text, &second));
}

#[test]
fn text_without_ebpf_says_so_and_shows_no_zeros_for_the_unknown() {
    let notices = vec!["no eBPF: switched off with --no-ebpf".to_owned()];
    let mut table = Table::new(Text::default(), TimeZone::UTC, notices);
    check("no_ebpf.txt", &table.format(&without_ebpf()));
}

#[test]
fn text_of_a_lossy_interval_says_what_was_lost() {
    let mut sample = sample();
    sample.system.lost.facts = Some(3);
    sample.tasks.clear();
    check("lossy.txt", &table(Text::default(), &sample));
}

#[test]
fn quiet_leaves_out_headers_step_by_step() {
    let quiet = |quiet| Text {
        quiet,
        ..Text::default()
    };
    let mut once = Table::new(quiet(1), TimeZone::UTC, Vec::new());
    assert!(once.format(&sample()).contains("COMMAND"));
    assert!(!once.format(&sample()).contains("COMMAND"));
    assert!(!table(quiet(2), &sample()).contains("COMMAND"));
    assert!(table(quiet(2), &sample()).contains("Actual"));
    check("quiet.txt", &table(quiet(3), &sample()));
}

#[test]
fn every_row_has_as_many_words_before_the_command() {
    for sample in [sample(), without_ebpf()] {
        let text = Text {
            quiet: 3,
            ..Text::default()
        };
        for line in table(text, &sample).lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert!(matches!(words[11], "-" | "exit"), "{line}");
        }
    }
}

#[test]
fn ndjson_lines() {
    let mut buffer = BytesMut::new();
    ndjson(&sample(), &mut buffer).expect("written");
    check("sample.ndjson", &String::from_utf8_lossy(&buffer));
}
