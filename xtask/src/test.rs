//! Runs every test, those that need root and eBPF included, and the ground
//! truth on other kernels.

use std::process::Command;
use std::thread;

use anyhow::{Context, Result, anyhow};

use crate::vm::build::{FEATURES, PROFILE};
use crate::{build_ebpf, debian, privilege, process, setup, vm, workspace};

/// Tells the tests that a missing privilege or kernel feature is a failure.
pub const REQUIRE_EBPF: &str = "IOTOP_TRACE_REQUIRE_EBPF";

#[derive(clap::Args)]
pub struct Options {
    /// Only this machine's kernel, no virtual machines
    #[arg(long)]
    no_vm: bool,
    /// Run every case on the other kernels too, on each file system
    #[arg(long, conflicts_with = "no_vm")]
    every_case: bool,
    /// Run only the tests whose names contain this, after `--`
    #[arg(last = true)]
    filter: Vec<String>,
}

pub fn run(options: &Options) -> Result<()> {
    setup::run(&setup::Options::default())?;
    build_ebpf::compare()?;
    // With the profile that this program was built with.
    let mut own = workspace::cargo("test");
    own.args(["--package", "xtask", "--"]).args(&options.filter);
    let own = process::run(&mut own);
    process::run(tests().arg("--no-run"))?;
    let mut tests = tests();
    tests.arg("--").args(&options.filter);
    match privilege::prefix() {
        Ok(prefix) => {
            tests.env(REQUIRE_EBPF, "1");
            if !prefix.is_empty() {
                tests.env(runner_variable()?, prefix.join(" "));
            }
        }
        Err(error) if std::env::var_os("CI").is_some_and(|ci| ci == "true") => return Err(error),
        Err(error) => eprintln!("Tests that need root are skipped: {error}"),
    }
    // These tests mostly wait. The virtual machines run beside them and use the rest of
    // the CPUs.
    let (here, elsewhere) = thread::scope(|scope| {
        let elsewhere = scope.spawn(|| other_kernels(options));
        let here = process::run_by_lines(&mut tests);
        (here, elsewhere.join())
    });
    let elsewhere = elsewhere.map_err(|_| anyhow!("the virtual machines' thread panicked"))?;
    own.and(here).and(elsewhere)
}

/// All tests but xtask's, with the profile that the guests' are built with.
fn tests() -> Command {
    let mut tests = workspace::cargo("test");
    tests
        .args(["--profile", PROFILE, "--workspace", "--no-fail-fast"])
        .args(["--exclude", "iotop-ebpf", "--exclude", "xtask"])
        .args(FEATURES);
    tests
}

fn other_kernels(options: &Options) -> Result<()> {
    if options.no_vm {
        return Ok(());
    }
    if !debian::is_here() || cfg!(not(target_arch = "x86_64")) {
        eprintln!(
            "Other kernels are not tested: that needs Debian's packages and an x86-64 machine"
        );
        return Ok(());
    }
    vm::run(&vm::Options::all(&options.filter, options.every_case))
}

/// The variable that holds the words that cargo puts before what it runs.
fn runner_variable() -> Result<String> {
    let version = process::output(Command::new("rustc").arg("-vV"))?;
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc -vV does not tell the host's target triple")?;
    let host = host.replace('-', "_").to_uppercase();
    Ok(format!("CARGO_TARGET_{host}_RUNNER"))
}
