//! `cargo xtask bench collect`: installs the peers, builds, becomes root, and lets
//! every tool look at the same crowds.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::crowd::{Crowd, Shape};
use super::first_sample;
use super::peers::{self, Tool};
use super::refreshes::{self, Need};
use super::walk::Walk;
use crate::{build_ebpf, privilege, process, setup, workspace};

#[derive(clap::Args)]
pub struct Options {
    /// Number of refreshes that the medians are taken from
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    refreshes: u16,
    /// Most threads of the largest crowd [default: what the machine allows]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1000..))]
    most: Option<u32>,
    /// Set for the second start, as root
    #[arg(long, hide = true)]
    inside: bool,
}

/// Threads of each of the 100 processes.
const THREADS: [usize; 3] = [1, 10, 100];
const PROCESSES: usize = 100;
/// One in this many is active, if any are.
const ACTIVE: usize = 20;

/// The size at which the budgets hold.
const BUDGET_TASKS: usize = 10_000;
const BUDGET_CPU: f64 = 100.0;
const BUDGET_RSS: f64 = 25.0 * MIB;

const MIB: f64 = (1 << 20) as f64;

pub fn run(options: &Options) -> Result<()> {
    let program = workspace::target().join("release/iotop-trace");
    let yardstick = workspace::ebpf_target().join("yardstick.bpf.o");
    if !options.inside {
        setup::peers()?;
        build_ebpf::build("yardstick", &[], &yardstick)?;
        process::run(workspace::cargo("build").args(["--release", "--package", "iotop-trace"]))?;
        return enter(options);
    }
    let tools = peers::all(&program);
    println!("{}\n", heading(&tools, options.refreshes)?);
    print_names(&tools);
    let mut walk = Walk::load(&yardstick)?;
    for active in [false, true] {
        for threads in THREADS {
            let tasks = PROCESSES * threads;
            let shape = Shape {
                processes: PROCESSES,
                threads,
                active: if active { tasks / ACTIVE } else { 0 },
            };
            let mut crowd = Crowd::start(shape)?;
            let needs = tools
                .iter()
                .map(|tool| refreshes::measure(tool, options.refreshes.into()))
                .collect::<Result<Vec<Need>>>()?;
            let floor = walk.measure(options.refreshes.into())?;
            crowd.all_live()?;
            print(shape, &tools, &needs, floor);
        }
    }
    match tools.first() {
        Some(ours) => first_sample::measure(ours, options.most.map(|most| most as usize)),
        None => Ok(()),
    }
}

/// Starts this program again as root.
fn enter(options: &Options) -> Result<()> {
    let xtask = std::env::current_exe().context("could not find this program's own file")?;
    let mut again: Command = privilege::command(xtask)?;
    again
        .args(["bench", "collect", "--inside", "--refreshes"])
        .arg(options.refreshes.to_string());
    if let Some(most) = options.most {
        again.arg("--most").arg(most.to_string());
    }
    Err(again.exec()).context("could not start this program as root")
}

fn heading(tools: &[Tool], refreshes: u16) -> Result<String> {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .context("could not read the kernel's release")?;
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let versions: Vec<String> = tools.iter().map(Tool::version).collect();
    Ok(format!(
        "Linux {}, {cpus} CPUs; {}; -b -o -d 1\n\
         CPU ms of a refresh, median of {refreshes}, and RSS MiB (highest)",
        kernel.trim(),
        versions.join(", ")
    ))
}

fn print_names(tools: &[Tool]) {
    print!("{:<28}", "processes x threads, active");
    for tool in tools {
        print!("{:>9}{:>16}", "ms", tool.name);
    }
    println!();
}

fn print(shape: Shape, tools: &[Tool], needs: &[Need], floor: Duration) {
    let crowd = format!("{} x {}, {}", shape.processes, shape.threads, shape.active);
    print!("{crowd:<28}");
    for need in needs {
        let memory = format!("{:.1} ({:.1})", need.rss / MIB, need.highest / MIB);
        print!("{:>9.2}{memory:>16}", need.cpu.as_secs_f64() * 1e3);
    }
    println!();
    let Some((ours, others)) = needs.split_first() else {
        return;
    };
    println!(
        "  of which the kernel's own walk over the tasks is {:.2} ms, {:.0} %",
        floor.as_secs_f64() * 1e3,
        100.0 * floor.as_secs_f64() / ours.cpu.as_secs_f64(),
    );
    for (tool, need) in tools.iter().skip(1).zip(others) {
        let cpu = need.cpu.as_secs_f64() / ours.cpu.as_secs_f64();
        let memory = need.rss / ours.rss;
        let name = tool.name;
        println!("  1/{cpu:.1} of {name}'s CPU, 1/{memory:.1} of its RSS");
        if shape.tasks() == BUDGET_TASKS && name == peers::IOTOP_C {
            let verdict = kept(cpu >= BUDGET_CPU);
            println!("  budget 1/{BUDGET_CPU} of iotop-c's CPU: {verdict}");
        }
    }
    if shape.tasks() == BUDGET_TASKS {
        let verdict = kept(ours.rss <= BUDGET_RSS);
        println!("  budget {} MiB of RSS: {verdict}", BUDGET_RSS / MIB);
    }
}

fn kept(kept: bool) -> &'static str {
    if kept { "kept" } else { "exceeded" }
}
