//! The recording that the tools read: made by the library, with all kinds of bytes and hostile
//! names; and a real one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use iotop_common::{Class, FlushId};
use iotop_trace::commands::record::Recorder;
use iotop_trace::record::{Retention, Store};
use iotop_trace::sample::{
    BlockFact, BlockTotals, Flush, FlushFile, FlushOwner, FlushReason, ForOthers, Lags, Number,
    Parent, Reason, Sample, SharedTask, System, Task, Unattributed, Written, by_device,
};
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

use super::program::{BINARY, Running, complaint, is_root, run, soon};
use super::trial::LeftOut;

const VDA: Number = (254, 0);
/// A device with nothing but copies, below [`VDA`].
const VDB: Number = (254, 16);

/// Names that could do harm, and the command that `report` makes of each.
pub const HOSTILE: [(&str, &str); 6] = [
    ("\u{1b}[2J\n\r\t\0x", "\u{1b}[2J\n\r\t\0x"),
    ("'; DROP --", "'; DROP --"),
    ("=cmd|'/C'!A0", "=cmd|'/C'!A0"),
    ("<b>&\"\\", "<b>&\"\\"),
    ("\u{202e}\u{fffd}\u{1f980}", "\u{202e}\u{fffd}\u{1f980}"),
    ("[kworker/0:1]", "\\[kworker/0:1]"),
];

/// A recording in a directory that goes with it.
pub struct Made(TempDir);

impl Made {
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    fn text(&self) -> Result<&str> {
        self.path().to_str().context("UTF-8")
    }

    /// The files, as DuckDB takes them.
    pub fn files(&self) -> Result<String> {
        Ok(format!("{}/*.ndjson.zst", self.text()?))
    }

    /// How many frames its files have.
    pub fn frames(&self) -> Result<usize> {
        let mut frames = 0;
        for file in fs::read_dir(self.path())? {
            let bytes = fs::read(file?.path())?;
            let starts = bytes
                .windows(15)
                .filter(|part| part == b"{\"iotop_trace\":");
            frames += starts.count();
        }
        Ok(frames)
    }

    /// The lines of `report --by` as NDJSON.
    pub fn report(&self, by: &str) -> Result<Vec<Value>> {
        let output = run(&["report", self.text()?, "--by", by, "--format", "ndjson"])?;
        ensure!(output.status.success(), "{}", complaint(&output));
        super::program::json_lines(&output)
    }

    /// Writes an export into a file.
    pub fn export(&self, format: &str, more: &[&str]) -> Result<PathBuf> {
        let path = self.path().join(format!("export.{format}"));
        let mut command = Command::new(BINARY);
        command.args(["report", self.text()?, "--format", format]);
        command.args(more).stdout(File::create(&path)?);
        let output = soon().wait(&mut command.stderr(Stdio::inherit()).spawn()?)?;
        ensure!(output.success(), "{format}: {output}");
        Ok(path)
    }
}

/// Five minutes and more, so several frames.
pub fn made() -> Result<Made> {
    let directory = Made(TempDir::new()?);
    let retention = Retention {
        days: 30,
        bytes: 1 << 30,
    };
    let mut recorder = Recorder::new(Store::open(directory.path(), retention)?);
    let first = Timestamp::now() - Duration::from_secs(400);
    for seq in 1..=35 {
        let mut sample = sample(seq);
        sample.time = first + Duration::from_secs(10 * seq) + Duration::from_nanos(123 * seq);
        recorder.record(sample)?;
    }
    recorder.finish()?;
    Ok(directory)
}

fn task(pid: u32, tid: u32, comm: &str) -> Task {
    Task {
        pid,
        tid,
        start_boottime: u64::from(tid) * 1_000_000,
        comm: comm.into(),
        ..Task::default()
    }
}

/// A leader with a thread of another name, two kworkers, and hostile names.
fn tasks() -> Vec<Task> {
    let parent = Parent {
        pid: 1,
        comm: "systemd".into(),
    };
    let mut tasks = vec![
        Task {
            cmdline: Some("/usr/bin/db --serve".into()),
            parents: Some([parent].into()),
            user: Some("postgres".into()),
            uid: Some(112),
            cgroup: Some("/system.slice/db.service".into()),
            unit: Some("db.service".into()),
            container: Some("docker-12".into()),
            ..task(100, 100, "db")
        },
        Task {
            unit: Some("db.service".into()),
            ..task(100, 101, "db-writer")
        },
        Task {
            kthread: true,
            ..task(40, 40, "kworker/u8:1")
        },
        Task {
            kthread: true,
            ..task(41, 41, "kworker/0:2")
        },
        Task {
            kthread: true,
            ..task(42, 42, "jbd2/vda-8")
        },
    ];
    for (n, (name, _)) in (200..).zip(HOSTILE) {
        tasks.push(Task {
            cmdline: Some(format!("{name} {name}").into()),
            user: Some(name.into()),
            unit: Some(name.into()),
            ..task(n, n, name)
        });
    }
    tasks
}

fn fact(owner: Option<usize>, class: Class, ino: u64, bytes: u64) -> BlockFact {
    BlockFact {
        owner,
        submitter: owner,
        device: VDA,
        ino,
        class,
        file: 0,
        flush: FlushId::NONE,
        bytes,
        bios: 1 + bytes / 65_536,
        lag: None,
        lags: Lags::default(),
    }
}

