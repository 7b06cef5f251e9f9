//! `cargo xtask bench attribution`: builds, becomes root in a mount namespace
//! of its own, measures.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use super::disk::Disk;
use super::{cost, throughput};
use crate::{build_ebpf, privilege, process, workspace};

#[derive(clap::Args)]
pub struct Options {
    /// How many pairs of an untraced and a traced run the medians are taken of
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
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
        return enter(options);
    }
    let disk = Disk::create(&workspace::target().join("bench"))?;
    println!("{}", system()?);
    throughput::measure(&disk, &program, options.pairs)?;
    cost::measure(&disk, &program, &yardstick)
}

/// Starts this program again as root, where its mounts end with it.
fn enter(options: &Options) -> Result<()> {
    let xtask = std::env::current_exe().context("could not find this program's own file")?;
    let error = privilege::command("unshare")?
        .args(["--mount", "--propagation", "private", "--"])
        .arg(xtask)
        .args(["bench", "attribution", "--inside", "--pairs"])
        .arg(options.pairs.to_string())
        .exec();
    Err(error).context("could not start unshare (of util-linux)")
}

fn system() -> Result<String> {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .context("could not read the kernel's release")?;
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = kernel.trim();
    Ok(format!(
        "Linux {kernel}, {cpus} CPUs, ext4 on a loop device in memory"
    ))
}
