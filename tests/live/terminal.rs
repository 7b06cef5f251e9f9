//! A program in its own terminal, and what it shows there.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::num::NonZero;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

/// How long an expected screen may take to appear.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time between two looks at the screen.
const GLANCE: Duration = Duration::from_millis(20);

/// The terminal. Dropping it ends the program.
pub struct Terminal {
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    program: Box<dyn Child + Send + Sync>,
    shown: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    /// Starts a program in `columns` x `rows` with these variables set and
    /// those without a value removed.
    pub fn start<S: AsRef<OsStr>>(
        program: &Path,
        arguments: &[S],
        variables: &[(&str, Option<&str>)],
        (columns, rows): (u16, u16),
    ) -> Result<Terminal> {
        let pair = native_pty_system().openpty(size(columns, rows))?;
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        // Otherwise it would be HOME, which need not exist.
        command.cwd("/");
        for (name, value) in variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            }
        }
        let child = pair.slave.spawn_command(command)?;
        drop(pair.slave);
        let shown = Arc::new(Mutex::new(vt100::Parser::new(
            at_least_one(rows),
            at_least_one(columns),
            0,
        )));
        let mut output = pair.master.try_clone_reader()?;
        let screen = Arc::clone(&shown);
        // Ends when the program and with it the terminal's other side is gone.
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = output.read(&mut bytes) {
                lock(&screen).process(&bytes[..n]);
            }
        });
        Ok(Terminal {
            keys: pair.master.take_writer()?,
            master: pair.master,
            program: child,
            shown,
        })
    }

    /// Types these keys.
    pub fn keys(&mut self, keys: &str) -> Result<()> {
        self.keys.write_all(keys.as_bytes())?;
        self.keys.flush()?;
        Ok(())
    }

    /// Makes the terminal larger or smaller.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        lock(&self.shown)
            .screen_mut()
            .set_size(at_least_one(rows), at_least_one(columns));
        self.master.resize(size(columns, rows))?;
        Ok(())
    }

    /// What is on the screen.
    pub fn screen(&self) -> vt100::Screen {
        lock(&self.shown).screen().clone()
    }

    /// The text on the screen.
    pub fn text(&self) -> String {
        self.screen().contents()
    }

    /// Waits until the screen is as it should be, and returns it.
    pub fn wait_for(&self, what: &str, is: impl Fn(&str) -> bool) -> Result<String> {
        let start = Instant::now();
        loop {
            let text = self.text();
            if is(&text) {
                return Ok(text);
            }
            if start.elapsed() > PATIENCE {
                bail!("{what} did not appear; on the screen is:\n{text}");
            }
            thread::sleep(GLANCE);
        }
    }

    /// How the terminal treats what is typed (termios(3)): input, output,
    /// control and local modes.
    pub fn modes(&self) -> Option<[u32; 4]> {
        let fd = self.master.as_raw_fd()?;
        let mut modes = std::mem::MaybeUninit::<libc::termios>::uninit();
        // SAFETY: the file descriptor is open; tcgetattr fills the structure
        // when it returns 0, and only then is it read.
        let modes = unsafe {
            match libc::tcgetattr(fd, modes.as_mut_ptr()) {
                0 => modes.assume_init(),
                _ => return None,
            }
        };
        Some([modes.c_iflag, modes.c_oflag, modes.c_cflag, modes.c_lflag])
    }

    /// The program's PID.
    pub fn pid(&self) -> Result<u32> {
        self.program.process_id().context("it has ended")
    }

    /// Waits until the program has ended.
    pub fn end(&mut self) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.program.try_wait()? {
                return Ok(status);
            }
            if start.elapsed() > PATIENCE {
                bail!("it does not end; on the screen is:\n{}", self.text());
            }
            thread::sleep(GLANCE);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

fn lock(shown: &Mutex<vt100::Parser>) -> MutexGuard<'_, vt100::Parser> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

fn at_least_one(n: u16) -> NonZero<u16> {
    NonZero::new(n).unwrap_or(NonZero::<u16>::MIN)
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize {
        rows,
        cols: columns,
        pixel_width: 0,
        pixel_height: 0,
    }
}
