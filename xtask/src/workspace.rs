//! Where things are in the repository, and the cargo that builds them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The top of the checkout.
pub fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// The committed object of the kernel half; the program embeds it.
pub fn committed_object() -> PathBuf {
    root().join("iotop-user/src/probe/iotop-trace.bpf.o")
}

/// cargo's target directory.
pub fn target() -> PathBuf {
    let dir = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let dir = dir.and_then(|dir| std::path::absolute(dir).ok());
    dir.unwrap_or_else(|| root().join("target"))
}

/// The target directory of the kernel half: another compiler works there.
pub fn ebpf_target() -> PathBuf {
    target().join("ebpf")
}

/// The cargo that runs this program, at the top of the checkout.
pub fn cargo(subcommand: &str) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .arg(subcommand)
        .arg("--locked")
        .current_dir(root())
        .env("CARGO_TARGET_DIR", target());
    command
}
