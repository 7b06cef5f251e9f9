//! The project's own tasks: `cargo xtask TASK`.

mod build_ebpf;
mod object;
mod process;
mod toolchain;
mod workspace;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Build, test and benchmark iotop-trace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Compile the kernel half into the object that the program embeds
    BuildEbpf(build_ebpf::Options),
}

fn main() -> Result<()> {
    match Cli::parse().task {
        Task::BuildEbpf(options) => build_ebpf::run(&options),
    }
}
