//! What wakes a disk: the first request after silence, and how regularly it comes.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::replaceable::Replaceable;
use super::stage::{Stage, intervals};
use super::support::command::run;
use super::support::deadline::Deadline;
use super::support::ndjson::{Line, Report};
use super::support::tracer::Tracer;

/// Number of a loop device that a machine does not have.
const NUMBER: i32 = 9003;
const SHORT: Duration = Duration::from_millis(500);

/// Reads one block past the page cache.
fn read_block(device: &str, deadline: Deadline) -> Result<()> {
    let mut dd = Command::new("dd");
    dd.args(["of=/dev/null", "bs=4k", "count=1", "iflag=direct"]);
    dd.args([&format!("if={device}"), "status=none"]);
    run(&mut dd, deadline).map(drop)
}

fn wakes_of<'a>(report: &'a Report, disk: &str) -> Result<Vec<&'a Line>> {
    let wakes = report.0.iter().flat_map(|interval| &interval.wakes);
    let mut of_disk = Vec::new();
    for wake in wakes {
        if wake.text("device_name")? == disk {
            of_disk.push(wake);
        }
    }
    Ok(of_disk)
}

fn suspects(wake: &Line) -> Result<&Vec<Value>> {
    wake.field("suspects")?.as_array().context("no suspects")
}

fn nanoseconds(value: &Value) -> Result<Duration> {
    let nanoseconds = value.as_u64();
    let nanoseconds = nanoseconds.with_context(|| format!("{value} is no time"))?;
    Ok(Duration::from_nanos(nanoseconds))
}

/// Every wake-up by a block that is read every three seconds is reported with its reader, its
/// bytes and its silence, and the period is found.
pub fn reader(stage: &Stage<'_>) -> Result<()> {
    const PERIOD: Duration = Duration::from_secs(3);
    const TIMES: u32 = 6;
    let disk = Replaceable::add(NUMBER, stage.deadline)?;
    let options = ["-d", "0.5", "--explain-wakeups", "--idle", "2"];
    let tracer = Tracer::start(&options)?;
    let start = Instant::now();
    let mut read = Vec::new();
    for n in 1..=TIMES {
        sleep((PERIOD * n).saturating_sub(start.elapsed()));
        let before = start.elapsed();
        read_block(&disk.path(), stage.deadline)?;
        read.push((before, start.elapsed()));
    }
    intervals(1, SHORT);
    let report = stage.report(tracer)?;
    let wakes = wakes_of(&report, &disk.name())?;
    ensure!(wakes.len() == read.len(), "{} wake-ups", wakes.len());
    for (n, wake) in wakes.iter().enumerate() {
        ensure!(wake.flag("certain")?, "{n}: not certain");
        let suspect = &suspects(wake)?[0];
        ensure!(suspect["task"]["comm"] == "dd", "{n}: {suspect}");
        ensure!(suspect["read_bytes"] == 4096, "{n}: {suspect}");
        ensure!(suspect["write_bytes"] == 0, "{n}: {suspect}");
        ensure!(suspect["rhythm"]["times"] == n + 1, "{n}: {suspect}");
        let silence = wake.field("silence_ns")?;
        let at_least = nanoseconds(&silence["at_least"])?;
        let Some(last) = n.checked_sub(1) else {
            ensure!(silence["at_most"].is_null(), "before the trace: {silence}");
            continue;
        };
        let at_most = nanoseconds(&silence["at_most"])?;
        let longest = read[n].1 - read[last].0;
        let shortest = read[n].0.saturating_sub(read[last].1);
        ensure!(at_least <= longest, "{n}: {silence}, not {longest:?}");
        ensure!(at_most >= shortest, "{n}: {silence}, not {shortest:?}");
    }
    let last = wakes.last().context("a wake-up")?;
    let period = nanoseconds(&suspects(last)?[0]["rhythm"]["period_ns"])?;
    ensure!(period.abs_diff(PERIOD) <= SHORT, "every {period:?}");
    Ok(())
}

/// A disk with requests in every interval is never silent.
pub fn busy(stage: &Stage<'_>) -> Result<()> {
    let disk = Replaceable::add(NUMBER, stage.deadline)?;
    let path = disk.path();
    let mut actor = stage.actor("c-steady", &[&["steadily", &path, "4096", "50"]])?;
    let options = ["-d", "0.5", "--explain-wakeups", "--idle", "0.5"];
    let tracer = Tracer::start(&options)?;
    actor.go()?;
    intervals(8, SHORT);
    let report = stage.report(tracer)?;
    let wakes = wakes_of(&report, &disk.name())?;
    // The first request may come in the second interval or later.
    ensure!(wakes.len() <= 1, "{} wake-ups of a busy disk", wakes.len());
    for wake in wakes {
        let at_most = &wake.field("silence_ns")?["at_most"];
        ensure!(at_most.is_null(), "silent in between: {at_most}");
    }
    Ok(())
}

/// A write that the kernel postponed is its writer's, with the file, and names the flusher.
pub fn postponed(stage: &Stage<'_>) -> Result<()> {
    const ROUNDS: usize = 3;
    let file = stage.file("app.log");
    let write = ["write", &file, "0", "65536"];
    let mut writer = stage.actor("c-logger", &[&write[..]; ROUNDS])?;
    let sync = || run(Command::new("sync").args(["-f", &file]), stage.deadline);
    run(&mut Command::new("sync"), stage.deadline)?;
    let options = ["-d", "0.5", "--explain-wakeups", "--idle", "1.5"];
    let tracer = Tracer::start(&options)?;
    // A thread of ext4 may use the disk in between, once after the mount.
    for _ in 0..ROUNDS {
        stage.step(&mut writer)?;
        // ext4 commits five seconds after the first change.
        sleep(Duration::from_millis(2500));
        sync()?;
    }
    intervals(1, SHORT);
    let report = stage.report(tracer)?;
    let (mut seen, mut found) = (Vec::new(), 0);
    for wake in report.0.iter().flat_map(|interval| &interval.wakes) {
        for suspect in suspects(wake)? {
            seen.push(suspect["task"]["comm"].clone());
            if suspect["task"]["comm"] != "c-logger" {
                continue;
            }
            let requests = suspect["requests"].as_array().context("requests")?;
            let is_data = |request: &&Value| {
                let files = request["files"].as_array();
                files.is_some_and(|files| files.iter().any(|known| known["path"] == *file))
            };
            let data = requests.iter().find(is_data);
            let data = data.with_context(|| format!("no {file} in {suspect}"))?;
            ensure!(data["operation"] == "write" && data["bytes"] == 65536);
            let flusher = &data["submitter"];
            let comm = flusher["comm"].as_str().unwrap_or_default();
            ensure!(
                comm.starts_with("kworker/") && data["reason"] == "sync",
                "{data}"
            );
            let lag = nanoseconds(&data["lag_ns"]["max"])?;
            ensure!(lag >= Duration::from_secs(2), "dirty for {lag:?}");
            found += 1;
        }
    }
    ensure!(found != 0, "not the writer woke a disk, but {seen:?}");
    Ok(())
}
