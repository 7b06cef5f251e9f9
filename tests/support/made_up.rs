//! A made-up recording of three days: a database that commits all day, a backup at night, a build
//! in working hours, names that try to break out of a page, a gap, and an hour without eBPF.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::BytesMut;
use iotop_common::{Class, FlushId};
use iotop_trace::record::{Frame, Retention, Store, lines};
use iotop_trace::sample::{
    BlockFact, BlockTotals, FileKey, Flush, FlushFile, FlushOwner, FlushReason, Lags, Metadata,
    Sample, SharedTask, Spike, SpikePart, System, Task, TaskBlock, TaskCounters, Written,
    by_device,
};
use jiff::{Timestamp, ToSpan};

const MINUTES: i64 = 10;
const DEVICE: (u32, u32) = (8, 1);

/// Names that do harm where they are not escaped.
pub const HOSTILE: [&str; 6] = [
    "<script>alert(1)</script>",
    "\" onload=alert(1) x=\"",
    "]]>--><!--",
    "a\u{1b}[2Jb\nc",
    "\u{202e}gpj.exe",
    // What is left of invalid UTF-8.
    "\u{fffd}\u{fffd}",
];

/// What one task writes in an interval.
struct Writes {
    name: &'static str,
    unit: &'static str,
    path: &'static str,
    reason: FlushReason,
    /// Data and journal, KiB.
    kib: (u64, u64),
}

/// Records the three days from midnight in UTC.
pub fn record(directory: &Path) -> Result<()> {
    let retention = Retention {
        days: 30,
        bytes: 1 << 30,
    };
    let mut store = Store::open(directory, retention)?;
    let start: Timestamp = "2026-11-24T00:00:00Z".parse()?;
    for n in 0..3 * 24 * 60 / MINUTES {
        let hour = n * MINUTES / 60;
        // The recorder does not run.
        if (37..39).contains(&hour) {
            continue;
        }
        let sample = sample(n, hour, start + ((n + 1) * MINUTES).minutes());
        let mut text = BytesMut::new();
        lines(&sample, |_| Arc::from("sda1"), &mut text)?;
        store.add(Frame::begin(&sample, &text)?)?;
    }
    Ok(())
}

/// What is written in this hour, counted from the start.
fn writes(n: i64, hour: i64) -> Vec<Writes> {
    let of_day = hour % 24;
    let wave = [
        3, 2, 2, 2, 3, 5, 9, 16, 24, 28, 30, 26, 22, 27, 29, 25, 20, 15, 12, 10, 8, 6, 5, 4,
    ];
    let busy = wave[usize::try_from(of_day).unwrap_or(0)] + u64::try_from(n * 7 % 5).unwrap_or(0);
    let syscall = FlushReason::Syscall;
    let mut all = vec![
        Writes {
            name: "postgres",
            unit: "postgresql.service",
            path: "/srv/db/base/16384/2619",
            reason: syscall("fdatasync"),
            kib: (busy * 9_000, busy * 5_000),
        },
        Writes {
            name: "rsyslogd",
            unit: "rsyslog.service",
            path: "/var/log/syslog",
            reason: FlushReason::Writeback("periodic".into()),
            kib: (700 + busy * 30, 400),
        },
    ];
    if of_day == 3 && n % 6 < 4 {
        all.push(Writes {
            name: "backup",
            unit: "backup.service",
            path: "/srv/backup/db.img",
            reason: FlushReason::Writeback("background".into()),
            kib: (2_600_000 + u64::try_from(hour).unwrap_or(0) * 9_000, 900),
        });
    }
    if (33..42).contains(&hour) && n % 3 != 0 {
        all.push(Writes {
            name: "cargo",
            unit: "user@1000.service/app.slice",
            path: "/home/u/target/debug/deps",
            reason: FlushReason::Writeback("background".into()),
            kib: (420_000, 12_000),
        });
    }
    if n % 36 == 7 {
        let names = HOSTILE.into_iter().enumerate();
        all.extend(names.map(|(k, name)| Writes {
            name,
            unit: name,
            path: name,
            reason: FlushReason::Direct,
            kib: (40_000 - 1000 * u64::try_from(k).unwrap_or(0), 8),
        }));
    }
    all
}

