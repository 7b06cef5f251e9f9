//! The picture of a recording in the live view.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{SIZE, save};
use crate::terminal::Terminal;

/// A recorder that runs while the other pictures are taken.
pub struct Recorder(Child);

impl Recorder {
    pub fn start(program: &Path, directory: &Path) -> Result<Recorder> {
        let mut command = Command::new(program);
        command.args(["record", "-d", "1"]).arg(directory);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn();
        Ok(Recorder(child.context("could not start the recorder")?))
    }

    /// Lets it write what it has, and end.
    pub fn end(mut self) -> Result<()> {
        let pid = libc::pid_t::try_from(self.0.id())?;
        // SAFETY: kill takes plain numbers; the recorder is our child, and not waited for yet.
        unsafe { libc::kill(pid, libc::SIGTERM) };
        let status = self.0.wait()?;
        ensure!(status.success(), "the recorder: {status}");
        Ok(())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The first spike of a recording, or its end if it has none.
pub fn take(program: &Path, recording: &Path, variables: &[(&str, Option<&str>)]) -> Result<()> {
    let recording = recording.to_str().context("a plain path")?;
    let mut terminal = Terminal::start(program, &["replay", "-o", recording], variables, SIZE)?;
    terminal.wait_for("a sample", |text| text.contains("paused"))?;
    terminal.keys("gend\r")?;
    sleep(Duration::from_secs(1));
    terminal.keys("E")?;
    sleep(Duration::from_secs(1));
    terminal.wait_for("a spike", |text| !text.contains("searching"))?;
    // A message gives way to the keys.
    terminal.keys("\x1b")?;
    sleep(Duration::from_millis(500));
    save(
        &terminal,
        "replay",
        "iotop-trace replay: a recording in the live view",
    )?;
    terminal.keys("q")?;
    terminal.end()?;
    Ok(())
}
