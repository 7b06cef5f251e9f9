//! Processes: all of their threads, exited ones included, and nothing of their
//! children.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::MIB;
use super::io::{Io, lines, same, sum};
use super::stage::{Stage, intervals, tid};
use super::support::ndjson::Line;
use super::support::process::end;
use super::support::tracer::Tracer;

const SHORT: Duration = Duration::from_millis(200);

/// Threads start, write and exit. The process's figure is what was written, in every
/// interval and in total.
pub fn thread_exits(stage: &Stage<'_>) -> Result<()> {
    let [one, two] = ["one", "two"].map(|name| stage.file(name));
    let [many, more, few] = [20, 8, 4].map(|n| (n * MIB).to_string());
    let steps: &[&[&str]] = &[
        &["in", "c-one", "write", &one, "0", &many],
        // Its last bytes fall into the interval in which it exits.
        &["in", "c-one", "write", &one, &many, &more],
        &["end", "c-one"],
        &["in", "c-two", "write", &two, "0", &few],
        &["end", "c-two"],
    ];
    let mut actor = stage.actor("c-process", steps)?;
    let rates = Tracer::start(&["-d", "0.2", "-P"])?;
    let totals = Tracer::start(&["-d", "0.2", "-P", "-a"])?;
    stage.step(&mut actor)?;
    intervals(1, SHORT);
    stage.step(&mut actor)?;
    stage.step(&mut actor)?;
    intervals(2, SHORT);
    stage.step(&mut actor)?;
    intervals(1, SHORT);
    stage.step(&mut actor)?;
    intervals(2, SHORT);
    let truth = Io::of_process(actor.pid())?;
    ensure!(
        truth.write_bytes == 32 * MIB,
        "the case is wrong: {truth:?}"
    );

    let rates = rates.stop("process-rates")?;
    let who = [("pid", actor.pid())];
    for line in lines(&rates, &who)? {
        is_the_process(line, actor.pid())?;
        // Writes of three intervals, so no interval has nearly all of them.
        let bytes = line.number("write_bytes")?;
        ensure!(bytes <= 28 * MIB, "{bytes} bytes in one interval");
    }
    same_but_its_wait("the sum of all intervals", sum(&rates, &who)?, truth)?;

    // What `totals` counts begins a little later than the actor's first reads.
    let totals = totals.stop("process-totals")?;
    let mut before = Io::default();
    for line in lines(&totals, &who)? {
        is_the_process(line, actor.pid())?;
        let now = Io::of_lines([line])?;
        let fell = now.write_bytes < before.write_bytes || now.write_char < before.write_char;
        ensure!(!fell, "a total fell: {before:?}, then {now:?}");
        before = now;
    }
    same_but_its_wait("the last total", before, truth)
}

/// The actor existed before the tracer: what it read at its start is not in the report,
/// what it wrote is.
fn same_but_its_wait(what: &str, got: Io, truth: Io) -> Result<()> {
    let written = |io: Io| Io {
        read_char: 0,
        read_syscalls: 0,
        read_bytes: 0,
        ..io
    };
    same(what, written(got), written(truth))
}

fn is_the_process(line: &Line, pid: u64) -> Result<()> {
    let tid = line.number("tid")?;
    ensure!(tid == pid, "with -P there is a row of thread {tid}");
    Ok(())
}

