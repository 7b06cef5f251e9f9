//! The start.

use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::deadline::{lines_of, slower};
use super::program::{Running, soon};

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
