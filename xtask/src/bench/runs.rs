//! Runs of a workload, untraced and traced, one right after the other.
//!
//! A traced turn has two runs: one for throughput, and one with the kernel's
//! BPF statistics, which slow every program down, for the share of CPU. The
//! yardsticks are not attached in either: they would be a part of the load.

use anyhow::{Context, Result};
use aya::sys::{Stats, enable_stats};

use super::counters::{Snapshot, Usage};
use super::disk::Disk;
use super::subject::Subject;
use super::tracer::{self, Lost, Tracer};
use super::workload::{Outcome, Workload};

/// All runs of one workload.
pub struct Runs {
    pub untraced: Vec<Outcome>,
    /// In the subjects' order.
    pub traced: Vec<Traced>,
}

/// The runs beside one tracer.
#[derive(Default)]
pub struct Traced {
    pub outcomes: Vec<Outcome>,
    /// With statistics: until everything was written, and dropping the pages.
    pub working: Usage,
    pub dropping: Usage,
    pub lost: Lost,
}

/// Takes `count` turns, with one of each subject in every turn.
pub fn measure(load: &Workload, disk: &Disk, subjects: &[Subject], count: u32) -> Result<Runs> {
    load.lay_out(disk)?;
    // An extra first run does the work that is done only once. No measured run has it.
    outcome(load, disk)?;
    let mut runs = Runs {
        untraced: Vec::new(),
        traced: subjects.iter().map(|_| Traced::default()).collect(),
    };
    for n in 0..count {
        for side in order(subjects.len() + 1, n) {
            match side.checked_sub(1) {
                None => runs.untraced.push(outcome(load, disk)?),
                Some(index) => turn(load, disk, &subjects[index], &mut runs.traced[index])?,
            }
        }
    }
    Ok(runs)
}

/// The sides' order in turn `n`. Each is as often early as late, so that a
/// machine that slows down or warms up favours none.
fn order(sides: usize, n: u32) -> Vec<usize> {
    let forwards = 0..sides;
    if n.is_multiple_of(2) {
        forwards.collect()
    } else {
        forwards.rev().collect()
    }
}

fn outcome(load: &Workload, disk: &Disk) -> Result<Outcome> {
    load.prepare(disk)?;
    load.run(disk)
        .with_context(|| format!("could not run {}", load.name))
}

fn turn(load: &Workload, disk: &Disk, subject: &Subject, traced: &mut Traced) -> Result<()> {
    let tracer = Tracer::start(subject)?;
    traced.outcomes.push(outcome(load, disk)?);
    let enabled = enable_stats(Stats::RunTime).context("the kernel has no BPF statistics")?;
    for _ in 0..load.runs {
        load.prepare(disk)?;
        let start = Snapshot::take(tracer.pid())?;
        load.run(disk)?;
        disk.sync()?;
        let written = Snapshot::take(tracer.pid())?;
        load.drop_pages(disk)?;
        let dropped = Snapshot::take(tracer.pid())?;
        traced.working += written.since(&start);
        traced.dropping += dropped.since(&written);
    }
    drop(enabled);
    tracer::add(&mut traced.lost, tracer.stop());
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_side_is_as_often_first_as_last() {
        assert_eq!(super::order(3, 0), [0, 1, 2]);
        assert_eq!(super::order(3, 1), [2, 1, 0]);
    }
}
