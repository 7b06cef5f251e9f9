//! What a trial has: a file system, writers on it, and a terminal.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::support::deadline::Deadline;
use super::support::device::Device;
use super::support::process::Writer;
use super::support::tracer::BINARY;
use super::terminal::Terminal;

pub const MIB: u64 = 1 << 20;
/// The options with which setpriv(1) runs a program as a user without privileges.
pub const NOBODY: [&str; 4] = ["--reuid=65534", "--regid=65534", "--clear-groups", "--"];

pub struct Stage {
    /// When the trial has to be over.
    pub deadline: Deadline,
    device: Device,
    home: TempDir,
}

impl Stage {
    pub fn new(device: Device) -> Result<Stage> {
        Ok(Stage {
            deadline: Deadline::after(Duration::from_secs(60)),
            device,
            home: TempDir::new()?,
        })
    }

    /// The path of a file on the file system.
    pub fn file(&self, name: &str) -> String {
        self.device.dir().join(name).to_string_lossy().into_owned()
    }

    /// The device's name.
    pub fn device(&self) -> &str {
        self.device.name()
    }

    /// Where the settings are kept.
    pub fn settings(&self) -> PathBuf {
        self.home.path().join("iotop-trace/config.toml")
    }

    /// Starts the program, and waits until its first interval is over.
    pub fn start(&self, options: &[&str], size: (u16, u16)) -> Result<Terminal> {
        let terminal = self.open(options, size)?;
        terminal.wait_for("the first interval", |text| text.contains("Actual"))?;
        Ok(terminal)
    }

    /// Starts the program without waiting for an interval.
    pub fn open(&self, options: &[&str], size: (u16, u16)) -> Result<Terminal> {
        let home = self.home.path().to_str().context("a plain path")?;
        Terminal::start(Path::new(BINARY), options, &variables(home), size)
    }

    /// Runs a writer to its end. Returns its PID.
    pub fn wrote(&self, comm: &str, file: &str, len: u64) -> Result<u64> {
        let path = self.file(file);
        self.done(comm, &["write", &path, "0", &len.to_string()])
    }

    /// Lets another task write back what is dirty. Returns its PID.
    pub fn flush(&self, comm: &str) -> Result<u64> {
        let directory = self.file("");
        self.done(comm, &["syncfs", &directory])
    }

    fn done(&self, comm: &str, args: &[&str]) -> Result<u64> {
        let mut writer = Writer::start(comm, args)?;
        writer.go()?;
        writer.done(self.deadline)?;
        writer.exit(self.deadline)
    }
}

/// A usual terminal, and a directory for settings that no other program uses.
pub fn variables(home: &str) -> [(&str, Option<&str>); 6] {
    [
        ("TERM", Some("xterm-256color")),
        ("COLORTERM", None),
        ("NO_COLOR", None),
        ("LC_ALL", Some("C.UTF-8")),
        ("XDG_CONFIG_HOME", Some(home)),
        ("TZ", Some("UTC")),
    ]
}

/// The first line of the screen that contains all of these.
pub fn line<'a>(text: &'a str, words: &[&str]) -> Option<&'a str> {
    let holds = |line: &&str| words.iter().all(|word| line.contains(word));
    text.lines().find(holds)
}
