//! Commands of the system, such as mount and losetup, that must succeed.

use std::process::Command;

use anyhow::{Result, ensure};

use super::deadline::Deadline;

/// Runs a command and returns its standard output.
pub fn run(command: &mut Command, deadline: Deadline) -> Result<String> {
    let output = deadline.output(command)?;
    ensure!(
        output.status.success(),
        "{command:?}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8(output.stdout)?)
}
