//! The start, and intervals while others use all CPUs.

use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::Value;

use super::deadline::{lines_of, slower};
use super::program::Running;
use super::{BINARY, NDJSON, complaint, is_root, json_lines, soon};

/// Waits until a process catches a signal.
fn wait_until_caught(child: &Child, signal: libc::c_int) -> Result<()> {
    let status = format!("/proc/{}/status", child.id());
    let deadline = soon();
    loop {
        let text = std::fs::read_to_string(&status)?;
        let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.context("no SigCgt")?.trim(), 16)?;
        if caught & 1 << (signal - 1) != 0 {
            return Ok(());
        }
        ensure!(!deadline.left().is_zero(), "{signal} is never caught");
        sleep(Duration::from_micros(100));
    }
}

/// Regression: in the first quarter of a second, ^C killed it.
#[test]
fn a_signal_at_any_time_of_the_start_ends_it_with_success() -> Result<()> {
    let mut soonest = Duration::MAX;
    for after in (0..=500).step_by(50).map(Duration::from_millis) {
        for signal in [libc::SIGINT, libc::SIGTERM] {
            let start = Instant::now();
            let (running, stdout) = Running::start()?;
            let printed = lines_of(stdout);
            wait_until_caught(&running.0, signal)?;
            soonest = soonest.min(start.elapsed());
            sleep(after);
            running.signal(signal)?;
            let mut lines = 0;
            while let Some(line) = soon().line(&printed)? {
                serde_json::from_str::<Value>(&line).with_context(|| line)?;
                lines += 1;
            }
            let (status, said) = running.end()?;
            ensure!(
                status.code() == Some(0),
                "{signal} {after:?}: {status}: {said}"
            );
            let told = said.contains("ended by a signal");
            ensure!(told == (lines == 0), "{after:?}: {said:?}, {lines} lines");
        }
    }
    // It is caught before anything else is done. Loading the kernel half takes longer.
    let limit = Duration::from_millis(60) * slower();
    ensure!(soonest < limit, "{soonest:?}");
    Ok(())
}

/// Programs that use all CPUs. Dropping them ends them.
struct Spinners(Vec<Child>);

impl Spinners {
    /// Their priority is low, so that only what has a lower one starves.
    fn start(number: usize) -> Result<Spinners> {
        let spinner = || {
            let mut command = Command::new("nice");
            command.args(["-n", "10", "sh", "-c", "while :; do :; done"]);
            command.spawn()
        };
        let mut spinners = Spinners(Vec::new());
        for _ in 0..number {
            spinners.0.push(spinner()?);
        }
        Ok(spinners)
    }
}

impl Drop for Spinners {
    fn drop(&mut self) {
        for spinner in &mut self.0 {
            let _ = spinner.kill();
            let _ = spinner.wait();
        }
    }
}

/// Regression: with 12 spinners and a nice value of 19, intervals of one second took 5.1 s, and
/// the start 44 s.
#[test]
fn intervals_keep_their_length_while_others_use_all_cpus() -> Result<()> {
    if !is_root() {
        eprintln!("ignored: raising the priority needs root");
        return Ok(());
    }
    let _spinners = Spinners::start(12)?;
    let mut command = Command::new("nice");
    command
        .args(["-n", "19", BINARY])
        .args(NDJSON)
        .args(["-n", "10"]);
    let output = soon().output(&mut command)?;
    ensure!(output.status.success(), "{}", complaint(&output));
    let mut before: Option<Timestamp> = None;
    let mut lengths = Vec::new();
    for line in json_lines(&output)? {
        if line["type"] != "system" {
            continue;
        }
        let length = line["interval_s"].as_f64().context("a length")?;
        let end: Timestamp = line["time"].as_str().context("a time")?.parse()?;
        if let Some(before) = before {
            let elapsed = end.duration_since(before).as_secs_f64();
            ensure!((elapsed - length).abs() < 0.01, "{elapsed}: {line}");
        }
        before = Some(end);
        lengths.push(length);
    }
    ensure!(lengths.len() == 10, "{lengths:?}");
    lengths.sort_by(f64::total_cmp);
    // One may be longer: the machine is busy.
    let typical = lengths[lengths.len() - 2];
    ensure!(typical < 0.5 * f64::from(slower()), "{lengths:?}");
    Ok(())
}
