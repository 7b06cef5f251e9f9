//! iotop-trace beside a load, reporting one device's bytes.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Time limits for loading and the first interval, and for the last interval.
const START: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// A running iotop-trace. Dropping it ends it.
pub struct Trace {
    child: Child,
    lines: Option<JoinHandle<Vec<String>>>,
    messages: Option<JoinHandle<String>>,
}

impl Trace {
    /// Starts it and waits for its first interval: by then it has attached.
    pub fn start(program: &Path, device: &str) -> Result<Trace> {
        let mut child = Command::new(program)
            .args(["--export", "ndjson", "--delay", "1", "--device", device])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start {}", program.display()))?;
        let (ready, first) = mpsc::channel();
        let stdout = child.stdout.take().context("stdout is piped")?;
        let mut stderr = child.stderr.take().context("stderr is piped")?;
        let lines = thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            // After the first line the receiver is gone.
            lines.inspect(|_| _ = ready.send(())).collect()
        });
        let messages = thread::spawn(move || {
            let mut text = Vec::new();
            // What could be read before an error is still worth showing.
            drop(stderr.read_to_end(&mut text));
            String::from_utf8_lossy(&text).trim().to_owned()
        });
        let mut trace = Trace {
            child,
            lines: Some(lines),
            messages: Some(messages),
        };
        trace.wait_for(&first)?;
        Ok(trace)
    }

    fn wait_for(&mut self, first: &Receiver<()>) -> Result<()> {
        if first.recv_timeout(START).is_ok() {
            return Ok(());
        }
        self.end();
        bail!("iotop-trace gave no sample: {}", self.messages());
    }

    /// Interrupts it as ^C does; returns all its lines. The last interval is complete.
    pub fn stop(mut self) -> Result<Vec<String>> {
        let pid = libc::pid_t::try_from(self.child.id())?;
        // SAFETY: takes no pointers; the child has not been waited for, so the number is
        // its own.
        let sent = unsafe { libc::kill(pid, libc::SIGINT) };
        ensure!(sent == 0, std::io::Error::last_os_error());
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(start.elapsed() < STOP, "iotop-trace does not end");
            sleep(PAUSE);
        };
        ensure!(
            status.success(),
            "iotop-trace ended with {status}: {}",
            self.messages()
        );
        let lines = self.lines.take().and_then(|thread| thread.join().ok());
        lines.context("its lines could not be read")
    }

    fn messages(&mut self) -> String {
        let messages = self.messages.take().and_then(|thread| thread.join().ok());
        messages.unwrap_or_default()
    }

    fn end(&mut self) {
        // Either fails only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        self.end();
    }
}
