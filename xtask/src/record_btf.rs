//! Records what the matrix' kernels say of their types, for the unit tests: no
//! kernel is booted. The tests themselves tell what of it is worth keeping, for
//! it is the program's own questions that they ask. What was recorded of other
//! kernels stays.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::vm::{bzimage, kernels, suite};
use crate::{elf, process, workspace};

/// What the running kernel says.
const RUNNING: &str = "/sys/kernel/btf/vmlinux";
/// The one that writes the records, and all that read them.
const WRITER: &str = "host::kernel::recorded::record";
const READERS: &str = "host::kernel::recorded::";

#[derive(clap::Args)]
pub struct Options {
    /// The running kernel too
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

/// In a file that is called by the kernel's version, such as `6.12.btf`.
fn keep(dir: &Path, release: &str, btf: &[u8]) -> Result<()> {
    let version: Vec<&str> = release.split('.').take(2).collect();
    let path = dir.join(format!("{}.btf", version.join(".")));
    fs::write(&path, btf).with_context(|| path.display().to_string())
}
