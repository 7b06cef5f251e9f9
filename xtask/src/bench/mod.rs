//! Benchmarks: every figure is a ratio of two measurements of the same run.

mod attribution;
mod collect;
mod cost;
mod counters;
mod coverage;
mod cpu;
mod crowd;
pub mod disk;
mod files;
mod fio;
mod first_sample;
mod live;
mod load;
pub mod maps;
pub mod memory;
mod peers;
mod ratio;
mod record;
mod refreshes;
mod report;
mod runs;
mod share;
mod stats;
mod subject;
mod table;
mod tracer;
mod walk;
mod workload;
mod workloads;
mod writeback;
mod yardstick;

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};
use clap::Subcommand;

use crate::privilege;

#[derive(Subcommand)]
pub enum Task {
    /// What following every write costs: CPU, throughput, each event, memory
    Attribution(attribution::Options),
    /// What a refresh of all tasks costs, beside iotop-c and iotop
    Collect(collect::Options),
    /// How much of what reaches a device is charged to the tasks that caused it
    Coverage(coverage::Options),
    /// What the live view costs while nothing happens, and how long a key waits
    Live(live::Options),
    /// What a recording costs, beside atop, and whether it says what live runs say
    Record(record::Options),
    /// A process of the crowd that `collect` looks at
    #[command(hide = true)]
    Crowd(crowd::Options),
    /// A load of `coverage` and `attribution`, as another user
    #[command(hide = true)]
    Load(load::Options),
}

pub fn run(task: &Task) -> Result<()> {
    match task {
        Task::Attribution(options) => attribution::run(options),
        Task::Collect(options) => collect::run(options),
        Task::Coverage(options) => coverage::run(options),
        Task::Live(options) => live::run(options),
        Task::Record(options) => record::run(options),
        Task::Crowd(options) => crowd::run(options),
        Task::Load(options) => load::run(options),
    }
}

/// Starts this program again as root, in a mount namespace that ends with it.
pub fn enter() -> Result<()> {
    let xtask = std::env::current_exe().context("could not find this program's own file")?;
    let error = privilege::command("unshare")?
        .args(["--mount", "--propagation", "private", "--"])
        .arg(xtask)
        .args(std::env::args_os().skip(1))
        .arg("--inside")
        .exec();
    Err(error).context("could not start unshare (of util-linux)")
}

/// The kernel's release.
fn kernel() -> Result<String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .context("could not read the kernel's release")?;
    Ok(release.trim().to_owned())
}

/// The middle of some values; 0 of none.
fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or_default();
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => at(n / 2),
        n => (at(n / 2 - 1) + at(n / 2)) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(super::median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(super::median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(super::median([]), 0.0);
    }
}
