//! `cargo xtask fuzz`: hostile input for every parser, for a while.

use std::time::Duration;

use anyhow::Result;

use crate::vm::build::{FEATURES, PROFILE};
use crate::{process, workspace};

/// How long each parser is tried (iotop-user/src/hostile).
const SECONDS: &str = "IOTOP_TRACE_FUZZ_SECONDS";
/// More than there are parsers: all of them run at the same time.
const THREADS: &str = "--test-threads=64";

#[derive(clap::Args)]
pub struct Options {
    /// How long to run
    #[arg(long, value_name = "N", default_value_t = 1)]
    minutes: u32,
    /// Only parsers whose names contain this
    #[arg(long, value_name = "WORD", default_value = "")]
    only: String,
}

pub fn run(options: &Options) -> Result<()> {
    let time = Duration::from_secs(60) * options.minutes;
    let mut tests = workspace::cargo("test");
    tests
        .args(["--profile", PROFILE, "--package", "iotop-trace", "--lib"])
        .args(FEATURES)
        .arg(format!("hostile::{}", options.only))
        .args(["--", THREADS])
        .env(SECONDS, time.as_secs().to_string());
    process::run(&mut tests)
}
