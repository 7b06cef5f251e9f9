//! The harness's side of a writer process: start, let go, wait, end.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::deadline::{Deadline, lines_of};
use super::writer::WRITER;

/// The running binary, even if its file has been replaced since.
const OURSELVES: &str = "/proc/self/exe";

/// A writer that has been started. Dropping it ends it.
pub struct Writer {
    child: Child,
    comm: String,
    input: Option<ChildStdin>,
    output: Receiver<String>,
}

impl Writer {
    /// Starts a writer; it waits for [`Writer::go`].
    pub fn start(comm: &str, args: &[&str]) -> Result<Writer> {
        let mut child = Command::new(OURSELVES)
            .args(args)
            .env(WRITER, comm)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start the writer {comm}"))?;
        let input = child.stdin.take();
        let output = lines_of(child.stdout.take().context("stdout is piped")?);
        Ok(Writer {
            child,
            comm: comm.to_owned(),
            input,
            output,
        })
    }

    /// The writer's process id.
    pub fn pid(&self) -> u64 {
        self.child.id().into()
    }

    /// Lets it do its work.
    pub fn go(&mut self) -> Result<()> {
        self.input
            .as_mut()
            .context("already told to exit")?
            .write_all(b"go\n")
            .with_context(|| format!("{} is gone", self.comm))
    }

    /// Waits until the work is done. Returns what the writer printed before. The writer
    /// lives on.
    pub fn done(&mut self, deadline: Deadline) -> Result<Vec<String>> {
        let mut said = Vec::new();
        loop {
            match deadline
                .line(&self.output)
                .with_context(|| self.comm.clone())?
            {
                Some(line) if line == "done" => return Ok(said),
                Some(line) => said.push(line),
                None => bail!("{} ended before its work was done", self.comm),
            }
        }
    }

    /// Tells it to exit, and waits until it has. Returns its process id.
    pub fn exit(mut self, deadline: Deadline) -> Result<u64> {
        drop(self.input.take());
        let status = deadline
            .wait(&mut self.child)
            .with_context(|| self.comm.clone())?;
        ensure!(status.success(), "{}: {status}", self.comm);
        Ok(self.pid())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Kills and reaps a child of ours, unless that has been done.
pub fn end(child: &mut Child) {
    if matches!(child.try_wait(), Ok(None)) {
        // Errors mean that it is gone already, or that it can't be ended.
        let _ = child.kill();
        let _ = Deadline::after(Duration::from_secs(5)).wait(child);
    }
}
