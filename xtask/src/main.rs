//! The project's own tasks: `cargo xtask TASK`.

mod bench;
mod bpf_linker;
mod btf;
mod build_ebpf;
mod check_ebpf;
mod debian;
mod elf;
mod fuzz;
mod mirror;
mod object;
mod page;
mod privilege;
mod process;
mod python;
mod record_btf;
mod run;
mod screenshots;
mod setup;
mod soak;
mod svg;
#[expect(dead_code, reason = "tests need more of it")]
#[path = "../../tests/live/terminal.rs"]
mod terminal;
mod test;
mod toolchain;
mod vm;
mod workspace;

use std::process::ExitCode;

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
    /// Install what the kernel half and the tests need, unless it is installed
    Setup(setup::Options),
    /// Compile the kernel half into the object that the program embeds
    BuildEbpf(build_ebpf::Options),
    /// Build iotop-trace and run it with the privileges it needs
    Run(run::Options),
    /// Install what is missing, build everything, run every test
    Test(test::Options),
    /// Feed every parser with hostile input
    Fuzz(fuzz::Options),
    /// Run the program beside a heavy load for some minutes: nothing may grow
    Soak(soak::Options),
    /// Run the ground truth on other kernels, each in a virtual machine
    Vm(vm::Options),
    /// Record the BTF of the kernels that `vm` runs, for the unit tests
    RecordBtf(record_btf::Options),
    /// Make the pictures of README and docs/: the real program's screens under a real load
    Screenshots(screenshots::Options),
    /// Measure what tracing costs
    #[command(subcommand)]
    Bench(bench::Task),
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Setup(options) => setup::run(&options),
        Task::BuildEbpf(options) => build_ebpf::run(&options),
        Task::Run(options) => run::run(&options),
        Task::Test(options) => test::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Soak(options) => soak::run(&options),
        Task::Vm(options) => vm::run(&options),
        Task::RecordBtf(options) => record_btf::run(&options),
        Task::Screenshots(options) => screenshots::run(&options),
        Task::Bench(task) => bench::run(&task),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
