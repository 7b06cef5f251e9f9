//! Records the BTF of the matrix's kernels for the unit tests. No kernel is booted. The
//! tests themselves select the types to keep: those that the program looks up.
//! Records of other kernels stay.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::vm::{bzimage, kernels, modules, suite};
use crate::{elf, process, workspace};

/// The running kernel's BTF.
const RUNNING: &str = "/sys/kernel/btf/vmlinux";
/// The modules whose types the program reads.
const FILE_SYSTEMS: [&str; 2] = ["btrfs", "xfs"];
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
        keep(&dir, &unpacked.release, "btf", btf)?;
        keep_modules(&dir, &unpacked)?;
    }
    if options.running {
        let release = process::output(Command::new("uname").arg("-r"))?;
        keep(&dir, &release, "btf", &fs::read(RUNNING).context(RUNNING)?)?;
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

/// The types of the file systems that are modules: `6.12.xfs`. Before 5.11 they have none.
fn keep_modules(dir: &Path, unpacked: &suite::Unpacked) -> Result<()> {
    for module in modules::wanted(&unpacked.modules)? {
        let Some(name) = module.name.strip_suffix(".ko") else {
            continue;
        };
        let sections = elf::sections(&module.content)?;
        let btf = sections.iter().find(|(section, _)| section == ".BTF");
        if let Some((_, btf)) = btf.filter(|_| FILE_SYSTEMS.contains(&name)) {
            keep(dir, &unpacked.release, name, btf)?;
        }
    }
    Ok(())
}

/// Writes a kernel's BTF to a file with its version as the name, such as `6.12.btf`.
fn keep(dir: &Path, release: &str, ending: &str, btf: &[u8]) -> Result<()> {
    let version: Vec<&str> = release.split('.').take(2).collect();
    let path = dir.join(format!("{}.{ending}", version.join(".")));
    fs::write(&path, btf).with_context(|| path.display().to_string())
}
