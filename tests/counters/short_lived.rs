//! Tasks that start and exit inside one interval, so that no look at /proc finds them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::MIB;
use super::fork::BRIEF;
use super::io::{Io, is_busy, lines, same, sum, until_the_end};
use super::stage::{Stage, intervals, tid};
use super::support::checks::near;
use super::support::ndjson::{Line, Report};
use super::support::process::Writer;
use super::support::tracer::Tracer;

const INTERVAL: Duration = Duration::from_secs(1);

/// A run that takes longer may not be inside one interval, and proves nothing.
const TOO_LONG: Duration = Duration::from_millis(800);

/// Runs `act` right after an interval has begun. Returns what it did and what the
/// tracer reported.
fn inside_one_interval<T>(stage: &Stage<'_>, act: impl Fn() -> Result<T>) -> Result<(T, Report)> {
    for _ in 0..3 {
        let tracer = Tracer::start(&["-d", "1"])?;
        let start = Instant::now();
        let acted = act()?;
        if start.elapsed() < TOO_LONG {
            // An exited task must not appear again in the interval after its last.
            intervals(1, INTERVAL);
            return Ok((acted, stage.report(tracer)?));
        }
        eprintln!("{:?} for a short-lived task: trying again", start.elapsed());
    }
    anyhow::bail!("this machine is too slow for a task that lives inside one interval")
}

/// The one line on which this task has counters; it says that it has exited.
fn only_line(report: &Report, tid: u64) -> Result<&Line> {
    let mut busy = Vec::new();
    for line in lines(report, &[("tid", tid)])? {
        if is_busy(line)? {
            busy.push(line);
        }
    }
    ensure!(busy.len() == 1, "task {tid}: {} lines, not 1", busy.len());
    ensure!(busy[0].flag("exited")?, "task {tid} is not called exited");
    Ok(busy[0])
}

pub fn process(stage: &Stage<'_>) -> Result<()> {
    let len = 8 * MIB;
    let (source, target) = (stage.file("source"), stage.file("target"));
    let amount = len.to_string();
    let mut maker = stage.actor("c-maker", &[&["fsync", &source, &amount]])?;
    stage.step(&mut maker)?;
    maker.exit(stage.deadline)?;
    let steps: &[&[&str]] = &[
        &["evict", &source],
        &["read", &source],
        &["fsync", &target, &amount],
    ];
    let ((pid, truth), report) = inside_one_interval(stage, || {
        let mut brief = stage.actor("c-brief", steps)?;
        for _ in steps {
            stage.step(&mut brief)?;
        }
        let truth = Io::of_process(brief.pid())?;
        Ok((brief.exit(stage.deadline)?, truth))
    })?;
    ensure!(
        truth.read_bytes >= len && truth.write_bytes >= len,
        "the case is wrong: {truth:?}"
    );
    let line = only_line(&report, pid)?;
    ensure!(line.text("comm")? == "c-brief" && line.number("pid")? == pid);
    let got = Io::of_lines([line])?;
    until_the_end("a short-lived process", got, truth)?;
    near(
        "block_read_bytes",
        line.number("block_read_bytes")?,
        got.read_bytes,
    )?;
    near("dirtied_bytes", line.number("dirtied_bytes")?, len)?;
    near("block_write_bytes", line.number("block_write_bytes")?, len)
}

pub fn thread(stage: &Stage<'_>) -> Result<()> {
    let len = 100 * MIB;
    let file = stage.file("file");
    let work = ["in", "c-birth", "write", &file, "0", &len.to_string()];
    // The process lives on. Its thread exited long before.
    let ((actor, tid), report) = inside_one_interval(stage, || {
        let mut actor = stage.actor("c-parent", &[&work, &["end", "c-birth"]])?;
        let tid = tid(&stage.step(&mut actor)?, "c-birth")?;
        stage.step(&mut actor)?;
        Ok((actor, tid))
    })?;
    let line = only_line(&report, tid)?;
    ensure!(line.text("comm")? == "c-birth" && line.number("pid")? == actor.pid());
    same(
        "a thread that is gone",
        but_page_faults(Io::of_lines([line])?),
        written_at_once(len),
    )?;
    near("dirtied_bytes", line.number("dirtied_bytes")?, len)?;
    leader_wrote_nothing(&report, &actor)
}

