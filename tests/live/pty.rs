//! A terminal that can be closed, or left unread.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::num::NonZero;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::support::deadline::Deadline;
use super::support::tracer::BINARY;

/// Time between two looks.
const GLANCE: Duration = Duration::from_millis(20);

/// How a program is started.
pub struct Start<'a> {
    pub options: &'a [&'a str],
    /// Rows and columns.
    pub size: (u16, u16),
    /// The terminal is the program's controlling terminal, so it gets SIGHUP.
    pub controlling: bool,
    /// Variables with a value are set, those without one are removed.
    pub variables: &'a [(&'a str, Option<&'a str>)],
    /// The file for standard error.
    pub stderr: Option<&'a str>,
}

/// The program in a terminal of its own. Dropping it ends it.
pub struct Pty {
    master: Option<Box<dyn MasterPty + Send>>,
    program: Box<dyn Child + Send + Sync>,
    written: Vec<u8>,
    screen: vt100::Parser,
}

impl Pty {
    pub fn start(start: &Start<'_>) -> Result<Pty> {
        let pair = native_pty_system().openpty(size(start.size))?;
        let (rows, columns) = drawn(start.size);
        let mut command = match start.stderr {
            None => CommandBuilder::new(BINARY),
            Some(file) => {
                let mut shell = CommandBuilder::new("sh");
                shell.args(["-c", &format!("exec \"$0\" \"$@\" 2>{file}"), BINARY]);
                shell
            }
        };
        command.args(start.options);
        command.set_controlling_tty(start.controlling);
        let variables: BTreeMap<_, _> = start.variables.iter().copied().collect();
        for (name, value) in variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            }
        }
        let program = pair.slave.spawn_command(command)?;
        Ok(Pty {
            master: Some(pair.master),
            program,
            written: Vec::new(),
            screen: vt100::Parser::new(rows, columns, 0),
        })
    }

    fn master(&self) -> Result<&(dyn MasterPty + Send)> {
        self.master.as_deref().context("it is closed")
    }

    /// Reads what the program writes until this is on the screen, or was just written.
    pub fn read_until(&mut self, word: &str) -> Result<()> {
        let deadline = soon();
        while !self.screen.screen().contents().contains(word) && !self.text().contains(word) {
            ensure!(
                !deadline.left().is_zero(),
                "no {word:?} in {}",
                self.screen.screen().contents()
            );
            self.read(GLANCE)?;
        }
        Ok(())
    }

    /// Reads what the program writes for this long, and forgets what was read before.
    pub fn read_for(&mut self, time: Duration) -> Result<()> {
        self.written.clear();
        let start = Instant::now();
        while start.elapsed() < time {
            self.read(GLANCE)?;
        }
        Ok(())
    }

    /// What was read.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.written).into_owned()
    }

    fn read(&mut self, patience: Duration) -> Result<()> {
        let master = self.master()?;
        let fd = master.as_raw_fd().context("a file descriptor")?;
        // SAFETY: the master stays open while this is borrowed.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        let patience = Timespec::try_from(patience)?;
        if poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&patience))? == 0 {
            return Ok(());
        }
        let mut bytes = [0; 65536];
        // EIO: the program has ended.
        let n = master.try_clone_reader()?.read(&mut bytes).unwrap_or(0);
        self.written.extend_from_slice(&bytes[..n]);
        self.screen.process(&bytes[..n]);
        Ok(())
    }

    pub fn keys(&self, keys: &str) -> Result<()> {
        let fd = self.master()?.as_raw_fd().context("a file descriptor")?;
        // SAFETY: the pointer and the length are those of the keys.
        let n = unsafe { libc::write(fd, keys.as_ptr().cast(), keys.len()) };
        ensure!(usize::try_from(n)? == keys.len(), "{keys:?} were not typed");
        Ok(())
    }

    pub fn resize(&mut self, to: (u16, u16)) -> Result<()> {
        let (rows, columns) = drawn(to);
        self.screen.screen_mut().set_size(rows, columns);
        self.master()?.resize(size(to))
    }

    /// Closes the terminal.
    pub fn close(&mut self) {
        self.master = None;
    }

    pub fn signal(&self, signal: libc::c_int) -> Result<()> {
        // SAFETY: kill takes plain numbers; the program is ours.
        unsafe { libc::kill(self.pid()? as libc::pid_t, signal) };
        Ok(())
    }

    /// Seconds of CPU time that it has used.
    pub fn cpu(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()?))?;
        let (_, rest) = stat.rsplit_once(") ").context("a stat line")?;
        // Fields 14 and 15 of proc_pid_stat(5); the first one here is field 3.
        let ticks = rest.split(' ').skip(11).take(2).map(str::parse::<u64>);
        Ok(ticks.sum::<Result<u64, _>>()? as f64 / 100.0)
    }

    fn pid(&self) -> Result<u32> {
        self.program.process_id().context("it has ended")
    }

    /// How it has ended, and how long that took. Reads nothing.
    pub fn end(&mut self) -> Result<(ExitStatus, Duration)> {
        let (start, deadline) = (Instant::now(), soon());
        loop {
            if let Some(status) = self.program.try_wait()? {
                return Ok((status, start.elapsed()));
            }
            ensure!(!deadline.left().is_zero(), "it does not end");
            std::thread::sleep(GLANCE);
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(15))
}

/// The size on which a terminal of this size is drawn.
fn drawn((rows, columns): (u16, u16)) -> (NonZero<u16>, NonZero<u16>) {
    const USUAL: (NonZero<u16>, NonZero<u16>) = (
        NonZero::new(24).expect("not 0"),
        NonZero::new(80).expect("not 0"),
    );
    let known = NonZero::new(rows).zip(NonZero::new(columns));
    known.unwrap_or(USUAL)
}

fn size((rows, cols): (u16, u16)) -> PtySize {
    PtySize {
        rows,
        cols,
        pixel_width: 0,
        pixel_height: 0,
    }
}
