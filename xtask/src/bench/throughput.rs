//! What a traced load loses: pairs of an untraced and a traced run.

use std::path::Path;

use anyhow::Result;

use super::disk::Disk;
use super::fio::{self, Load, Outcome};
use super::median;
use super::tracer::Tracer;

/// An untraced and a traced run of the same load, one right after the other.
struct Pair {
    untraced: Outcome,
    traced: Outcome,
}

/// Measures and prints every load.
pub fn measure(disk: &Disk, program: &Path, pairs: u32) -> Result<()> {
    println!("\nTraced / untraced, median of {pairs} interleaved pairs (lowest-highest)\n");
    println!(
        "{:<29}{:>18}  {:>18}  {:>18}   untraced, CPU of fio and of all for each I/O",
        "", "throughput", "CPU of fio / I/O", "all CPU / I/O"
    );
    for load in &fio::ALL {
        let (pairs, lost) = run(load, disk, program, pairs)?;
        print(load, &pairs, lost);
    }
    println!("{:<29}{:>18}", "budget", ">= 0.98");
    Ok(())
}

fn run(load: &Load, disk: &Disk, program: &Path, pairs: u32) -> Result<(Vec<Pair>, u64)> {
    // Lays the file out and fills the loop device's pages.
    fio::run(load, disk)?;
    let mut lost = 0;
    let pairs = (0..pairs)
        .map(|n| {
            let mut traced = || -> Result<Outcome> {
                let tracer = Tracer::start(program)?;
                let outcome = fio::run(load, disk)?;
                lost += tracer.stop();
                Ok(outcome)
            };
            // Either is the first of a pair as often as the other, so that a
            // machine that slows down or warms up favours neither.
            Ok(if n % 2 == 0 {
                let untraced = fio::run(load, disk)?;
                let traced = traced()?;
                Pair { untraced, traced }
            } else {
                let traced = traced()?;
                let untraced = fio::run(load, disk)?;
                Pair { untraced, traced }
            })
        })
        .collect::<Result<Vec<Pair>>>()?;
    Ok((pairs, lost))
}

fn print(load: &Load, pairs: &[Pair], lost: u64) {
    let ratio = |figure: fn(&Outcome) -> f64| {
        let of = |pair: &Pair| figure(&pair.traced) / figure(&pair.untraced);
        let middle = median(pairs.iter().map(of));
        let lowest = pairs.iter().map(of).fold(f64::INFINITY, f64::min);
        let highest = pairs.iter().map(of).fold(0.0, f64::max);
        format!("{middle:.3} ({lowest:.2}-{highest:.2})")
    };
    let untraced =
        |figure: fn(&Outcome) -> f64| median(pairs.iter().map(|pair| figure(&pair.untraced)));
    println!(
        "{:<29}{:>18}  {:>18}  {:>18}   {:.0} MiB/s, {:.0} ns, {:.0} ns",
        load.name,
        ratio(|outcome| outcome.bytes_per_second),
        ratio(|outcome| outcome.own_cpu),
        ratio(|outcome| outcome.all_cpu),
        untraced(|outcome| outcome.bytes_per_second / f64::from(1 << 20)),
        untraced(|outcome| outcome.own_cpu),
        untraced(|outcome| outcome.all_cpu),
    );
    if lost > 0 {
        println!("  iotop-trace counted {lost} lost events");
    }
}
