//! `cargo xtask bench record`: what a recording costs and whether it tells the truth.
//!
//! A machine that does nothing and one with 1,000 tasks are recorded beside atop. Then a mixed load
//! writes for some minutes, and what the recording says of it is compared with what two live
//! runs of the same time said, and with who is known to write where.

mod check;
mod cost;
mod load;
mod mixed;
mod running;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::{enter, kernel};
use crate::{process, workspace};

#[derive(clap::Args)]
pub struct Options {
    /// How long the mixed load writes; 0: not at all
    #[arg(long, value_name = "N", default_value_t = 5)]
    minutes: u32,
    /// How long the machine is recorded that does nothing, and the one with 1,000 tasks; 0: not at all
    #[arg(long, value_name = "N", default_value_t = 3)]
    cost_minutes: u32,
    /// The iotop-trace to run [default: this checkout's]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
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
            let mut build = workspace::cargo("build");
            process::run(build.args(["--release", "--package", "iotop-trace"]))?;
        }
        return enter();
    }
    println!("Linux {}", kernel()?);
    let minutes = |count: u32| Duration::from_secs(60) * count;
    if options.cost_minutes != 0 {
        cost::run(&program, minutes(options.cost_minutes))?;
    }
    if options.minutes != 0 {
        mixed::run(&program, minutes(options.minutes))?;
    }
    Ok(())
}
