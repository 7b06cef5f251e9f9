//! How a run ends: with success, after whole lines, and with nothing left attached.

use std::fs::File;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::process::{ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::deadline::{lines_of, slower};
use super::program::Running;
use super::{BINARY, NDJSON, soon};

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

/// Fills the pipe: makes it small, and waits until the program is blocked in it.
fn block(stdout: &ChildStdout) -> Result<()> {
    let fd = stdout.as_raw_fd();
    // The smallest size of a pipe is a page.
    // SAFETY: fcntl takes plain numbers.
    let size = unsafe { libc::fcntl(fd, libc::F_SETPIPE_SZ, 4096) };
    ensure!(size > 0, std::io::Error::last_os_error());
    let deadline = soon();
    loop {
        let mut filled: libc::c_int = 0;
        // SAFETY: FIONREAD stores an int.
        let asked = unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut filled) };
        ensure!(asked == 0, std::io::Error::last_os_error());
        if filled > size / 2 {
            break;
        }
        ensure!(!deadline.left().is_zero(), "{filled} of {size} bytes");
        sleep(Duration::from_millis(20));
    }
    // The next interval no longer has room.
    sleep(Duration::from_millis(500));
    Ok(())
}

/// Measures how long the program takes to end, without the time in which it, or we who look at
/// it, could go on and waited for a CPU: that is the other tests' doing.
struct Stopwatch {
    pid: u32,
    start: Instant,
    waited: Duration,
}

impl Stopwatch {
    fn start(running: &Running) -> Result<Stopwatch> {
        let pid = running.0.id();
        Ok(Stopwatch {
            pid,
            start: Instant::now(),
            waited: waited(pid)?,
        })
    }

    /// Until it has ended. It is not reaped: the kernel still has its times.
    fn until_the_end(self) -> Result<Duration> {
        let deadline = soon();
        while !has_ended(self.pid)? {
            ensure!(!deadline.left().is_zero(), "it does not end");
            sleep(Duration::from_millis(2));
        }
        let elapsed = self.start.elapsed();
        Ok(elapsed.saturating_sub(waited(self.pid)? - self.waited))
    }
}

/// How long the main thread of a process and our own have waited for a CPU: the second number
/// of /proc/PID/schedstat (Documentation/scheduler/sched-stats.rst).
fn waited(pid: u32) -> Result<Duration> {
    let mut sum = Duration::ZERO;
    for path in [
        format!("/proc/{pid}/schedstat"),
        "/proc/thread-self/schedstat".to_owned(),
    ] {
        let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        let nanoseconds = text.split_whitespace().nth(1).context(path)?;
        sum += Duration::from_nanos(nanoseconds.parse()?);
    }
    Ok(sum)
}

/// Whether a child of ours has ended.
fn has_ended(pid: u32) -> Result<bool> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: waitid(2) stores what it finds; all zeros is valid too, and what it stores if
    // the child lives.
    let info = unsafe {
        let asked = libc::waitid(libc::P_PID, pid, info.as_mut_ptr(), options);
        ensure!(asked == 0, std::io::Error::last_os_error());
        info.assume_init()
    };
    // SAFETY: waitid(2) has filled in this field, or left it 0.
    Ok(unsafe { info.si_pid() } != 0)
}

/// Nobody reads: a signal still ends it within a second, and a second signal at once.
#[test]
fn a_signal_ends_it_while_the_pipe_is_blocked() -> Result<()> {
    for signals in [
        &[libc::SIGINT][..],
        &[libc::SIGTERM],
        &[libc::SIGHUP],
        &[libc::SIGTERM, libc::SIGTERM],
    ] {
        let (running, stdout) = Running::start()?;
        block(&stdout)?;
        let stopwatch = Stopwatch::start(&running)?;
        for (n, signal) in signals.iter().enumerate() {
            sleep(Duration::from_millis(300) * u32::from(n > 0));
            running.signal(*signal)?;
        }
        let took = stopwatch.until_the_end()?;
        let (status, said) = running.end()?;
        ensure!(
            took < Duration::from_secs(1) * slower(),
            "{signals:?}: {took:?}"
        );
        ensure!(status.code() == Some(1), "{signals:?}: {status}: {said}");
        let told = said.contains("standard output is blocked");
        ensure!(told || signals.len() > 1, "{signals:?}: {said:?}");
        drop(stdout);
    }
    Ok(())
}

