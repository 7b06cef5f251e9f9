//! `cargo xtask bench live`: what the live view costs while nothing happens,
//! and how long a key waits for its answer.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::crowd::{Crowd, Shape};
use super::{cpu, median};
use crate::terminal::Terminal;
use crate::{privilege, process, workspace};

#[derive(clap::Args)]
pub struct Options {
    /// Seconds over which the CPU time is taken
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Set for the second start, as root
    #[arg(long, hide = true)]
    inside: bool,
}

const PROCESSES: usize = 100;
/// Threads of each of them.
const THREADS: [usize; 2] = [10, 100];
const SIZE: (u16, u16) = (140, 50);
/// Keys that are timed.
const KEYS: usize = 60;
/// The budgets: the time of a key, and at 1,000 tasks the percentage of one CPU while
/// nothing happens.
const BUDGET_KEY: Duration = Duration::from_millis(50);
const BUDGET_IDLE: f64 = 0.5;

pub fn run(options: &Options) -> Result<()> {
    if !options.inside {
        process::run(workspace::cargo("build").args(["--release", "--package", "iotop-trace"]))?;
        let error = privilege::command(std::env::current_exe()?)?
            .args(["bench", "live", "--inside", "--seconds"])
            .arg(options.seconds.to_string())
            .exec();
        return Err(error).context("could not start this program as root");
    }
    let program = workspace::target().join("release/iotop-trace");
    println!(
        "{:<28}{:>10}{:>10}{:>14}{:>14}",
        "idle threads", "CPU %", "RSS MiB", "key, median", "key, longest"
    );
    for threads in THREADS {
        let mut crowd = Crowd::start(Shape {
            processes: PROCESSES,
            threads,
            active: 0,
        })?;
        for view in [&[][..], &["-o"]] {
            measure(&program, PROCESSES * threads, view, options.seconds)?;
        }
        crowd.all_live()?;
    }
    println!("budgets: {BUDGET_IDLE} % at 1,000 tasks, a key within {BUDGET_KEY:?} at 10,000");
    Ok(())
}

fn measure(program: &Path, tasks: usize, view: &[&str], seconds: u64) -> Result<()> {
    let nowhere = tempfile::tempdir()?;
    let mut terminal = Terminal::start(
        program,
        view,
        &[
            ("TERM", Some("xterm-256color")),
            ("LC_ALL", Some("C.UTF-8")),
            ("XDG_CONFIG_HOME", nowhere.path().to_str()),
        ],
        SIZE,
    )?;
    terminal.wait_for("the first interval", |text| text.contains("Actual"))?;
    // The first intervals look names up.
    sleep(Duration::from_secs(3));
    let pid = terminal.pid()?;
    let before = cpu::of_process(pid)?;
    let start = Instant::now();
    sleep(Duration::from_secs(seconds));
    let used = cpu::of_process(pid)?.saturating_sub(before);
    let percent = 100.0 * used.as_secs_f64() / start.elapsed().as_secs_f64();
    let mut times = Vec::new();
    for n in 0..KEYS {
        times.push(answer(&mut terminal, n)?);
        // Not in step with the intervals.
        sleep(Duration::from_millis(37));
    }
    let longest = times.iter().copied().max().unwrap_or_default();
    let middle = median(times.iter().map(Duration::as_secs_f64)) * 1e3;
    println!(
        "{:<28}{percent:>10.2}{:>10.1}{:>11.1} ms{:>11.1} ms",
        format!("{tasks} {}", view.join(" ")),
        rss(pid)?,
        middle,
        longest.as_secs_f64() * 1e3,
    );
    terminal.keys("q")?;
    terminal.end()?;
    Ok(())
}

/// Time from a key to the screen that has its effect: grouping rebuilds all rows, and
/// the first line shows it.
fn answer(terminal: &mut Terminal, n: usize) -> Result<Duration> {
    let (key, sign) = match n % 2 {
        0 => ("p", "by process"),
        _ => ("p", "by thread"),
    };
    let start = Instant::now();
    terminal.keys(key)?;
    while !terminal
        .screen()
        .rows(0, 80)
        .next()
        .is_some_and(|line| line.contains(sign))
    {
        if start.elapsed() > Duration::from_secs(5) {
            bail!("no answer to {key}:\n{}", terminal.text());
        }
        std::thread::yield_now();
    }
    Ok(start.elapsed())
}

fn rss(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.context("no VmRSS")? / 1024.0)
}
