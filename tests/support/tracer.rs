//! The real binary, running beside the writers.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::deadline::{Deadline, lines_of};
use super::ndjson::{Line, Report};
use super::process::end;

/// The program under test, as cargo built it.
pub const BINARY: &str = env!("CARGO_BIN_EXE_iotop-trace");

const ATTACH: Duration = Duration::from_secs(15);
const STOP: Duration = Duration::from_secs(10);

/// Where the lines of a run are kept.
fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.ndjson"))
}

/// Prints what the tracer reported of the machine, of writers and of flushes in a run
/// that failed: the files of a virtual machine are lost with it.
pub fn tell(name: &str) {
    let lines = fs::read_to_string(kept(name)).unwrap_or_default();
    let is_relevant = |line: &&str| line.contains(r#""type":"system""#) || line.contains(r#""gt-"#);
    for line in lines.lines().filter(is_relevant) {
        eprintln!("{line}");
    }
}

/// A tracer that has attached. Dropping it ends it.
pub struct Tracer {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    complaint: Option<JoinHandle<String>>,
}

impl Tracer {
    /// Starts it and waits for its first interval: by then it has attached.
    pub fn start(options: &[&str]) -> Result<Tracer> {
        let mut child = Command::new(BINARY)
            .args(["--export", "ndjson"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {BINARY}"))?;
        let lines = lines_of(child.stdout.take().context("stdout is piped")?);
        let mut stderr = child.stderr.take().context("stderr is piped")?;
        let complaint = thread::spawn(move || {
            let mut text = Vec::new();
            // What could be read before an error is still worth showing.
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).trim().to_owned()
        });
        let mut tracer = Tracer {
            child,
            lines,
            seen: Vec::new(),
            complaint: Some(complaint),
        };
        let first = Deadline::after(ATTACH)
            .line(&tracer.lines)
            .context("waiting for the tracer's first interval");
        match first {
            Ok(Some(line)) => tracer.seen.push(line),
            Ok(None) => return Err(tracer.explain("the tracer printed nothing")),
            Err(error) => return Err(tracer.explain(&format!("{error:#}"))),
        }
        Ok(tracer)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the first interval has figures of the kernel half.
    pub fn has_ebpf(&self) -> Result<bool> {
        let first = Line::parse(&self.seen[0])?;
        ensure!(first.text("type")? == "system", "first: {}", self.seen[0]);
        Ok(first.maybe("block_write_bytes")?.is_some())
    }

    /// Interrupts the tracer as ^C does. It must succeed, and its last interval must be
    /// complete. All lines are kept in a file of this name, to look into a failure.
    pub fn stop(self, kept_as: &str) -> Result<Report> {
        Ok(self.stop_and_tell(kept_as)?.0)
    }

    /// The same, with what it printed on standard error.
    pub fn stop_and_tell(mut self, kept_as: &str) -> Result<(Report, String)> {
        let pid = libc::pid_t::try_from(self.child.id())?;
        // SAFETY: a signal to a child that has not been reaped, so the pid is its own.
        let sent = unsafe { libc::kill(pid, libc::SIGINT) };
        ensure!(sent == 0, std::io::Error::last_os_error());
        let deadline = Deadline::after(STOP);
        let status = deadline
            .wait(&mut self.child)
            .context("stopping the tracer");
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(self.explain(&format!("the tracer ended with {status}"))),
            Err(error) => return Err(self.explain(&format!("{error:#}"))),
        }
        while let Some(line) = deadline.line(&self.lines)? {
            self.seen.push(line);
        }
        let kept = kept(kept_as);
        fs::write(&kept, self.seen.join("\n"))
            .with_context(|| format!("cannot write {}", kept.display()))?;
        let said = self.complaint.take().and_then(|thread| thread.join().ok());
        Ok((Report::parse(&self.seen)?, said.unwrap_or_default()))
    }

    /// Ends the tracer. Returns an error with what it printed on standard error.
    pub fn explain(&mut self, what: &str) -> anyhow::Error {
        end(&mut self.child);
        let complaint = self.complaint.take().and_then(|thread| thread.join().ok());
        let complaint = complaint.unwrap_or_default();
        anyhow::anyhow!("{what}; on standard error: {complaint:?}")
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}