/// All that a blocked program writes if it is read right after the signal. The program waits for
/// us 0.3 s: if we get no CPU for some of it, that proves nothing, and we try again.
fn read_after(signal: libc::c_int) -> Result<String> {
    let deadline = soon();
    loop {
        let (running, mut stdout) = Running::start()?;
        block(&stdout)?;
        let before = waited(std::process::id())?;
        running.signal(signal)?;
        let mut text = String::new();
        stdout.read_to_string(&mut text)?;
        let waited = waited(std::process::id())? - before;
        let (status, said) = running.end()?;
        if status.success() {
            return Ok(text);
        }
        let is_late = waited > Duration::from_millis(100) && !deadline.left().is_zero();
        ensure!(is_late, "{signal}: {status}: {said}");
    }
}

/// The reader takes everything once the signal has come: all of it is there.
#[test]
fn the_last_interval_is_whole_if_a_blocked_pipe_is_read_again() -> Result<()> {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let text = read_after(signal)?;
        ensure!(text.ends_with('\n'), "{signal}: a line is cut off");
        let mut last = 0;
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
            if line["type"] == "system" {
                last = follows(&line, last)?.0;
            }
        }
        ensure!(last > 1, "{signal}: {last} intervals");
    }
    Ok(())
}

/// An interval's number and how many are left out before it. All are there or counted.
fn follows(system: &Value, last: u64) -> Result<(u64, u64)> {
    let seq = system["seq"].as_u64().context("a number")?;
    let missing = system["lost"]["intervals"].as_u64().context("a number")?;
    ensure!(seq == last + missing + 1, "{seq} after {last}: {missing}");
    Ok((seq, missing))
}

/// While nobody reads, it samples on, keeps a bounded number of intervals, and counts the
/// others.
#[test]
fn intervals_without_room_are_counted_in_the_next_one() -> Result<()> {
    let (running, stdout) = Running::start()?;
    block(&stdout)?;
    // More intervals than the queue holds.
    sleep(Duration::from_secs(9) * slower());
    let lines = lines_of(stdout);
    let (mut last, mut missing) = (0, 0);
    while missing == 0 {
        let line = soon().line(&lines)?.context("it has ended")?;
        let line: Value = serde_json::from_str(&line).context(line)?;
        if line["type"] != "system" {
            continue;
        }
        (last, missing) = follows(&line, last)?;
    }
    let resident = resident(running.0.id())?;
    ensure!(resident < 64 << 20, "{resident} bytes");
    running.signal(libc::SIGTERM)?;
    // The reader keeps reading.
    while soon().line(&lines)?.is_some() {}
    let (status, said) = running.end()?;
    ensure!(status.success(), "{status}: {said}");
    Ok(())
}

/// Bytes of memory that a process has.
fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.context("a size")?.parse::<u64>()? << 10)
}

#[test]
fn under_nohup_a_hang_up_does_not_end_it() -> Result<()> {
    let mut command = Command::new("nohup");
    command.arg(BINARY).args(NDJSON);
    let (running, stdout) = Running::of(&mut command)?;
    let lines = lines_of(stdout);
    let next = || -> Result<u64> {
        let line = soon().line(&lines)?.context("it has ended")?;
        let line: Value = serde_json::from_str(&line)?;
        line["seq"].as_u64().context("a number")
    };
    next()?;
    running.signal(libc::SIGHUP)?;
    let before = next()?;
    while next()? < before + 10 {}
    running.signal(libc::SIGTERM)?;
    while soon().line(&lines)?.is_some() {}
    let (status, said) = running.end()?;
    ensure!(status.success(), "{status}: {said}");
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
