//! The program under measurement, running beside a load.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::subject::Subject;

/// Time limit for loading and for the first interval.
const START: Duration = Duration::from_secs(20);

/// Events that a tracer said it lost, by its names for what was lost.
pub type Lost = BTreeMap<String, u64>;

/// A running iotop-trace. Dropping it ends it, and with it every program that
/// it has attached.
pub struct Tracer {
    child: Child,
    reader: Option<JoinHandle<Lost>>,
}

impl Tracer {
    /// Starts it and waits for its first sample.
    pub fn start(subject: &Subject) -> Result<Tracer> {
        let mut command = Command::new(&subject.program);
        // Only active tasks: a row for each idle task would cost more than all
        // tracing, and that is what `bench collect` measures.
        command.args(["--export", "ndjson", "--delay", "1", "-o"]);
        if let Some(object) = &subject.object {
            command.arg("--ebpf-object").arg(object);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start {}", subject.program.display()))?;
        let output = child.stdout.take();
        let mut tracer = Tracer {
            child,
            reader: None,
        };
        let (ready, first) = mpsc::channel();
        tracer.reader = output.map(|output| {
            std::thread::spawn(move || {
                let mut all = Lost::new();
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    // After the first line the receiver is gone.
                    let _ = ready.send(());
                    add(&mut all, lost(&line));
                }
                all
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

    /// Ends it; returns what it said it lost.
    pub fn stop(mut self) -> Lost {
        self.end();
        let reader = self.reader.take();
        reader
            .and_then(|reader| reader.join().ok())
            .unwrap_or_default()
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

pub fn add(sum: &mut Lost, lost: impl IntoIterator<Item = (String, u64)>) {
    for (name, count) in lost {
        *sum.entry(name).or_default() += count;
    }
}

/// The counters in `lost` of a system line that are not 0; none of other lines.
fn lost(line: &str) -> Lost {
    let line: Value = serde_json::from_str(line).unwrap_or_default();
    let counters = line.get("lost").and_then(Value::as_object);
    counters
        .into_iter()
        .flatten()
        .filter_map(|(name, count)| Some((name.clone(), count.as_u64()?)))
        .filter(|(_, count)| *count > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_losses_count_as_none() {
        let line = r#"{"type":"system","lost":{"exit_records":null,"facts":2,"tags":0}}"#;
        let expected = Lost::from([("facts".to_owned(), 2)]);
        assert_eq!(lost(line), expected);
        assert_eq!(lost(r#"{"type":"task"}"#), Lost::new());
        assert_eq!(lost("cut of"), Lost::new());
        let mut sum = expected.clone();
        add(&mut sum, expected);
        assert_eq!(sum, Lost::from([("facts".to_owned(), 4)]));
    }
}
