//! What a trial has: an empty directory on a file system in memory.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};

use super::support::deadline::Deadline;
use super::support::device::Device;
use super::support::ndjson::Report;
use super::support::process::Writer;
use super::support::tracer::Tracer;

/// How long a trial may take.
const LIMIT: Duration = Duration::from_secs(40);

pub struct Stage<'a> {
    name: &'a str,
    dir: PathBuf,
    /// When the trial has to be over.
    pub deadline: Deadline,
}

impl<'a> Stage<'a> {
    pub fn new(device: &'a Device, name: &'a str) -> Result<Stage<'a>> {
        let dir = device.dir().join("trial");
        fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(Stage {
            name,
            dir,
            deadline: Deadline::after(LIMIT),
        })
    }

    /// The path of a file of this trial.
    pub fn file(&self, name: &str) -> String {
        self.dir.join(name).to_string_lossy().into_owned()
    }

    /// Starts an actor; each of its steps waits for [`Stage::step`].
    pub fn actor(&self, comm: &str, steps: &[&[&str]]) -> Result<Writer> {
        Writer::start(comm, &steps.join(&"then"))
    }

    /// Lets an actor do its next step, and returns what it printed.
    pub fn step(&self, actor: &mut Writer) -> Result<Vec<String>> {
        actor.go()?;
        actor.done(self.deadline)
    }

    /// Ends a tracer. Its lines are kept in a file of this trial's name.
    pub fn report(&self, tracer: Tracer) -> Result<Report> {
        tracer.stop(self.name)
    }

    /// The same, with what it printed on standard error.
    pub fn report_and_complaint(&self, tracer: Tracer) -> Result<(Report, String)> {
        tracer.stop_and_tell(self.name)
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        if let Err(problem) = fs::remove_dir_all(&self.dir) {
            eprintln!("cleaning up {}: {problem}", self.dir.display());
        }
    }
}

/// The tid that an actor printed for a thread or child of this name.
pub fn tid(said: &[String], name: &str) -> Result<u64> {
    let tid = said
        .iter()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(tid
        .with_context(|| format!("no {name} in {said:?}"))?
        .parse()?)
}

/// Long enough for this many of the tracer's intervals, and half of one more.
pub fn intervals(count: u32, delay: Duration) {
    sleep(delay * count + delay / 2);
}
