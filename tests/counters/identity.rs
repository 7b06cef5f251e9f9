//! What identifies a task: its tid and its start time together, and what execve does to
//! them.

use std::collections::BTreeSet;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::MIB;
use super::io::{is_busy, lines, sum};
use super::stage::{Stage, intervals, tid};
use super::support::tracer::Tracer;

const SHORT: Duration = Duration::from_millis(200);

/// The tracer has seen the counters of the old task when a new task with the same tid
/// writes more: nothing may be subtracted, and nothing added.
pub fn reused_tid(stage: &Stage<'_>) -> Result<()> {
    let [old, new] = ["old", "new"].map(|name| stage.file(name));
    let [few, many] = [20, 30].map(|n| (n * MIB).to_string());
    let mut actor = stage.actor(
        "c-nursery",
        &[
            &["fork", "c-old", "any", "write", &old, "0", &few],
            &["reap"],
            &["fork", "c-new", "last", "write", &new, "0", &many],
        ],
    )?;
    let tracer = Tracer::start(&["-d", "0.2"])?;
    let first = tid(&stage.step(&mut actor)?, "c-old")?;
    intervals(2, SHORT);
    stage.step(&mut actor)?;
    // Start times are in clock ticks of 10 ms.
    sleep(Duration::from_millis(50));
    let second = tid(&stage.step(&mut actor)?, "c-new")?;
    ensure!(first == second, "the case is wrong: {first} and {second}");
    intervals(2, SHORT);
    let report = stage.report(tracer)?;
    let mut starts = BTreeSet::new();
    for (comm, mib) in [("c-old", 20), ("c-new", 30)] {
        let (mut bytes, mut chars) = (0, 0);
        for line in lines(&report, &[("tid", first)])? {
            if line.text("comm")? == comm && is_busy(line)? {
                bytes += line.number("write_bytes")?;
                chars += line.number("write_char")?;
                starts.insert(line.text("start_time")?);
            }
        }
        // Besides the file there is one byte, which says that the work is done.
        let right = bytes == mib * MIB && chars == mib * MIB + 1;
        ensure!(
            right,
            "{comm}: {bytes} bytes, {chars} characters, not {mib} MiB"
        );
    }
    ensure!(starts.len() == 2, "one start for two tasks: {starts:?}");
    Ok(())
}

/// A process that gets the number of a chosen one is not shown, and a message says that the
/// chosen one has ended.
pub fn chosen(stage: &Stage<'_>) -> Result<()> {
    for options in [&["-d", "0.2"][..], &["-d", "0.2", "--no-ebpf"]] {
        let [old, new] = ["old", "new"].map(|name| stage.file(name));
        let mib = MIB.to_string();
        let mut actor = stage.actor(
            "c-nursery",
            &[
                &["fork", "c-old", "any", "write", &old, "0", &mib],
                &["reap"],
                &["fork", "c-new", "last", "write", &new, "0", &mib],
            ],
        )?;
        let first = tid(&stage.step(&mut actor)?, "c-old")?;
        let number = first.to_string();
        let tracer = Tracer::start(&[options, &["-p", &number]].concat())?;
        intervals(1, SHORT);
        stage.step(&mut actor)?;
        sleep(Duration::from_millis(50));
        let second = tid(&stage.step(&mut actor)?, "c-new")?;
        ensure!(first == second, "the case is wrong: {first} and {second}");
        intervals(2, SHORT);
        let (report, said) = tracer.stop_and_tell("chosen")?;
        let rows = report.0.iter().flat_map(|interval| &interval.tasks);
        let names: BTreeSet<&str> = rows.map(|line| line.text("comm")).collect::<Result<_>>()?;
        ensure!(names == BTreeSet::from(["c-old"]), "{options:?}: {names:?}");
        let message = format!("process {number} has ended");
        ensure!(said.contains(&message), "{options:?}: {said:?}");
    }
    Ok(())
}

/// Both tasks start and exit before the tracer looks.
pub fn reused_at_once(stage: &Stage<'_>) -> Result<()> {
    let [old, new] = ["old", "new"].map(|name| stage.file(name));
    let [few, many] = [2, 3].map(|n| (n * MIB).to_string());
    let steps: &[&[&str]] = &[
        &["fork", "c-old", "any", "write", &old, "0", &few],
        &["reap"],
        &["fork", "c-new", "last", "write", &new, "0", &many],
        &["reap"],
    ];
    let mut actor = stage.actor("c-nursery", steps)?;
    let tracer = Tracer::start(&["-d", "1"])?;
    let mut said = Vec::new();
    for _ in steps {
        said.extend(stage.step(&mut actor)?);
    }
    let report = stage.report(tracer)?;
    let who = tid(&said, "c-old")?;
    ensure!(tid(&said, "c-new")? == who, "the case is wrong: {said:?}");
    let all = sum(&report, &[("tid", who)])?;
    ensure!(all.write_bytes == 5 * MIB, "both together: {all:?}");
    for (comm, mib) in [("c-old", 2), ("c-new", 3)] {
        let mut bytes = 0;
        for line in lines(&report, &[("tid", who)])? {
            if line.text("comm")? == comm && is_busy(line)? {
                ensure!(line.flag("exited")?, "{comm} is not called exited");
                bytes += line.number("write_bytes")?;
            }
        }
        ensure!(bytes == mib * MIB, "{comm}: {bytes} bytes, not {mib} MiB");
    }
    Ok(())
}

/// The thread that calls execve takes over the leader's tid and start time and keeps
/// its own counters; its old tid disappears without an exit. Tested once after the
/// thread's bytes were reported, and once before.
pub fn exec_from_a_thread(stage: &Stage<'_>) -> Result<()> {
    for (delay, seen) in [("0.2", true), ("1", false)] {
        let [before, after] = ["before", "after"].map(|name| stage.file(&format!("{name}{seen}")));
        let [thread, program] = [10, 5].map(|n| (n * MIB).to_string());
        let mut actor = stage.actor(
            "c-exec",
            &[
                &["in", "c-thread", "write", &before, "0", &thread],
                &["in", "c-thread", "exec", "write", &after, "0", &program],
            ],
        )?;
        let tracer = Tracer::start(&["-d", delay])?;
        stage.step(&mut actor)?;
        if seen {
            intervals(2, SHORT);
        }
        actor.go()?;
        is_alone(stage, actor.pid())?;
        actor.go()?;
        actor.done(stage.deadline)?;
        if seen {
            intervals(2, SHORT);
        }
        let pid = actor.exit(stage.deadline)?;
        let report = stage.report(tracer)?;
        let all = sum(&report, &[("pid", pid)])?;
        let chars = (15 * MIB..15 * MIB + 4096).contains(&all.write_char);
        ensure!(
            all.write_bytes == 15 * MIB && chars,
            "15 MiB were written, an interval before it: {seen}; {all:?}"
        );
    }
    Ok(())
}

/// Waits until the new program runs: execve has ended all other threads.
fn is_alone(stage: &Stage<'_>, pid: u64) -> Result<()> {
    while fs::read_dir(format!("/proc/{pid}/task"))?.count() > 1 {
        ensure!(!stage.deadline.left().is_zero(), "execve takes too long");
        sleep(Duration::from_millis(2));
    }
    Ok(())
}
