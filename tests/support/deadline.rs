//! Time limits: nothing a test waits for may hang it.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How many times slower than a real machine this one is. Set for emulated machines.
const SLOWER: &str = "IOTOP_TRACE_SLOWER";

/// The factor for all time limits; 1 on a real machine.
pub fn slower() -> u32 {
    static FACTOR: LazyLock<u32> = LazyLock::new(|| {
        let slower = env::var(SLOWER).ok();
        slower
            .and_then(|text| text.parse().ok())
            .unwrap_or(1)
            .max(1)
    });
    *FACTOR
}

/// The moment at which waiting ends.
#[derive(Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// A deadline after this time on a real machine.
    pub fn after(time: Duration) -> Deadline {
        Deadline(Instant::now() + time * slower())
    }

    /// What is left of the time.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Waits for a child, and kills it if it takes too long.
    pub fn wait(self, child: &mut Child) -> Result<ExitStatus> {
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if self.left().is_zero() {
                child.kill()?;
                bail!("process {} took too long and was killed", child.id());
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Runs a command to its end, successful or not.
    pub fn output(self, command: &mut Command) -> Result<Output> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let stdout = all_of(child.stdout.take().context("stdout is piped")?);
        let stderr = all_of(child.stderr.take().context("stderr is piped")?);
        let status = self
            .wait(&mut child)
            .with_context(|| format!("{command:?}"))?;
        Ok(Output {
            status,
            stdout: stdout.recv_timeout(self.left())?,
            stderr: stderr.recv_timeout(self.left())?,
        })
    }

    /// The next line of a stream, `None` at its end.
    pub fn line(self, lines: &Receiver<String>) -> Result<Option<String>> {
        match lines.recv_timeout(self.left()) {
            Ok(line) => Ok(Some(line)),
            Err(mpsc::RecvTimeoutError::Disconnected) => Ok(None),
            Err(mpsc::RecvTimeoutError::Timeout) => bail!("no line came in time"),
        }
    }
}

/// Reads a whole stream in a thread, so that a full pipe blocks no process.
fn all_of(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // An error is the stream's end. If the receiver is gone, the bytes are not
        // needed.
        let _ = stream.read_to_end(&mut bytes);
        let _ = sender.send(bytes);
    });
    receiver
}

/// Reads a stream's lines in a thread, so that waiting for one can end in time. A last
/// line without a newline gets a mark, because it is not complete.
pub fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // The program raises its priority. A reader that gets no CPU beside it would look like
        // one that does not read.
        // SAFETY: setpriority takes plain numbers; 0 is the calling thread.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) };
        let mut stream = BufReader::new(stream);
        let mut bytes = Vec::new();
        while matches!(stream.read_until(b'\n', &mut bytes), Ok(n) if n > 0) {
            let line = String::from_utf8_lossy(&bytes).into_owned();
            let line = match line.strip_suffix('\n') {
                Some(whole) => whole.to_owned(),
                None => format!("{line}<cut off>"),
            };
            if sender.send(line).is_err() {
                break;
            }
            bytes.clear();
        }
    });
    receiver
}
