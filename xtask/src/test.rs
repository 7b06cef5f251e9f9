//! Runs every test, those that need root and eBPF included.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{build_ebpf, privilege, process, setup, workspace};

/// Tells the tests that a missing privilege or kernel feature is a failure.
pub const REQUIRE_EBPF: &str = "IOTOP_TRACE_REQUIRE_EBPF";

#[derive(clap::Args)]
pub struct Options {
    /// Run only the tests whose names contain this, after `--`
    #[arg(last = true)]
    filter: Vec<OsString>,
}

pub fn run(options: &Options) -> Result<()> {
    setup::run()?;
    build_ebpf::compare()?;
    let mut tests = workspace::cargo("test");
    tests
        .args(["--workspace", "--exclude", "iotop-ebpf", "--no-fail-fast"])
        .arg("--")
        .args(&options.filter);
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
    process::run(&mut tests)
}

/// The variable that holds the words cargo puts before what it runs.
fn runner_variable() -> Result<String> {
    let version = process::output(Command::new("rustc").arg("-vV"))?;
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc -vV does not tell the host's target triple")?;
    let host = host.replace('-', "_").to_uppercase();
    Ok(format!("CARGO_TARGET_{host}_RUNNER"))
}
