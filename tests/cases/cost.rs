//! Measures what the programs of the kernel half cost, by the kernel's own statistics,
//! and prints a line of JSON that `cargo xtask vm` keeps. No limit is checked here.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::device::{Device, Fs};
use crate::support::run::Run;
use crate::support::settings::Setting;
use crate::support::stats;
use crate::support::tracer::Tracer;

/// If set, the line is printed.
const WANTED: &str = "IOTOP_TRACE_COST";

pub fn trials() -> Vec<Trial> {
    if std::env::var_os(WANTED).is_none() {
        return Vec::new();
    }
    let trial = || cost().map_err(|error| format!("{error:#}").into());
    vec![Trial::test("cost::of_each_event", trial)]
}

/// Runs three loads: page cache that others flush, the writer's own fsync, direct I/O.
fn cost() -> Result<()> {
    let _stats = Setting::kernel("bpf_stats_enabled", 1)?;
    let device = Device::create(Fs::Ext4)?;
    let run = Run::new(&device, "cost")?;
    let tracer = Tracer::start(&["-d", "0.5"])?;
    let len = (16 << 20).to_string();
    for (comm, work) in [
        ("gt-write", ["write", &run.file("a"), "0", &len].as_slice()),
        ("gt-fsync", &["fsync", &run.file("b"), &len]),
        ("gt-direct", &["direct", &run.file("c"), &len]),
    ] {
        run.to_end(comm, work)?;
    }
    run.flush()?;
    // If several programs are attached to one tracepoint, an event costs what all of
    // them take.
    let mut sums: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for program in stats::of_process(tracer.pid())? {
        let Some(tracepoint) = program.tracepoint else {
            continue;
        };
        let (time, runs) = sums.entry(tracepoint).or_default();
        *time += program.run_time_ns;
        *runs = program.runs.max(*runs);
    }
    let costs: BTreeMap<String, Value> = sums
        .into_iter()
        .filter_map(|(tracepoint, (time, runs))| {
            let mean = time.checked_div(runs)?;
            Some((tracepoint, json!({"runs": runs, "mean_ns": mean})))
        })
        .collect();
    // Dirty folios, or pages before 5.18.
    for event in ["block_bio_queue", "writeback_dirty_"] {
        let has_run = costs.keys().any(|tracepoint| tracepoint.starts_with(event));
        ensure!(has_run, "{event} has not run: {costs:?}");
    }
    tracer.stop("cost")?;
    println!("{}", json!({"type": "cost", "programs": costs}));
    Ok(())
}
