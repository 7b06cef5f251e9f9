//! What happens to the kernel half's object after it is linked.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::toolchain::Toolchain;

/// The section that says what built the object. Loaders ignore it.
pub const COMPILER: &str = ".compiler";

/// Strips the debug information (BTF stays: the kernel reads it, and the
/// verifier quotes source lines from it) and records the compiler.
pub fn finish(toolchain: &Toolchain, linked: &Path, finished: &Path) -> Result<()> {
    let note = linked.with_extension("compiler");
    std::fs::write(&note, toolchain.version()? + "\n")
        .with_context(|| format!("could not write {}", note.display()))?;
    let mut section = std::ffi::OsString::from(format!("{COMPILER}="));
    section.push(&note);
    process::run(
        Command::new(toolchain.objcopy()?)
            .arg("--strip-debug")
            .arg("--add-section")
            .arg(section)
            .arg(linked)
            .arg(finished),
    )
}

/// Where the linked object of a binary of the kernel half is.
pub fn linked(target_dir: &Path, binary: &str) -> PathBuf {
    target_dir
        .join(crate::toolchain::TARGET)
        .join("release")
        .join(binary)
}
