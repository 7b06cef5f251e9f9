//! A mount inside of a trial's directory.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::command::run;
use super::deadline::Deadline;

const CLEANUP: Duration = Duration::from_secs(10);

/// Where something is mounted. Dropping it unmounts that.
pub struct Mount(String);

impl Mount {
    /// What mount(8) makes of these arguments and the directory.
    pub fn new(arguments: &[&str], dir: &str, deadline: Deadline) -> Result<Mount> {
        run(Command::new("mount").args(arguments).arg(dir), deadline)?;
        Ok(Mount(dir.to_owned()))
    }

    /// One that somebody else has made.
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
