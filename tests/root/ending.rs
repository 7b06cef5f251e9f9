//! Nothing stays in the kernel.

use anyhow::{Result, ensure};

use super::attached::{programs_of, wait_until_gone};
use super::deadline::lines_of;
use super::program::{Running, soon};

/// Neither a program nor a link is left, whether it ends itself or is killed.
pub fn nothing_stays_attached() -> Result<()> {
    for signal in [libc::SIGINT, libc::SIGKILL] {
        let (running, stdout) = Running::start()?;
        let lines = lines_of(stdout);
        ensure!(soon().line(&lines)?.is_some(), "no line at all");
        let programs = programs_of(running.0.id())?;
        ensure!(!programs.is_empty(), "no programs are loaded");
        running.signal(signal)?;
        running.end()?;
        wait_until_gone(&programs, soon())?;
    }
    Ok(())
}
