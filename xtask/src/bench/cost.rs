//! What one event costs each eBPF program, beside the yardsticks.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use aya::sys::{Stats, enable_stats};

use super::counters::Vmstat;
use super::disk::Disk;
use super::stats;
use super::subject::Subject;
use super::tracer::Tracer;
use super::workload::Workload;
use super::yardstick::{Kind, Yardsticks};

/// Run time and runs of some programs while a load ran.
#[derive(Debug, Default, Clone, Copy)]
pub struct Spent {
    pub run_time_ns: u64,
    pub runs: u64,
}

/// The programs on one tracepoint.
#[derive(Debug, Default, Clone, Copy)]
pub struct Hook {
    /// How many of them are the tracer's.
    pub programs: u32,
    pub empty: Spent,
    pub count: Spent,
    pub tracer: Spent,
}

/// A load's hooks, and the pages it wrote.
#[derive(Debug, Default)]
pub struct Costs {
    pub hooks: BTreeMap<String, Hook>,
    pub pages_out: f64,
}

/// With fewer events than this, a figure means nothing.
pub const ENOUGH: u64 = 100;

/// Measures every load beside one tracer, in the loads' order.
pub fn measure(
    disk: &Disk,
    subject: &Subject,
    yardstick: &Path,
    loads: &[&Workload],
) -> Result<Vec<Costs>> {
    let _enabled = enable_stats(Stats::RunTime).context("the kernel has no BPF statistics")?;
    let mut all: Vec<Costs> = loads.iter().map(|_| Costs::default()).collect();
    // The first program on a hook finds the caches cold, so each side is the
    // first in one of two rounds.
    for yardsticks_first in [true, false] {
        let mut tracer = Tracer::start(subject)?;
        let yardsticks = Yardsticks::attach(yardstick, &tracepoints(&tracer)?)?;
        if yardsticks_first {
            tracer.stop();
            tracer = Tracer::start(subject)?;
        }
        for (load, costs) in loads.iter().zip(&mut all) {
            run(load, disk, &tracer, &yardsticks, costs)?;
        }
    }
    Ok(all)
}

/// The tracepoint of each of the tracer's programs.
fn tracepoints(tracer: &Tracer) -> Result<Vec<String>> {
    let programs = stats::of_process(tracer.pid())?;
    let tracepoints: Vec<String> = programs
        .into_iter()
        .filter_map(|program| program.tracepoint)
        .collect();
    if tracepoints.is_empty() {
        bail!("iotop-trace has attached nothing to a raw tracepoint: see `iotop-trace doctor`");
    }
    Ok(tracepoints)
}

fn run(
    load: &Workload,
    disk: &Disk,
    tracer: &Tracer,
    yardsticks: &Yardsticks,
    costs: &mut Costs,
) -> Result<()> {
    load.lay_out(disk)?;
    load.prepare(disk)?;
    let before = sample(tracer, yardsticks)?;
    let pages_before = Vmstat::read()?.pages_out;
    load.run(disk)?;
    disk.sync()?;
    load.drop_pages(disk)?;
    costs.pages_out += Vmstat::read()?.pages_out - pages_before;
    for (tracepoint, after) in sample(tracer, yardsticks)? {
        let before = before.get(&tracepoint).copied().unwrap_or_default();
        let hook = costs.hooks.entry(tracepoint).or_default();
        hook.programs = after.programs;
        hook.empty.add(before.empty, after.empty);
        hook.count.add(before.count, after.count);
        hook.tracer.add(before.tracer, after.tracer);
    }
    Ok(())
}

/// Every program's statistics, by tracepoint.
fn sample(tracer: &Tracer, yardsticks: &Yardsticks) -> Result<BTreeMap<String, Hook>> {
    let mut hooks: BTreeMap<String, Hook> = BTreeMap::new();
    let own = stats::of_process(std::process::id())?;
    for stat in own.into_iter().chain(stats::of_process(tracer.pid())?) {
        let Some(tracepoint) = stat.tracepoint else {
            continue;
        };
        let hook = hooks.entry(tracepoint).or_default();
        let spent = match yardsticks.kind(stat.id) {
            Some(Kind::Empty) => &mut hook.empty,
            Some(Kind::Count) => &mut hook.count,
            None => {
                hook.programs += 1;
                &mut hook.tracer
            }
        };
        spent.run_time_ns += stat.run_time_ns;
        spent.runs += stat.runs;
    }
    Ok(hooks)
}

/// What a run of an empty program costs in each load, ns.
///
/// It is not the same everywhere: a program that runs once for a bio finds
/// colder caches than one that runs for every page. So it is the mean over
/// the tracer's own hooks in this load, weighted by the number of runs.
/// (There is an empty program for each of the tracer's programs on a hook.)
/// Loads that run too few programs take the mean of all loads.
pub fn empty_ns(all: &[Costs]) -> Vec<f64> {
    let sum = |costs: &Costs| {
        let mut sum = Spent::default();
        for hook in costs.hooks.values() {
            sum.add(Spent::default(), hook.empty);
        }
        sum
    };
    let mut total = Spent::default();
    for costs in all {
        total.add(Spent::default(), sum(costs));
    }
    let each = |costs: &Costs| match sum(costs) {
        enough if enough.runs >= ENOUGH => enough.each(),
        _ => total.each(),
    };
    all.iter().map(each).collect()
}

impl Hook {
    /// Each of the tracer's programs runs for every event.
    pub fn events(&self) -> u64 {
        self.tracer.runs / u64::from(self.programs.max(1))
    }
}

impl Spent {
    fn add(&mut self, before: Spent, after: Spent) {
        self.run_time_ns += after.run_time_ns.saturating_sub(before.run_time_ns);
        self.runs += after.runs.saturating_sub(before.runs);
    }

    /// ns for each run.
    pub fn each(self) -> f64 {
        self.run_time_ns as f64 / self.runs.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(empty: &[(u64, u64)]) -> Costs {
        let hook = |&(run_time_ns, runs)| Hook {
            empty: Spent { run_time_ns, runs },
            ..Hook::default()
        };
        let named = |(n, spent)| (format!("hook {n}"), hook(spent));
        Costs {
            hooks: empty.iter().enumerate().map(named).collect(),
            pages_out: 0.0,
        }
    }

    #[test]
    fn a_hook_weighs_as_much_as_it_runs() {
        let busy = costs(&[(60_000, 1000), (100 * 1000, 1000), (7_000, 10)]);
        let idle = costs(&[(500, 1)]);
        let expected = 167_000.0 / 2010.0;
        let all = 167_500.0 / 2011.0;
        assert_eq!(empty_ns(&[busy, idle]), [expected, all]);
    }
}
