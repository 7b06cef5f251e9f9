//! A program that runs until it is told to stop.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// Its output goes to files in memory. Dropping it ends it.
pub struct Running {
    child: Child,
    name: String,
    output: PathBuf,
    messages: PathBuf,
}

impl Running {
    /// Starts it. Its files are in `memory`, and have this name.
    pub fn start(command: &mut Command, memory: &Path, name: &str) -> Result<Running> {
        let output = memory.join(format!("{name}.out"));
        let messages = memory.join(format!("{name}.err"));
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&output)?)
            .stderr(File::create(&messages)?)
            .spawn()
            .with_context(|| format!("could not start {name}"))?;
        Ok(Running {
            child,
            name: name.to_owned(),
            output,
            messages,
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has printed anything.
    pub fn wait_for_output(&mut self) -> Result<()> {
        self.wait_until(|running| Ok(fs::metadata(&running.output)?.len() > 0))
    }

    /// Waits until its messages contain this.
    pub fn wait_for_message(&mut self, text: &str) -> Result<()> {
        self.wait_until(|running| Ok(running.messages()?.contains(text)))
    }

    fn wait_until(&mut self, is_met: impl Fn(&Running) -> Result<bool>) -> Result<()> {
        let start = Instant::now();
        while !is_met(self)? {
            let ended = self.child.try_wait()?.is_some();
            ensure!(
                !ended && start.elapsed() < START,
                "{} has not begun: {}",
                self.name,
                self.messages()?
            );
            sleep(PAUSE);
        }
        Ok(())
    }

    /// What it said on standard error.
    pub fn messages(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.messages)?).into_owned())
    }

    /// Interrupts it as ^C does. Returns its output.
    pub fn stop(mut self) -> Result<String> {
        let pid = libc::pid_t::try_from(self.child.id())?;
        // SAFETY: takes no pointers; the child has not been waited for, so the number is its own.
        unsafe { libc::kill(pid, libc::SIGINT) };
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(start.elapsed() < STOP, "{} does not end", self.name);
            sleep(PAUSE);
        };
        ensure!(
            status.success(),
            "{} ended with {status}: {}",
            self.name,
            self.messages()?
        );
        Ok(String::from_utf8_lossy(&fs::read(&self.output)?).into_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Either fails only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