/// -p with a process's or a thread's number shows all threads of that process,
/// and with -P their sum.
pub fn selected(stage: &Stage<'_>) -> Result<()> {
    let files = ["one", "two", "three", "four"].map(|name| stage.file(name));
    let lens = [1, 2, 4, 8].map(|n| (n * MIB).to_string());
    let mut actor = stage.actor(
        "c-leader",
        &[
            &["in", "c-one", "idle"],
            &["in", "c-one", "write", &files[0], "0", &lens[0]],
            &["in", "c-two", "write", &files[1], "0", &lens[1]],
            &["write", &files[2], "0", &lens[2]],
            &["in", "c-gone", "write", &files[3], "0", &lens[3]],
            &["end", "c-gone"],
        ],
    )?;
    let one = tid(&stage.step(&mut actor)?, "c-one")?;
    let (pid, by_tid) = (actor.pid().to_string(), one.to_string());
    let selections = [
        Tracer::start(&["-d", "0.5", "-p", &pid])?,
        Tracer::start(&["-d", "0.5", "-p", &by_tid])?,
        Tracer::start(&["-d", "0.5", "-P", "-p", &pid])?,
        Tracer::start(&["-d", "0.5", "-P", "-p", &by_tid])?,
    ];
    let two = tid(
        &[stage.step(&mut actor)?, stage.step(&mut actor)?].concat(),
        "c-two",
    )?;
    stage.step(&mut actor)?;
    let gone = tid(&stage.step(&mut actor)?, "c-gone")?;
    stage.step(&mut actor)?;
    let names = ["threads-pid", "threads-tid", "process-pid", "process-tid"];
    for (n, (tracer, name)) in selections.into_iter().zip(names).enumerate() {
        let report = tracer.stop(name)?;
        for line in report.0.iter().flat_map(|interval| &interval.tasks) {
            ensure!(
                line.number("pid")? == actor.pid(),
                "{name}: a row of another process, {}",
                line.text("comm")?
            );
        }
        let written = |wanted: &[(&str, u64)]| -> Result<u64> {
            Ok(sum(&report, wanted).context(name)?.write_bytes / MIB)
        };
        let all = written(&[("pid", actor.pid())])?;
        ensure!(all == 15, "{name}: {all} MiB of 15");
        if n < 2 {
            for (tid, mib) in [(one, 1), (two, 2), (actor.pid(), 4), (gone, 8)] {
                let got = written(&[("tid", tid)])?;
                ensure!(got == mib, "{name}: {got} MiB of thread {tid}, not {mib}");
            }
        } else {
            for line in report.0.iter().flat_map(|interval| &interval.tasks) {
                is_the_process(line, actor.pid())?;
            }
        }
    }
    Ok(())
}

/// The shell waits for what it starts, so the kernel adds its children's
/// counters to /proc/PID/io of the shell.
pub fn shell(stage: &Stage<'_>) -> Result<()> {
    let script = format!(
        "for n in 1 2; do \
           dd if=/dev/zero of={}$n bs=1M count=20 conv=fsync 2>/dev/null; \
         done; echo did; read line; exit 0",
        stage.file("file")
    );
    for options in [["-d", "0.3"].as_slice(), &["-d", "0.3", "-P"]] {
        let tracer = Tracer::start(options)?;
        let mut shell = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let pid = u64::from(shell.id());
        let children = wrote(&mut shell, pid).context("the shell and its children");
        if children.is_err() {
            end(&mut shell);
        }
        let reaped = children?;
        ensure!(
            reaped.write_bytes >= 40 * MIB,
            "the case is wrong, the kernel charges the shell with {reaped:?}"
        );
        intervals(1, Duration::from_millis(300));
        drop(shell.stdin.take());
        stage.deadline.wait(&mut shell)?;
        let report = tracer.stop("shell")?;
        let got = sum(&report, &[("pid", pid)])?;
        ensure!(
            got.write_bytes == 0 && got.write_char < 1024 && got.read_char < MIB,
            "{options:?}: the shell is charged with {got:?}"
        );
        let children = sum(&report, &[("ppid", pid)])?;
        // Besides their data the kernel may charge them with the access time of
        // the program that they execute.
        ensure!(
            children.write_bytes == reaped.write_bytes,
            "{options:?}: of its children there is {children:?}, the kernel says {reaped:?}"
        );
    }
    Ok(())
}

/// Waits until the shell's children have written. Returns what /proc says of the shell.
fn wrote(shell: &mut std::process::Child, pid: u64) -> Result<Io> {
    let stdout = shell.stdout.take().context("stdout is piped")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    ensure!(line == "did\n", "it said {line:?}");
    ensure!(fs::exists(format!("/proc/{pid}"))?, "it has gone");
    Io::of_process(pid)
}
