//! The program under test: it is run to its end, or until it is told to end.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::deadline::Deadline;

pub const BINARY: &str = env!("CARGO_BIN_EXE_iotop-trace");
pub const NDJSON: [&str; 4] = ["--export", "ndjson", "-d", "0.1"];

pub fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

pub fn run(args: &[&str]) -> Result<Output> {
    soon().output(Command::new(BINARY).args(args))
}

pub fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Standard output as NDJSON, every line whole.
pub fn json_lines(output: &Output) -> Result<Vec<Value>> {
    let text = str::from_utf8(&output.stdout)?;
    ensure!(text.is_empty() || text.ends_with('\n'), "cut off: {text:?}");
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line:?}")))
        .collect()
}

pub fn is_root() -> bool {
    // SAFETY: geteuid(2) takes nothing and always succeeds.
    unsafe { libc::geteuid() == 0 }
}

pub const NOBODY: u32 = 65534;

/// The binary where an unprivileged user can run it, and a command that does.
pub fn as_nobody() -> Result<(TempDir, Command)> {
    let dir = TempDir::new()?;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
    let binary = dir.path().join("iotop-trace");
    fs::copy(BINARY, &binary)?;
    let mut command = Command::new(binary);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
    }
    Ok((dir, command))
}

/// A run without a limit. Dropping it ends it.
pub struct Running(pub Child);

impl Running {
    pub fn start() -> Result<(Running, ChildStdout)> {
        Running::of(Command::new(BINARY).args(NDJSON))
    }

    pub fn of(command: &mut Command) -> Result<(Running, ChildStdout)> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        Ok((Running(child), stdout))
    }

    pub fn signal(&self, signal: libc::c_int) -> Result<()> {
        let pid = libc::pid_t::try_from(self.0.id())?;
        // SAFETY: kill(2) on a child that has not been reaped, so the pid is its own.
        let sent = unsafe { libc::kill(pid, signal) };
        ensure!(sent == 0, std::io::Error::last_os_error());
        Ok(())
    }

    /// How it ended, and what it printed on standard error.
    pub fn end(mut self) -> Result<(ExitStatus, String)> {
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
