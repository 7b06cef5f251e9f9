//! Runs what needs root as root.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// Whether this process is root already.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// The words to put before a command so that it runs as root: none for root.
/// The environment is kept.
pub fn prefix() -> Result<&'static [&'static str]> {
    if is_root() {
        Ok(&[])
    } else if process::find("sudo").is_some() {
        Ok(&["sudo", "-E"])
    } else {
        bail!("root is needed and sudo is not installed: run this as root (su -)")
    }
}

/// A command that runs as root.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Result<Command> {
    Ok(match prefix()? {
        [] => Command::new(program),
        [sudo, options @ ..] => {
            let mut command = Command::new(sudo);
            command.args(options).arg(program);
            command
        }
    })
}
