//! stress-ng: one stressor after the other of a class, each for a second.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::Missing;
use crate::process;

/// Stressors that need root, or that do nothing in the directory that they get. `io-uring` of
/// Debian 12 counts it as a failure that newer kernels find no file at an empty path.
const EXCLUDED: &str = "bind-mount,binderfs,chattr,fanotify,handle,io-uring,procfs,rawdev";
/// The sizes of the files that stressors write. Some write a GiB by default; 128 MiB is the least of
/// what `copy-file` takes.
const SIZES: [&str; 6] = [
    "--copy-file-bytes=128M",
    "--fallocate-bytes=32M",
    "--hdd-bytes=32M",
    "--iomix-bytes=32M",
    "--readahead-bytes=32M",
    "--sync-file-bytes=32M",
];

pub fn missing() -> Option<Missing> {
    process::find("stress-ng").is_none().then_some(Missing {
        program: "stress-ng",
        package: "stress-ng",
    })
}

/// Runs a class of stressors in a directory.
pub fn run(class: &str, dir: &Path) -> Result<()> {
    let mut stress = Command::new("stress-ng");
    stress
        .args(["--class", class, "--sequential", "1", "--timeout", "1s"])
        .args(["--exclude", EXCLUDED, "--oomable"])
        .args(SIZES)
        .arg("--temp-path")
        .arg(dir);
    let out = stress.output()?;
    match out.status.code() {
        Some(0) => Ok(()),
        // A stressor that this kernel or file system can't run (stress-ng(1)).
        Some(3 | 4) => Ok(()),
        _ => bail!(
            "stress-ng ended with {}\n{}",
            out.status,
            String::from_utf8_lossy(&out.stderr)
        ),
    }
}
