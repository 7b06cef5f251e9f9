//! The program under measurement, running beside a load.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Loading, and the first interval.
const START: Duration = Duration::from_secs(20);

/// A running iotop-trace. Dropping it ends it, and with it every program that
/// it has attached.
pub struct Tracer {
    child: Child,
    reader: Option<JoinHandle<u64>>,
}

impl Tracer {
    /// Starts it and waits for its first sample.
    pub fn start(program: &Path) -> Result<Tracer> {
        let mut child = Command::new(program)
            .args(["--export", "ndjson", "--delay", "1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start {}", program.display()))?;
        let output = child.stdout.take();
        let mut tracer = Tracer {
            child,
            reader: None,
        };
        let (ready, first) = mpsc::channel();
        tracer.reader = output.map(|output| {
            std::thread::spawn(move || {
                let lines = BufReader::new(output).lines().map_while(Result::ok);
                lines
                    .inspect(|_| {
                        // Nobody listens any more after the first line.
                        let _ = ready.send(());
                    })
                    .map(|line| lost(&line))
                    .sum()
            })
        });
        tracer.wait_for(&first)?;
        Ok(tracer)
    }

    fn wait_for(&mut self, first: &Receiver<()>) -> Result<()> {
        if first.recv_timeout(START).is_ok() {
            return Ok(());
        }
        self.end();
        let mut messages = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut messages)?;
        }
        bail!(
            "iotop-trace gave no sample within {} s\n{messages}",
            START.as_secs()
        );
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it; returns how many events it said it lost.
    pub fn stop(mut self) -> u64 {
        self.end();
        let reader = self.reader.take();
        reader.and_then(|reader| reader.join().ok()).unwrap_or(0)
    }

    fn end(&mut self) {
        // Either fails only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.end();
    }
}

/// The sum of all counters in `lost` of a system line; 0 for other lines.
fn lost(line: &str) -> u64 {
    let line: Value = serde_json::from_str(line).unwrap_or_default();
    let counters = line.get("lost").and_then(Value::as_object);
    counters
        .into_iter()
        .flatten()
        .filter_map(|(_, count)| count.as_u64())
        .sum()
}

#[cfg(test)]
mod tests {
    #[test]
    fn unknown_losses_count_as_none() {
        let line = r#"{"type":"system","lost":{"exit_records":null,"facts":2,"tags":3}}"#;
        assert_eq!(super::lost(line), 5);
        assert_eq!(super::lost(r#"{"type":"task"}"#), 0);
        assert_eq!(super::lost("cut of"), 0);
    }
}
