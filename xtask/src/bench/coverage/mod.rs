//! `cargo xtask bench coverage`: how much of what reaches a device is charged to the tasks
//! that caused it, for each load alone on each file system.

pub mod device;
mod page;
mod report;
mod row;
mod table;
mod tally;
mod trace;
pub mod volume;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::disk::{self, FileSystem, Mount};
use super::load::user::User;
use super::load::{self, Load, Missing};
use super::workloads::selected;
use super::{enter, kernel};
use crate::{process, workspace};
use report::{NotRun, Report};
use row::Row;

#[derive(clap::Args)]
pub struct Options {
    /// Only these file systems
    #[arg(long, value_enum, value_name = "NAME")]
    fs: Vec<FileSystem>,
    /// Only loads whose names contain this word
    #[arg(long, value_name = "WORD")]
    only: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// The iotop-trace to run [default: this checkout's]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Record the whole table in tests/coverage.json and docs/coverage.md
    #[arg(long, conflicts_with_all = ["fs", "only"])]
    record: bool,
    /// Set for the second start, as root
    #[arg(long, hide = true)]
    inside: bool,
}

pub fn run(options: &Options) -> Result<()> {
    let program = match &options.program {
        Some(program) => std::path::absolute(program)?,
        None => workspace::target().join("release/iotop-trace"),
    };
    if !options.inside {
        if options.program.is_none() {
            process::run(workspace::cargo("build").args([
                "--release",
                "--package",
                "iotop-trace",
            ]))?;
        }
        return enter();
    }
    let report = measure(options, &program)?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", table::text(&report));
    }
    ensure!(report.failed.is_empty(), "not every row was measured");
    ensure!(
        report.rows.iter().all(Row::adds_up),
        "not all of the bytes that reached a device are accounted for"
    );
    if options.record {
        ensure!(
            report.not_run.is_empty(),
            "only the whole table is recorded: {}",
            table::not_run(&report)
        );
        page::record(&report)?;
    }
    Ok(())
}

fn measure(options: &Options, program: &Path) -> Result<Report> {
    let only = options.only.as_deref();
    let loads = load::ALL.iter().filter(|load| selected(load.name, only));
    let (loads, missing): (Vec<&Load>, Vec<&Load>) =
        loads.partition(|load| load.missing().is_none());
    ensure!(
        !loads.is_empty() || !missing.is_empty(),
        "no load has that word in its name"
    );
    let of_load = |load: &&Load| {
        let Missing { program, package } = load.missing()?;
        Some(NotRun {
            load: load.name.to_owned(),
            program: program.to_owned(),
            package: package.to_owned(),
        })
    };
    let mut report = Report {
        kernel: kernel()?,
        rows: Vec::new(),
        failed: Vec::new(),
        not_run: missing.iter().filter_map(of_load).collect(),
    };
    let user = User::nobody()?;
    let memory = Mount::memory(Path::new(disk::PLACE))?;
    for fs in FileSystem::ALL {
        if !options.fs.is_empty() && !options.fs.contains(&fs) {
            continue;
        }
        for load in &loads {
            eprintln!("{}: {}", fs.name(), load.name);
            match row::measure(program, &memory.dir, fs, load, user) {
                Ok(row) => report.rows.push(row),
                Err(error) => report.failed.push(format!("{error:#}")),
            }
        }
    }
    Ok(report)
}
