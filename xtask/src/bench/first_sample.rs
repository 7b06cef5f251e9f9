//! How long the first sample takes, and how that grows with the tasks.

use std::fs;
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context, Result};

use super::crowd::{Crowd, Shape};
use super::median;
use super::peers::Tool;
use super::refreshes::Running;

/// In seconds. The interval is a part of every figure, so it is short; the difference
/// of two figures does not have it.
const DELAY: &str = "0.05";

const RUNS: usize = 5;

/// More threads need more memory maps than a process may have by default.
const IN_A_PROCESS: usize = 1000;

/// Threads of a real machine (htop, issue 1535), and the seconds that a user may wait.
const MANY: f64 = 383_000.0;
const PATIENCE: f64 = 3.0;

/// Measures and prints. `most` limits the threads; without it there are as many as the
/// machine allows.
pub fn measure(ours: &Tool, most: Option<usize>) -> Result<()> {
    let threads = match most {
        Some(most) => most,
        None => free_for_threads()?,
    };
    let shape = Shape {
        processes: (threads / IN_A_PROCESS).max(1),
        threads: IN_A_PROCESS,
        active: 0,
    };
    let alone = seconds(ours)?;
    let mut crowd = Crowd::start(shape)?;
    let crowded = seconds(ours)?;
    crowd.all_live()?;
    let tasks = shape.tasks();
    let each = (crowded - alone) / tasks as f64;
    let many = alone + MANY * each;
    println!(
        "\nFirst sample (-n 1 -d {DELAY}, medians of {RUNS}): {alone:.3} s without and \
         {crowded:.3} s with {tasks} idle threads more: {:.2} us a thread\n\
         {MANY:.0} threads would take {many:.2} s (budget {PATIENCE} s)",
        each * 1e6
    );
    Ok(())
}

/// From its start to its first line of output.
fn seconds(ours: &Tool) -> Result<f64> {
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let start = Instant::now();
        let mut running = Running::start(ours.batch(DELAY).args(["-n", "1"]))?;
        running.refresh()?;
        runs.push(start.elapsed().as_secs_f64());
    }
    Ok(median(runs))
}

/// Leaves an eighth of the ids to other processes.
fn free_for_threads() -> Result<usize> {
    let limit =
        number::<usize>("/proc/sys/kernel/threads-max")?.min(number("/proc/sys/kernel/pid_max")?);
    let loadavg = fs::read_to_string("/proc/loadavg").context("could not read /proc/loadavg")?;
    let present = tasks(&loadavg).context("/proc/loadavg does not tell the number of tasks")?;
    Ok((limit - limit / 8).saturating_sub(present))
}

fn number<T: FromStr>(path: &str) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("could not read {path}"))?;
    let number = text.trim().parse().ok();
    number.with_context(|| format!("{path} is not a number"))
}

/// `0.00 0.00 0.00 RUNNING/TASKS LAST`
fn tasks(loadavg: &str) -> Option<usize> {
    let (_, tasks) = loadavg.split_whitespace().nth(3)?.split_once('/')?;
    tasks.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn tasks_are_behind_the_slash() {
        assert_eq!(super::tasks("0.21 0.81 0.74 2/93 4198\n"), Some(93));
        assert_eq!(super::tasks("0.21\n"), None);
    }
}
