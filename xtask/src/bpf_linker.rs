//! The linker of the kernel half.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::toolchain::{DEBIAN_LLVM, Toolchain};
use crate::{process, workspace};

/// The release that the committed object is linked with.
pub const VERSION: &str = "0.13.0";
/// LLVM's major versions that this release can be built with.
const LLVM: [u32; 3] = [22, 23, 21];

/// The version of the bpf-linker that cargo would find, if there is one.
pub fn version() -> Result<String> {
    let Some(linker) = process::find("bpf-linker") else {
        bail!("bpf-linker is not installed: run `cargo xtask setup`");
    };
    let line = process::output(Command::new(linker).arg("--version"))?;
    Ok(line.trim_start_matches("bpf-linker ").to_owned())
}

/// Builds and installs [`VERSION`] for `toolchain` unless it is there.
pub fn install(toolchain: &Toolchain) -> Result<()> {
    let present = version().ok();
    if present.as_deref() == Some(VERSION) {
        return Ok(());
    }
    let (llvm, major) = match toolchain {
        Toolchain::Debian => (PathBuf::from(DEBIAN_LLVM), 22),
        Toolchain::Nightly(name) => llvm_for(toolchain.llvm_major()?).with_context(|| {
            format!(
                "could not build bpf-linker {VERSION} for {name}: install it by hand \
                 (https://github.com/aya-rs/bpf-linker#installation)"
            )
        })?,
    };
    match present {
        Some(other) => eprintln!("bpf-linker is {other}, {VERSION} is needed"),
        None => eprintln!("bpf-linker {VERSION} is missing; building it takes a minute"),
    }
    let mut cargo = workspace::cargo("install");
    cargo
        .env("LLVM_PREFIX", llvm)
        .env_remove("CARGO_TARGET_DIR")
        .arg(format!("bpf-linker@{VERSION}"))
        .args(["--no-default-features", "--features"])
        .arg(format!("llvm-{major}"));
    process::run(&mut cargo)
}

/// The prefix and version of an LLVM that reads what LLVM `compiler` wrote.
fn llvm_for(compiler: u32) -> Result<(PathBuf, u32)> {
    LLVM.into_iter()
        .filter(|&major| major >= compiler)
        .map(|major| (PathBuf::from(format!("/usr/lib/llvm-{major}")), major))
        .find(|(prefix, _)| has_headers(prefix))
        .with_context(|| {
            format!("no LLVM with headers in /usr/lib/llvm-VERSION is as new as LLVM {compiler}")
        })
}

fn has_headers(prefix: &Path) -> bool {
    prefix.join("bin/llvm-config").is_file() && prefix.join("include/llvm-c").is_dir()
}
