//! What each refresh of a running tool costs it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::peers::Tool;
use super::{cpu, median};

/// Every tool's first words in each refresh.
const REFRESH: &str = "Total DISK READ";

/// How long the next refresh may take, the interval included.
const PATIENCE: Duration = Duration::from_secs(120);

/// The first look and the first difference are not like the later ones.
const START: usize = 2;

/// What a tool needs.
pub struct Need {
    /// CPU time of one refresh, the median.
    pub cpu: Duration,
    /// VmRSS, in bytes.
    pub rss: f64,
    /// VmHWM: the highest VmRSS so far, in bytes.
    pub highest: f64,
}

/// A running tool. Dropping it ends it.
pub struct Running {
    child: Child,
    stderr: Option<ChildStderr>,
    /// The CPU time used by the beginning of each refresh.
    refreshes: Receiver<Duration>,
}

impl Running {
    pub fn start(command: &mut Command) -> Result<Running> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start {:?}", command.get_program()))?;
        let (sender, refreshes) = mpsc::channel();
        let pid = child.id();
        if let Some(output) = child.stdout.take() {
            thread::spawn(move || {
                let lines = BufReader::new(output).lines().map_while(Result::ok);
                for _ in lines.filter(|line| line.contains(REFRESH)) {
                    let sent = cpu::of_process(pid).map(|time| sender.send(time));
                    if !matches!(sent, Ok(Ok(()))) {
                        break;
                    }
                }
            });
        }
        let stderr = child.stderr.take();
        Ok(Running {
            child,
            stderr,
            refreshes,
        })
    }

    /// Waits for the next refresh. Returns the CPU time used by then.
    pub fn refresh(&mut self) -> Result<Duration> {
        if let Ok(time) = self.refreshes.recv_timeout(PATIENCE) {
            return Ok(time);
        }
        self.end();
        let mut said = String::new();
        if let Some(mut stderr) = self.stderr.take() {
            stderr.read_to_string(&mut said)?;
        }
        bail!("there was no refresh\n{said}");
    }

    /// A line of /proc/PID/status, in bytes.
    fn memory(&self, field: &str) -> Result<f64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status =
            std::fs::read_to_string(&path).with_context(|| format!("could not read {path}"))?;
        bytes(&status, field).with_context(|| format!("{path} has no {field}"))
    }

    fn end(&mut self) {
        // Either fails only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs a tool for `count` refreshes after its start.
pub fn measure(tool: &Tool, count: usize) -> Result<Need> {
    let mut running = Running::start(&mut tool.batch("1"))?;
    let mut times = Vec::new();
    for _ in 0..START + count {
        times.push(running.refresh().with_context(|| tool.name)?);
    }
    let each = times.windows(2).skip(START - 1);
    let seconds = median(each.map(|pair| (pair[1].saturating_sub(pair[0])).as_secs_f64()));
    Ok(Need {
        cpu: Duration::from_secs_f64(seconds),
        rss: running.memory("VmRSS")?,
        highest: running.memory("VmHWM")?,
    })
}

fn bytes(status: &str, field: &str) -> Option<f64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024.0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn memory_is_read_in_bytes() {
        let status = "VmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t1\n";
        assert_eq!(super::bytes(status, "VmRSS"), Some(1048576.0));
        assert_eq!(super::bytes(status, "VmHWM"), Some(2097152.0));
        assert_eq!(super::bytes(status, "Threads"), None);
    }
}
