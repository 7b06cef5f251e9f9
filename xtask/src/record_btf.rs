//! Records the BTF of the matrix's kernels for the unit tests. No kernel is booted. The
//! tests themselves select the types to keep: those that the program looks up.
//! Records of other kernels stay.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::vm::{bzimage, kernels, suite};
use crate::{elf, process, workspace};

/// The running kernel's BTF.
const RUNNING: &str = "/sys/kernel/btf/vmlinux";
/// The test that writes the records, and the tests that read them.
const WRITER: &str = "host::kernel::recorded::record";
const READERS: &str = "host::kernel::recorded::";

#[derive(clap::Args)]
pub struct Options {
    /// Record the running kernel too
    #[arg(long)]
    running: bool,
}

pub fn run(options: &Options) -> Result<()> {
    let dir = workspace::target().join("kernels");
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
    }
    fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    for kernel in kernels::ALL {
        let unpacked = suite::fetch(kernel)?;
        let image = bzimage::kernel(&unpacked.image, &dir)?;
        let sections = elf::sections(&image)?;
        let btf = sections.iter().find(|(name, _)| name == ".BTF");
        let (_, btf) = btf.with_context(|| format!("{} has no BTF", unpacked.release))?;
        keep(&dir, &unpacked.release, btf)?;
    }
    if options.running {
        let release = process::output(Command::new("uname").arg("-r"))?;
        keep(&dir, &release, &fs::read(RUNNING).context(RUNNING)?)?;
    }
    let mut write = tests();
    write.args([WRITER, "--", "--exact", "--ignored"]);
    process::run(write.env("IOTOP_TRACE_KERNELS", &dir))?;
    process::run(tests().arg(READERS).env("UPDATE_GOLDEN", "1"))
}

fn tests() -> Command {
    let mut command = workspace::cargo("test");
    command.args(["-p", "iotop-trace", "--lib"]);
    command
}

/// Writes a kernel's BTF to a file with its version as the name, such as `6.12.btf`.
fn keep(dir: &Path, release: &str, btf: &[u8]) -> Result<()> {
    let version: Vec<&str> = release.split('.').take(2).collect();
    let path = dir.join(format!("{}.btf", version.join(".")));
    fs::write(&path, btf).with_context(|| path.display().to_string())
}
