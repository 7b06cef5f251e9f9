//! What one event costs each eBPF program, beside the yardsticks.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use aya::sys::{Stats, enable_stats};

use super::disk::Disk;
use super::fio::{self, Load};
use super::stats;
use super::tracer::Tracer;
use super::yardstick::{Kind, Yardsticks};

/// Run time and runs of one program while a load ran.
#[derive(Debug, Default, Clone, Copy)]
struct Spent {
    run_time_ns: u64,
    runs: u64,
}

/// The programs on one tracepoint.
#[derive(Debug, Default, Clone, Copy)]
struct Hook {
    empty: Spent,
    count: Spent,
    tracer: Spent,
}

/// A load's hooks, and the pages it wrote.
#[derive(Debug, Default)]
struct Costs {
    hooks: BTreeMap<String, Hook>,
    pages_out: f64,
}

/// The hook at which bios are walked.
const SUBMIT: &str = "block_bio_queue";
/// Fewer events than this say nothing.
const ENOUGH: u64 = 100;

/// Measures and prints every load.
pub fn measure(disk: &Disk, program: &Path, yardstick: &Path) -> Result<()> {
    let _enabled = enable_stats(Stats::RunTime).context("the kernel has no BPF statistics")?;
    let mut all: Vec<(&Load, Costs)> = fio::ALL
        .iter()
        .chain([&fio::BUFFERED_HOLES])
        .map(|load| (load, Costs::default()))
        .collect();
    // The first program on a hook finds the caches cold, so each side is the
    // first in one of two rounds.
    for yardsticks_first in [true, false] {
        round(disk, program, yardstick, yardsticks_first, &mut all)?;
    }
    println!(
        "\nns for an event, by the kernel's BPF statistics (their own cost is in each figure)\n"
    );
    println!(
        "{:<38}{:>10}{:>8}{:>8}{:>13}{:>15}",
        "", "events", "empty", "count", "iotop-trace", "over count"
    );
    for (load, costs) in &all {
        print(load, costs);
    }
    println!("budget: writeback_dirty_folio <= 1.5 over count");
    further_pages(&all);
    Ok(())
}

fn round(
    disk: &Disk,
    program: &Path,
    object: &Path,
    yardsticks_first: bool,
    all: &mut [(&Load, Costs)],
) -> Result<()> {
    let mut tracer = Tracer::start(program)?;
    let hooks = stats::of_process(tracer.pid())?;
    if hooks.is_empty() {
        bail!("iotop-trace has attached nothing to a raw tracepoint: see `iotop-trace doctor`");
    }
    let names = hooks.iter().map(|hook| hook.tracepoint.as_str());
    let yardsticks = Yardsticks::attach(object, names)?;
    if yardsticks_first {
        tracer.stop();
        tracer = Tracer::start(program)?;
    }
    for (load, costs) in all {
        let before = sample(&tracer, &yardsticks)?;
        let pages_before = pages_out()?;
        fio::run(load, disk)?;
        disk.sync()?;
        costs.pages_out += pages_out()? - pages_before;
        for (tracepoint, after) in sample(&tracer, &yardsticks)? {
            let before = before.get(&tracepoint).copied().unwrap_or_default();
            let hook = costs.hooks.entry(tracepoint).or_default();
            hook.empty.add(before.empty, after.empty);
            hook.count.add(before.count, after.count);
            hook.tracer.add(before.tracer, after.tracer);
        }
    }
    Ok(())
}

/// Every program's statistics, by tracepoint.
fn sample(tracer: &Tracer, yardsticks: &Yardsticks) -> Result<BTreeMap<String, Hook>> {
    let mut hooks: BTreeMap<String, Hook> = BTreeMap::new();
    let own = stats::of_process(std::process::id())?;
    for stat in own.into_iter().chain(stats::of_process(tracer.pid())?) {
        let hook = hooks.entry(stat.tracepoint).or_default();
        let spent = match yardsticks.kind(stat.id) {
            Some(Kind::Empty) => &mut hook.empty,
            Some(Kind::Count) => &mut hook.count,
            None => &mut hook.tracer,
        };
        spent.run_time_ns += stat.run_time_ns;
        spent.runs += stat.runs;
    }
    Ok(hooks)
}

/// Pages of 4 KiB that file systems have submitted since the machine started.
fn pages_out() -> Result<f64> {
    let vmstat = std::fs::read_to_string("/proc/vmstat").context("could not read /proc/vmstat")?;
    vmstat
        .lines()
        .find_map(|line| line.strip_prefix("pgpgout ")?.parse::<f64>().ok())
        .map(|kibibytes| kibibytes / 4.0)
        .context("/proc/vmstat has no pgpgout")
}

impl Spent {
    fn add(&mut self, before: Spent, after: Spent) {
        self.run_time_ns += after.run_time_ns.saturating_sub(before.run_time_ns);
        self.runs += after.runs.saturating_sub(before.runs);
    }

    /// ns for each run.
    fn each(self) -> f64 {
        self.run_time_ns as f64 / self.runs.max(1) as f64
    }
}

fn print(load: &Load, costs: &Costs) {
    println!("{}", load.name);
    for (tracepoint, hook) in &costs.hooks {
        if hook.tracer.runs < ENOUGH {
            continue;
        }
        println!(
            "  {tracepoint:<36}{:>10}{:>8.0}{:>8.0}{:>13.0}{:>15.2}",
            hook.tracer.runs,
            hook.empty.each(),
            hook.count.each(),
            hook.tracer.each(),
            hook.tracer.each() / hook.count.each(),
        );
    }
}

/// What a bio costs and what its second and every later page adds, from two
/// loads that differ in their pages for each bio.
fn further_pages(all: &[(&Load, Costs)]) {
    let of = |load: &Load| {
        let (_, costs) = all.iter().find(|(other, _)| *other == load)?;
        let hook = costs.hooks.get(SUBMIT)?;
        let runs = hook.tracer.runs;
        (runs >= ENOUGH).then(|| (costs.pages_out / runs as f64, hook))
    };
    let (Some((many, many_hook)), Some((one, one_hook))) =
        (of(&fio::BUFFERED_SEQUENTIAL), of(&fio::BUFFERED_HOLES))
    else {
        println!("buffered writes: too few bios to say what a page of a bio costs");
        return;
    };
    let page = (many_hook.tracer.each() - one_hook.tracer.each()) / (many - one);
    println!(
        "a bio of {one:.2} pages: {:.2} over count (budget <= 2); \
         each further page of one with {many:.0}: {page:.1} ns (budget <= 60)",
        one_hook.tracer.each() / one_hook.count.each(),
    );
}