fn sample(n: i64, hour: i64, time: Timestamp) -> Sample {
    let is_traced = hour != 56;
    let writes = if is_traced {
        writes(n, hour)
    } else {
        Vec::new()
    };
    let mut tasks: Vec<SharedTask> = Vec::new();
    let mut facts: Vec<BlockFact> = Vec::new();
    let mut paths: HashMap<FileKey, Arc<str>> = HashMap::new();
    let mut flushes: Vec<Flush> = Vec::new();
    for (at, one) in writes.iter().enumerate() {
        let (ino, [data, journal]) = (100 + at as u64, [one.kib.0 << 10, one.kib.1 << 10]);
        let fact = |class, ino, bytes| BlockFact {
            owner: Some(at),
            submitter: Some(at),
            device: DEVICE,
            ino,
            class,
            file: 0,
            flush: FlushId::NONE,
            bytes,
            bios: bytes / 65_536 + 1,
            lag: None,
            lags: Lags::default(),
        };
        let of_task = [
            fact(Class::Exact, ino, data),
            fact(Class::Journal, 0, journal),
        ];
        let task = task(at, one, &of_task);
        paths.insert((DEVICE, ino, 0), one.path.into());
        flushes.push(flush(&task, one, ino, data));
        facts.extend(of_task);
        tasks.push(SharedTask::from(task));
    }
    if is_traced && n % 12 == 0 {
        facts.push(BlockFact {
            owner: None,
            class: Class::PreTrace,
            bytes: 30 << 20,
            ..facts[0]
        });
    }
    let spikes = spikes(&writes, &flushes, time);
    let devices = by_device(&facts);
    Sample {
        seq: u64::try_from(n).unwrap_or(0) + 1,
        time,
        interval: Duration::from_secs(60 * MINUTES as u64),
        system: System {
            block: is_traced.then(|| BlockTotals::of(&facts)),
            ..System::default()
        },
        tasks,
        facts,
        paths,
        devices,
        flushes,
        spikes,
        exited: Vec::new(),
        ended: Vec::new(),
        unanswered: Vec::new(),
        disks: Vec::new(),
        wakes: Vec::new(),
        for_others: Default::default(),
        groups: None,
    }
}

fn task(at: usize, one: &Writes, facts: &[BlockFact]) -> Task {
    let pid = 1000 + at as u32;
    let bytes = one.kib.0 << 10;
    let block = facts.iter().map(BlockFact::of_owner);
    Task {
        pid,
        tid: pid,
        ppid: Some(1),
        comm: one.name.into(),
        cmdline: Some(format!("{} --of={}", one.name, one.path).into()),
        unit: Some(one.unit.into()),
        user: Some("root".into()),
        uid: Some(0),
        stats: TaskCounters {
            write_char: Some(bytes / 3),
            write_syscalls: Some(bytes / 24_576),
            ..TaskCounters::default()
        },
        block: Some(block.fold(TaskBlock::zero(), |sum, one| sum + one)),
        ..Task::default()
    }
}

/// What the task's flusher, or the task itself, wrote of its data.
fn flush(task: &Task, one: &Writes, ino: u64, bytes: u64) -> Flush {
    let file = FlushFile {
        ino,
        file: 0,
        path: Some(one.path.into()),
        bytes,
    };
    let owner = FlushOwner {
        task: task.clone(),
        bytes,
        shared: 0,
        metadata: Metadata::default(),
        lag: None,
        files: vec![file],
    };
    Flush {
        device: DEVICE,
        device_name: "sda1".into(),
        reason: one.reason.clone(),
        submitter: Some(task.clone()),
        runs: Vec::new(),
        inodes: 1,
        written: Written {
            totals: BlockTotals {
                write: bytes,
                attributed: bytes,
                ..BlockTotals::default()
            },
            bios: bytes / 65_536 + 1,
            lag: None,
            owners: vec![owner],
        },
        logged: 0,
        commits: None,
    }
}

/// A spike in each interval in which more than a gigabyte is written.
fn spikes(writes: &[Writes], flushes: &[Flush], time: Timestamp) -> Vec<Spike> {
    let mut written = Written::default();
    for flush in flushes {
        written.add(&flush.written);
    }
    if written.totals.write < 1 << 30 {
        return Vec::new();
    }
    let part = |(one, flush): (&Writes, &Flush)| SpikePart {
        reason: one.reason.clone(),
        submitter: Some(one.name.into()),
        kthread: false,
        bytes: flush.written.totals.write,
    };
    let mut parts: Vec<SpikePart> = writes.iter().zip(flushes).map(part).collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
    let start = time - MINUTES.minutes();
    vec![Spike {
        device: DEVICE,
        device_name: "sda1".into(),
        start,
        end: time,
        open: false,
        peak: written.totals.write as f64 / 400.0,
        usual: 1e6,
        oldest: Some(start - 20.seconds()),
        parts,
        written,
    }]
}
