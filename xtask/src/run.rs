//! Builds iotop-trace, and executes it in place of this program.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::{privilege, process, workspace};

#[derive(clap::Args)]
pub struct Options {
    /// Arguments of iotop-trace, after `--`
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

pub fn run(options: &Options) -> Result<()> {
    process::run(workspace::cargo("build").args(["--release", "--package", "iotop-trace"]))?;
    let program = workspace::target().join("release/iotop-trace");
    let error = privilege::command(&program)?
        .args(&options.arguments)
        .exec();
    Err(error).with_context(|| format!("could not start {}", program.display()))
}
