//! The real program, whose lines are read while it runs.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::intervals::Intervals;

/// Time limits for the first interval, and for the last one.
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// A running iotop-trace. Dropping it ends it.
pub struct Tracer {
    child: Child,
    intervals: Arc<Mutex<Intervals>>,
    reader: Option<JoinHandle<Result<()>>>,
}

impl Tracer {
    /// Starts it and waits for its first interval: by then it has attached.
    pub fn start(program: &Path) -> Result<Tracer> {
        let mut child = Command::new(program)
            .args(["--export", "ndjson", "--delay", "1", "--only"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start {}", program.display()))?;
        let output = child.stdout.take().context("stdout is piped")?;
        let intervals: Arc<Mutex<Intervals>> = Arc::default();
        let read = intervals.clone();
        let reader = thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let mut intervals = read.lock().unwrap_or_else(PoisonError::into_inner);
                intervals.add(&line?)?;
            }
            Ok(())
        });
        let tracer = Tracer {
            child,
            intervals,
            reader: Some(reader),
        };
        let start = Instant::now();
        while tracer.intervals()?.count == 0 {
            ensure!(start.elapsed() < START, "iotop-trace gives no sample");
            sleep(PAUSE);
        }
        Ok(tracer)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said so far.
    ///
    /// # Errors
    ///
    /// It has ended, or one of its lines can't be read.
    pub fn intervals(&self) -> Result<MutexGuard<'_, Intervals>> {
        let ended = self.reader.as_ref().is_none_or(JoinHandle::is_finished);
        ensure!(
            !ended,
            "iotop-trace has ended, or a line of it can't be read"
        );
        Ok(self
            .intervals
            .lock()
            .unwrap_or_else(PoisonError::into_inner))
    }

    /// Interrupts it as ^C does. Returns what it said.
    pub fn stop(mut self) -> Result<Intervals> {
        let pid = libc::pid_t::try_from(self.child.id())?;
        // SAFETY: takes no pointers; the child has not been waited for, so the number is its
        // own.
        unsafe { libc::kill(pid, libc::SIGINT) };
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(start.elapsed() < STOP, "iotop-trace does not end");
            sleep(PAUSE);
        };
        ensure!(status.success(), "iotop-trace ended with {status}");
        let reader = self.reader.take().context("stopped once")?;
        reader
            .join()
            .map_err(|_| anyhow!("its reader panicked"))??;
        let mut intervals = self
            .intervals
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut intervals))
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Either fails only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
