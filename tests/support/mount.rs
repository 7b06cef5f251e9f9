//! A mount inside a trial's directory.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::command::run;
use super::deadline::Deadline;

const CLEANUP: Duration = Duration::from_secs(10);

/// A mount point. Dropping it unmounts it.
pub struct Mount(String);

impl Mount {
    /// Mounts at `dir`, with these arguments of mount(8).
    pub fn new(arguments: &[&str], dir: &str, deadline: Deadline) -> Result<Mount> {
        run(Command::new("mount").args(arguments).arg(dir), deadline)?;
        Ok(Mount(dir.to_owned()))
    }

    /// A mount that another process has made.
    pub fn made(dir: &str) -> Mount {
        Mount(dir.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let mut umount = Command::new("umount");
        if let Err(problem) = run(umount.arg(&self.0), Deadline::after(CLEANUP)) {
            eprintln!("cleaning up: {problem:#}");
        }
    }
}
