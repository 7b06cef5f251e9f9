//! What a recorder costs while little happens: CPU time, memory, and bytes a day, beside atop's.

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::mixed::size_of;
use super::running::Running;
use crate::bench::cpu;
use crate::bench::crowd::{Crowd, Shape};
use crate::bench::disk::{self, Mount};
use crate::process;

/// What `record` may take of one core with this crowd.
const BUDGET: f64 = 0.005;
const CROWD: Shape = Shape {
    processes: 100,
    threads: 10,
    active: 50,
};
/// After this, a recorder has loaded and has seen every task once.
const WARM_UP: Duration = Duration::from_secs(30);
const DAY: f64 = 86400.0;
const MIB: f64 = (1 << 20) as f64;

pub fn run(program: &Path, time: Duration) -> Result<()> {
    println!(
        "\n{:34}{:12}{:>14}{:>12}{:>12}",
        "", "", "CPU of a core", "MiB a day", "peak MiB"
    );
    let memory = Mount::memory(Path::new(disk::PLACE))?;
    measure(program, &memory.dir, time, "nothing happens")?;
    let mut crowd = Crowd::start(CROWD)?;
    measure(program, &memory.dir, time, "1,000 tasks, 50 of them active")?;
    crowd.all_live()
}

/// Runs both recorders at the same time, so that they see the same.
fn measure(program: &Path, memory: &Path, time: Duration, what: &str) -> Result<()> {
    let directory = tempfile::tempdir_in("/var/tmp")?;
    let mut ours = Command::new(program);
    ours.args(["record", "--delay", "10"]).arg(directory.path());
    let mut running = vec![("iotop-trace", Running::start(&mut ours, memory, "record")?)];
    let atops = tempfile::tempdir_in("/var/tmp")?;
    if let Some(atop) = process::find("atop") {
        let mut theirs = Command::new(atop);
        theirs.arg("-w").arg(atops.path().join("raw")).arg("10");
        running.push(("atop", Running::start(&mut theirs, memory, "atop")?));
    }
    running[0].1.wait_for_message("recording into")?;
    sleep(WARM_UP);
    let places = [directory.path(), atops.path()];
    let mut before = Vec::new();
    for ((_, one), place) in running.iter().zip(places) {
        before.push((cpu::of_process(one.pid())?, size_of(place)?));
    }
    let start = Instant::now();
    sleep(time);
    let elapsed = start.elapsed().as_secs_f64();
    for ((name, one), (place, (cpu_before, size_before))) in
        running.iter().zip(places.into_iter().zip(before))
    {
        let used = cpu::of_process(one.pid())? - cpu_before;
        let share = used.as_secs_f64() / elapsed;
        let written = size_of(place)? - size_before;
        let verdict = match (*name, share <= BUDGET) {
            ("iotop-trace", true) => "within 0.5 %",
            ("iotop-trace", false) => "ABOVE 0.5 %",
            _ => "",
        };
        println!(
            "{what:34}{name:12}{:>12.3} %{:>12.2}{:>12.1}  {verdict}",
            100.0 * share,
            written as f64 / elapsed * DAY / MIB,
            peak(one.pid())?
        );
    }
    // atop is ended when it is dropped.
    let (name, ours) = running.swap_remove(0);
    ours.stop().with_context(|| name.to_owned())?;
    Ok(())
}

/// The most memory that a process had, MiB: VmHWM of proc_pid_status(5).
fn peak(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: f64 = kib.context("no VmHWM")?.trim().parse()?;
    Ok(kib / 1024.0)
}
