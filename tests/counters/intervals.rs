//! Intervals are as long as asked for, the first is as correct as the others, and
//! unknown values are not reported as 0.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::MIB;
use super::io::{Io, sum};
use super::stage::Stage;
use super::support::deadline::Deadline;
use super::support::ndjson::Report;
use super::support::tracer::BINARY;
use super::text::{Figure, batch, frames};

const DELAYACCT: &str = "/proc/sys/kernel/task_delayacct";

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

/// The NDJSON lines of a complete run.
fn ndjson(options: &[&str]) -> Result<Vec<String>> {
    let mut command = Command::new(BINARY);
    let output = soon().output(command.args(["--export", "ndjson"]).args(options))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", output.status);
    Ok(str::from_utf8(&output.stdout)?
        .lines()
        .map(str::to_owned)
        .collect())
}

pub fn half_a_second() -> Result<()> {
    let start = Instant::now();
    let lines = ndjson(&["-d", "0.5", "-n", "3"])?;
    let took = start.elapsed();
    let mut intervals = 0;
    for line in &lines {
        let line: Value = serde_json::from_str(line)?;
        let seconds = line["interval_s"].as_f64().context("interval_s")?;
        ensure!((0.4..0.8).contains(&seconds), "an interval of {seconds} s");
        intervals += usize::from(line["type"] == "system");
    }
    ensure!(intervals == 3, "{intervals} intervals, not 3");
    ensure!(took >= Duration::from_millis(1400), "three in {took:?}");
    Ok(())
}

pub fn stamped() -> Result<()> {
    for options in [["-t"].as_slice(), &["-t", "-o", "-q", "-P", "-a"]] {
        let text = batch(&[options, &["-n", "2", "-d", "0.1"]].concat())?;
        ensure!(text.lines().count() > 2, "{options:?}: {text:?}");
        for line in text.lines() {
            ensure!(has_time(line), "{options:?}: no time on {line:?}");
        }
    }
    Ok(())
}

/// `HH:MM:SS` and a blank in front.
fn has_time(line: &str) -> bool {
    let form = "dd:dd:dd ";
    line.len() >= form.len()
        && line.bytes().zip(form.bytes()).all(|(is, form)| match form {
            b'd' => is.is_ascii_digit(),
            _ => is == form,
        })
}

/// Without eBPF it is unknown which task caused a write.
pub fn unknown() -> Result<()> {
    let options = ["--no-ebpf", "-n", "1", "-d", "0.2"];
    for frame in frames(&batch(&options)?)? {
        let columns = [
            "CAUSED",
            "VIA_KERNEL",
            "PENDING",
            "LAG",
            "METADATA",
            "AMPLIF",
        ];
        ensure!(!frame.rows.is_empty(), "no rows");
        dashes(&frame, &columns)?;
    }
    for line in ndjson(&options)? {
        let line: Value = serde_json::from_str(&line)?;
        nulls(&line, &["block_write_bytes"])?;
        if line["type"] == "task" {
            nulls(
                &line,
                &["block_read_bytes", "dirtied_bytes", "dirty_pending_bytes"],
            )?;
        }
    }
    Ok(())
}

fn dashes(frame: &super::text::Frame, columns: &[&str]) -> Result<()> {
    for column in columns {
        let at = frame.column(column)?;
        for row in &frame.rows {
            ensure!(row[at] == "-", "{column} is {:?} in {row:?}", row[at]);
        }
    }
    Ok(())
}

fn nulls(line: &Value, fields: &[&str]) -> Result<()> {
    for field in fields {
        ensure!(line.get(field) == Some(&Value::Null), "{field}: {line}");
    }
    Ok(())
}

/// If the kernel does not count delays, they are unknown and not 0.00 %. If this
/// machine counts them, a mount hides that from the program.
pub fn unknown_delay(_: &Stage<'_>) -> Result<()> {
    let hide = format!("echo 0 > /dev/shm/off && mount --bind /dev/shm/off {DELAYACCT}; ");
    let counted = fs::read_to_string(DELAYACCT)?.trim() != "0";
    let script = format!(
        "mount -t tmpfs none /dev/shm; {}exec \"$0\" \"$@\"",
        if counted { &hide } else { "" }
    );
    let run = |options: &[&str]| -> Result<String> {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script, BINARY]);
        let output = soon().output(command.args(options).args(["-n", "1", "-d", "0.2"]))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {said}", output.status);
        Ok(String::from_utf8(output.stdout)?)
    };
    for frame in frames(&run(&["-b"])?)? {
        ensure!(!frame.rows.is_empty(), "no rows");
        dashes(&frame, &["SWAPIN", "IO"])?;
    }
    for line in run(&["--export", "ndjson"])?.lines() {
        let line: Value = serde_json::from_str(line)?;
        if line["type"] == "task" {
            nulls(&line, &["blkio_delay_ns", "swapin_delay_ns"])?;
        }
    }
    Ok(())
}

/// A gigabyte before the start, and nothing in the interval.
pub fn first_interval(stage: &Stage<'_>) -> Result<()> {
    let file = stage.file("file");
    let steps: &[&[&str]] = &[
        &["chars", &(1024 * MIB).to_string()],
        &["write", &file, "0", &(64 * MIB).to_string()],
    ];
    let mut actor = stage.actor("c-before", steps)?;
    for _ in steps {
        stage.step(&mut actor)?;
    }
    let truth = Io::of_process(actor.pid())?;
    ensure!(truth.read_char >= 1024 * MIB && truth.write_bytes == 64 * MIB);
    for options in [
        ["-n", "1", "-d", "0.3"].as_slice(),
        &["-n", "1", "-d", "0.3", "-a"],
        &["-n", "1", "-d", "0.3", "-P"],
        &["-n", "1", "-d", "0.3", "--no-ebpf"],
    ] {
        let report = Report::parse(&ndjson(options)?)?;
        let got = sum(&report, &[("tid", actor.pid())])?;
        ensure!(got.is_nothing(), "{options:?}: {got:?} of an idle task");
    }
    Ok(())
}

/// The only interval of `-n 1` shows the rate of a task that writes steadily.
pub fn single_interval(stage: &Stage<'_>) -> Result<()> {
    let file = stage.file("file");
    let step = ["aside", "c-steady", "steadily", &file, "1048576", "10"];
    let mut actor = stage.actor("c-leader", &[&step])?;
    let tid = super::stage::tid(&stage.step(&mut actor)?, "c-steady")?;
    let written = || -> Result<(f64, Instant)> {
        let io = fs::read_to_string(format!("/proc/{}/task/{tid}/io", actor.pid()))?;
        let bytes = io
            .lines()
            .find_map(|line| line.strip_prefix("write_bytes: "));
        Ok((bytes.context("write_bytes")?.parse()?, Instant::now()))
    };
    let (bytes, start) = written()?;
    let text = batch(&["-n", "1", "-d", "0.5"])?;
    let (more, end) = written()?;
    let rate = (more - bytes) / (end - start).as_secs_f64();
    let frame = &frames(&text)?[0];
    let row = frame.row(tid)?;
    let shown = Figure::parse(&row[frame.column("DISK_WRITE")?])?.bytes;
    // The disk is not always equally fast.
    let fits = (rate / 2.0..rate * 2.0).contains(&shown);
    ensure!(fits && rate > 0.0, "{shown} B/s of {rate} B/s in {row:?}");
    Ok(())
}
