//! How a run ends: with success, after whole lines, and with nothing left attached.

use std::env;
use std::fs::File;
use std::io::Read;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::attached::{programs_of, wait_until_gone};
use super::deadline::lines_of;
use super::{BINARY, NDJSON, is_root, soon};

/// A run without a limit. Dropping it ends it.
struct Running(Child);

impl Running {
    fn start() -> Result<(Running, ChildStdout)> {
        let mut child = Command::new(BINARY)
            .args(NDJSON)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        Ok((Running(child), stdout))
    }

    fn signal(&self, signal: libc::c_int) -> Result<()> {
        let pid = libc::pid_t::try_from(self.0.id())?;
        // SAFETY: kill(2) on a child that has not been reaped, so the pid is its own.
        let sent = unsafe { libc::kill(pid, signal) };
        ensure!(sent == 0, std::io::Error::last_os_error());
        Ok(())
    }

    /// How it ended, and what it printed on standard error.
    fn end(mut self) -> Result<(ExitStatus, String)> {
        let status = soon().wait(&mut self.0)?;
        let mut said = String::new();
        let mut stderr = self.0.stderr.take().context("stderr is piped")?;
        stderr.read_to_string(&mut said)?;
        Ok((status, said))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if it has ended already, as it should have.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_interrupt_ends_with_success_and_after_whole_lines() -> Result<()> {
    let (running, stdout) = Running::start()?;
    let lines = lines_of(stdout);
    ensure!(soon().line(&lines)?.is_some(), "no line at all");
    running.signal(libc::SIGINT)?;
    let (status, said) = running.end()?;
    ensure!(status.success(), "{status}: {said}");
    while let Some(line) = soon().line(&lines)? {
        serde_json::from_str::<Value>(&line).with_context(|| line)?;
    }
    Ok(())
}

#[test]
fn a_message_that_can_not_be_written_changes_no_status() -> Result<()> {
    for (args, status) in [
        (
            &["--no-ebpf", "--export", "csv", "-n", "1", "-d", "0.1"][..],
            0,
        ),
        (&["-u", "no-such-user"], 2),
    ] {
        let mut command = Command::new(BINARY);
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let mut child = command
            .stderr(File::options().write(true).open("/dev/full")?)
            .spawn()?;
        let ended = soon().wait(&mut child)?;
        ensure!(ended.code() == Some(status), "{args:?}: {ended}");
    }
    Ok(())
}

#[test]
fn a_closed_pipe_ends_with_success_and_quietly() -> Result<()> {
    let (running, mut stdout) = Running::start()?;
    stdout.read_exact(&mut [0])?;
    drop(stdout);
    let (status, said) = running.end()?;
    ensure!(status.success(), "{status}: {said}");
    let quiet = !said.contains("panicked") && !said.contains("roken pipe");
    ensure!(quiet, "{said}");
    Ok(())
}

#[test]
fn nothing_stays_attached_however_it_ends() -> Result<()> {
    if !is_root() {
        let required = env::var_os("IOTOP_TRACE_REQUIRE_EBPF").is_some();
        ensure!(!required, "not root, but eBPF is required");
        eprintln!("skipped: not root");
        return Ok(());
    }
    for signal in [libc::SIGINT, libc::SIGKILL] {
        let (running, stdout) = Running::start()?;
        let lines = lines_of(stdout);
        ensure!(soon().line(&lines)?.is_some(), "no line at all");
        let programs = programs_of(running.0.id())?;
        ensure!(!programs.is_empty(), "no programs are loaded");
        running.signal(signal)?;
        running.end()?;
        wait_until_gone(&programs, soon())?;
    }
    Ok(())
}