pub fn thread_that_lives_on(stage: &Stage<'_>) -> Result<()> {
    let len = 100 * MIB;
    let file = stage.file("file");
    let work = ["in", "c-birth", "write", &file, "0", &len.to_string()];
    let mut actor = stage.actor("c-parent", &[&work])?;
    let tracer = Tracer::start(&["-d", "0.2"])?;
    let tid = tid(&stage.step(&mut actor)?, "c-birth")?;
    intervals(2, Duration::from_millis(200));
    let report = stage.report(tracer)?;
    let got = sum(&report, &[("tid", tid)])?;
    let got = but_page_faults(got);
    same("a thread in its first interval", got, written_at_once(len))?;
    let of_it = lines(&report, &[("tid", tid)])?;
    for line in &of_it {
        ensure!(!line.flag("exited")?, "a live thread is called exited");
    }
    leader_wrote_nothing(&report, &actor)
}

/// `len` bytes in writes of 1 MiB, and nothing else.
fn written_at_once(len: u64) -> Io {
    Io {
        write_char: len,
        write_syscalls: len / MIB,
        write_bytes: len,
        ..Io::default()
    }
}

/// Without reads: pages of the program may have to be read from disk.
fn but_page_faults(io: Io) -> Io {
    Io {
        read_bytes: 0,
        ..io
    }
}

fn leader_wrote_nothing(report: &Report, actor: &Writer) -> Result<()> {
    let leader = sum(report, &[("tid", actor.pid())])?;
    ensure!(leader.write_bytes == 0, "of its leader: {leader:?}");
    Ok(())
}

pub fn ten_thousand(stage: &Stage<'_>) -> Result<()> {
    let count: usize = 10_000;
    let file = stage.file("file");
    let work = ["children", &count.to_string(), "16", &file];
    let mut actor = stage.actor("c-many", &[&work])?;
    let tracer = Tracer::start(&["-d", "1"])?;
    stage.step(&mut actor)?;
    let report = stage.report(tracer)?;
    let mut lives: BTreeMap<(u64, &str), (Io, bool)> = BTreeMap::new();
    // More than 2,048 that exited in one interval share a row.
    let (mut shared, mut sharing) = (Io::default(), 0);
    for line in report.0.iter().flat_map(|interval| &interval.tasks) {
        let tid = line.number("tid")?;
        if line.text("comm")? != "c-many" || tid == actor.pid() {
            continue;
        }
        if tid == 0 {
            let now = Io::of_lines([line])?;
            shared.write_char += now.write_char;
            shared.write_bytes += now.write_bytes;
            sharing += line.number("tasks")? as usize;
            continue;
        }
        let (io, exited) = lives.entry((tid, line.text("start_time")?)).or_default();
        *exited |= line.flag("exited")?;
        if is_busy(line)? {
            let now = Io::of_lines([line])?;
            io.write_char += now.write_char;
            io.write_bytes += now.write_bytes;
        }
    }
    let written = |of: fn(&Io) -> u64| {
        let alone = lives.values().map(|(io, _)| of(io)).sum::<u64>();
        alone + of(&shared)
    };
    let (chars, bytes) = (written(|io| io.write_char), written(|io| io.write_bytes));
    let exits = lives.values().filter(|(_, exited)| *exited).count() + sharing;
    let tasks = lives.len() + sharing;
    let lost = losses(&report).context("lost.exit_records")?;
    let said = format!(
        "{tasks} tasks, {exits} exits, {chars} characters, {bytes} bytes, {lost} exits lost"
    );
    let all = count as u64 * BRIEF;
    match sharing {
        0 => ensure!(tasks == count && exits == count, "{said}, of {count}"),
        // One may be in two rows: in its own while it lives, or shared in two intervals.
        _ => ensure!(tasks >= count && exits >= count, "{said}, of {count}"),
    }
    ensure!(
        chars == all && bytes == all && lost == 0,
        "{said}, of {all}"
    );
    let whole = |io: &Io| io.write_char == BRIEF || sharing != 0 && io.write_char == 0;
    let each = lives.values().all(|(io, _)| whole(io));
    ensure!(each, "some have another's bytes");
    Ok(())
}

fn losses(report: &Report) -> Result<u64> {
    let mut lost = 0;
    for interval in &report.0 {
        let of = interval.system.numbers("lost")?;
        let records = of.get("exit_records").context("is not there")?;
        lost += records.context("is null: exits are not watched")?;
    }
    Ok(lost)
}
