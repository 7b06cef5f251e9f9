//! Benchmarks: every figure is a ratio of two measurements of the same run.

mod attribution;
mod collect;
mod cost;
mod counters;
mod cpu;
mod crowd;
pub mod disk;
mod files;
mod fio;
mod first_sample;
mod live;
mod maps;
mod memory;
mod peers;
mod ratio;
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

use anyhow::Result;
use clap::Subcommand;

#[derive(Subcommand)]
pub enum Task {
    /// What following every write costs: CPU, throughput, each event, memory
    Attribution(attribution::Options),
    /// What a refresh of all tasks costs, beside iotop-c and iotop
    Collect(collect::Options),
    /// What the live view costs while nothing happens, and how long a key waits
    Live(live::Options),
    /// A process of the crowd that `collect` looks at
    #[command(hide = true)]
    Crowd(crowd::Options),
}

pub fn run(task: &Task) -> Result<()> {
    match task {
        Task::Attribution(options) => attribution::run(options),
        Task::Collect(options) => collect::run(options),
        Task::Live(options) => live::run(options),
        Task::Crowd(options) => crowd::run(options),
    }
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
