//! `cargo xtask bench attribution`: builds, becomes root in its own mount namespace,
//! and measures.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::cost::{self, Costs};
use super::disk::{self, Disk, FileSystem};
use super::load::Missing;
use super::report::{Measured, Report, Tracer};
use super::subject::{self, Subject};
use super::workload::Workload;
use super::workloads::{self, selected};
use super::{enter, kernel, memory, runs, table};
use crate::{build_ebpf, process, workspace};

#[derive(clap::Args)]
pub struct Options {
    /// Number of pairs of an untraced and a traced run that the medians are taken from
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    /// Only workloads whose names contain this word ("memory" for the use of memory)
    #[arg(long, value_name = "WORD")]
    only: Option<String>,
    /// What the disk is formatted with
    #[arg(long, value_enum, value_name = "NAME", default_value_t = FileSystem::Ext4)]
    fs: FileSystem,
    /// Another iotop-trace program, or another kernel-half object, to measure
    /// alternately
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Set for the second start, as root
    #[arg(long, hide = true)]
    inside: bool,
}

pub fn run(options: &Options) -> Result<()> {
    let yardstick = workspace::ebpf_target().join("yardstick.bpf.o");
    let program = workspace::target().join("release/iotop-trace");
    if !options.inside {
        build_ebpf::build("yardstick", &[], &yardstick)?;
        process::run(workspace::cargo("build").args(["--release", "--package", "iotop-trace"]))?;
        return enter();
    }
    let subjects = subject::all(&program, options.against.as_deref())?;
    let report = measure(options, &subjects, &yardstick)?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", table::text(&report));
    }
    Ok(())
}

fn measure(options: &Options, subjects: &[Subject], yardstick: &Path) -> Result<Report> {
    let only = options.only.as_deref();
    let disk = Disk::create(Path::new(disk::PLACE), options.fs)?;
    let loads = workloads::ALL
        .iter()
        .filter(|load| selected(load.name, only));
    let (missing, loads): (Vec<&Workload>, Vec<&Workload>) =
        loads.partition(|load| load.missing().is_some());
    for load in missing {
        if let Some(Missing { program, package }) = load.missing() {
            eprintln!(
                "not run: {}, which needs {program} (package {package}); \
                 `cargo xtask setup --bench` installs it",
                load.name
            );
        }
    }
    let report = Report {
        kernel: kernel()?,
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        file_system: options.fs.name(),
        pairs: options.pairs,
        tracers: subjects.iter().map(Tracer::of).collect(),
        workloads: measure_loads(&loads, &disk, subjects, options.pairs, yardstick)?,
        memory: memory::measure(&disk, subjects, only)?,
    };
    ensure!(
        !report.workloads.is_empty() || !report.memory.is_empty(),
        "no workload has that word in its name"
    );
    Ok(report)
}

fn measure_loads(
    loads: &[&Workload],
    disk: &Disk,
    subjects: &[Subject],
    pairs: u32,
    yardstick: &Path,
) -> Result<Vec<Measured>> {
    let mut runs = Vec::new();
    for load in loads {
        eprintln!("{}", load.name);
        runs.push(runs::measure(load, disk, subjects, pairs)?);
    }
    let mut costs: Vec<Vec<Costs>> = Vec::new();
    for subject in subjects.iter().filter(|_| !loads.is_empty()) {
        eprintln!("the hooks, {}", subject.name);
        costs.push(cost::measure(disk, subject, yardstick, loads)?);
    }
    let empty: Vec<Vec<f64>> = costs.iter().map(|costs| cost::empty_ns(costs)).collect();
    let measured = loads
        .iter()
        .zip(&runs)
        .enumerate()
        .map(|(n, (load, runs))| {
            let beside = costs.iter().zip(&empty);
            let beside: Vec<(&Costs, f64)> = beside
                .filter_map(|(costs, empty)| Some((costs.get(n)?, *empty.get(n)?)))
                .collect();
            Measured::new(load, subjects, runs, &beside)
        });
    Ok(measured.collect())
}