fn facts(seq: u64) -> Vec<BlockFact> {
    let mut facts = vec![
        fact(Some(0), Class::Read, 11, 4096 * seq),
        fact(Some(0), Class::Exact, 11, 8192 * seq),
        fact(Some(1), Class::Direct, 12, 512 * seq),
        fact(Some(1), Class::Shared, 12, 4096),
        fact(Some(0), Class::Journal, 0, 12_288),
        fact(Some(1), Class::Home, 0, 4096 + seq),
        fact(Some(0), Class::Tree, 0, 16_384),
        fact(Some(2), Class::Exact, 13, 4096),
        fact(Some(3), Class::Exact, 13, 8192),
        fact(None, Class::PreTrace, 14, 65_536),
        fact(None, Class::Metadata, 0, 4096),
        fact(None, Class::Unknown, 15, 4096 * (seq % 3)),
        fact(None, Class::Swap, 0, 4096),
    ];
    // A class with owners, of which the owner is not known.
    facts.push(fact(None, Class::Exact, 16, 1024));
    facts.push(BlockFact {
        device: VDB,
        submitter: Some(2),
        ..fact(None, Class::Stacked, 0, 8192)
    });
    for owner in 5..5 + HOSTILE.len() {
        facts.push(fact(
            Some(owner),
            Class::Exact,
            20 + owner as u64,
            4096 * owner as u64,
        ));
    }
    // The flusher writes what the leader dirtied.
    facts[1].submitter = Some(2);
    facts
}

fn sample(seq: u64) -> Sample {
    let (tasks, facts) = (tasks(), facts(seq));
    let mut totals = BlockTotals::of(&facts);
    // What found no room among the facts.
    let beyond = [(Reason::Overflow, 4096 * seq), (Reason::PreTrace, 512)];
    totals.unattributed = totals.unattributed + Unattributed::from(beyond);
    totals.write += 4096 * seq + 512;
    totals.read += 1024;
    let hostile_path: Arc<str> = "/srv/\u{1b}]0;x\u{7}\n<i>".into();
    let paths = [
        ((VDA, 11, 0), "/srv/db/data".into()),
        ((VDA, 12, 0), "/srv/db/wal".into()),
        ((VDA, 25, 0), hostile_path),
    ];
    let flushes = vec![flush(&tasks, &facts)];
    Sample {
        seq,
        time: Timestamp::UNIX_EPOCH,
        interval: Duration::from_secs(10),
        system: System {
            block: Some(totals),
            ..System::default()
        },
        devices: by_device(&facts),
        tasks: tasks.into_iter().map(SharedTask::from).collect(),
        exited: Vec::new(),
        ended: Vec::new(),
        unanswered: Vec::new(),
        facts,
        paths: paths.into(),
        disks: Vec::new(),
        flushes,
        spikes: Vec::new(),
        wakes: Vec::new(),
        for_others: ForOthers::default(),
        groups: None,
    }
}

/// What the flusher wrote of the leader.
fn flush(tasks: &[Task], facts: &[BlockFact]) -> Flush {
    let (of, by) = (&facts[1], &tasks[2]);
    let file = FlushFile {
        ino: of.ino,
        file: of.file,
        path: Some("/srv/db/data".into()),
        bytes: of.bytes,
    };
    let owner = FlushOwner {
        task: tasks[0].clone(),
        bytes: of.bytes,
        shared: 0,
        metadata: Default::default(),
        lag: None,
        files: vec![file],
    };
    Flush {
        device: VDA,
        device_name: "vda".into(),
        reason: FlushReason::Writeback("periodic".into()),
        submitter: Some(by.clone()),
        runs: Vec::new(),
        inodes: 1,
        written: Written {
            totals: BlockTotals::of([of]),
            bios: of.bios,
            lag: None,
            owners: vec![owner],
        },
        logged: 0,
        commits: None,
    }
}

/// A few seconds of this machine, in which a program of this name writes.
pub fn real(name: &str) -> Result<Made> {
    if !is_root() {
        return Err(LeftOut::missing("only root records"));
    }
    let made = Made(TempDir::new()?);
    let said = made.path().join("said");
    let child = Command::new(BINARY)
        .args(["record", "-d", "0.2", made.text()?])
        .stdin(Stdio::null())
        .stderr(File::create(&said)?)
        .spawn()?;
    let mut recorder = Running(child);
    for _ in 0..200 {
        if fs::read_to_string(&said)?.contains("recording into") {
            break;
        }
        sleep(Duration::from_millis(100));
    }
    let program = made.path().join(name);
    fs::copy("/bin/dd", &program)?;
    // Not below /tmp, which may be in memory.
    let file = tempfile::Builder::new().tempfile_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut dd = Command::new(program);
    dd.args(["if=/dev/zero", "bs=1M", "count=4", "conv=fsync,notrunc"]);
    dd.arg(format!("of={}", file.path().display()));
    for _ in 0..3 {
        let output = soon().output(&mut dd)?;
        ensure!(output.status.success(), "{}", complaint(&output));
    }
    recorder.signal(libc::SIGTERM)?;
    let status = soon().wait(&mut recorder.0)?;
    let said = fs::read_to_string(&said)?;
    ensure!(status.success(), "{status}: {said}");
    match said.contains("eBPF") {
        true => Err(LeftOut::missing(said)),
        false => Ok(made),
    }
}
