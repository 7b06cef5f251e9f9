//! The parent of the command that `run` measures. It is forked before anything else is done, so
//! that the command has the rights, limits, priority, signals and open files that iotop-trace was
//! started with, and none of what the tracer takes or gives up.
//!
//! It is a subreaper (`PR_SET_CHILD_SUBREAPER`, 3.4): a descendant of the command whose parent
//! ends becomes its child. So every process of the command has, at any time, a parent that is a
//! process of the command too, or the supervisor; and the supervisor knows when all have ended.

mod child;
mod message;
mod signals;
mod sync;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    os::unix::net::UnixStream,
};

use self::message::{line, take};

pub use message::{Event, Order};
pub use signals::{Came, ForCommand, Inherited};

/// What the supervisor starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments; not empty.
    pub words: Vec<OsString>,
    /// The user with whose rights it runs; `None`: those of this process.
    pub uid: Option<u32>,
}

/// The process. It lives as long as this, and ends soon after.
#[derive(Debug)]
pub struct Supervisor {
    /// Its PID, in our own namespace.
    pub pid: u32,
    /// Its name, which no other process has: by it, it is found where its PID is another one.
    pub name: String,
    stream: UnixStream,
}

impl Supervisor {
    /// Starts the process. Must be called before there are other threads.
    ///
    /// # Errors
    ///
    /// There is no process to be had.
    pub fn start(command: &Command, inherited: &Inherited) -> io::Result<Supervisor> {
        let (ours, theirs) = UnixStream::pair()?;
        // SAFETY: getpid takes nothing and can't fail.
        let own = unsafe { libc::getpid() };
        // At most 15 bytes.
        let name = format!("iotop-{own}");
        // SAFETY: no other thread holds a lock that the child could wait for, see above.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                drop(ours);
                child::run(theirs, &name, command, inherited)
            }
            pid => {
                drop(theirs);
                Ok(Supervisor {
                    pid: pid.unsigned_abs(),
                    name,
                    stream: ours,
                })
            }
        }
    }

    /// Talks to it. Needs a runtime.
    ///
    /// # Errors
    ///
    /// The socket can't be watched.
    pub fn talk(self) -> io::Result<Talk> {
        self.stream.set_nonblocking(true)?;
        Ok(Talk {
            stream: tokio::net::UnixStream::from_std(self.stream)?,
            read: Vec::new(),
        })
    }
}

/// Closes standard input and output, which are the command's: whoever reads the command's output
/// waits until all who could write have closed it.
///
/// # Errors
///
/// /dev/null can't be opened.
pub fn leave_streams(streams: std::ops::RangeInclusive<i32>) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let nothing = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    for stream in streams {
        // SAFETY: dup2 takes plain numbers, and the first descriptor is open.
        if unsafe { libc::dup2(nothing.as_raw_fd(), stream) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The supervisor's end of the talk is closed, or is not understood.
#[derive(Debug, thiserror::Error)]
#[error("the process that supervises the command is gone")]
pub struct Gone;

/// What is said to the supervisor, and what it says. Dropping it ends the supervisor.
#[derive(Debug)]
pub struct Talk {
    stream: tokio::net::UnixStream,
    read: Vec<u8>,
}

impl Talk {
    /// Tells the supervisor what to do.
    ///
    /// # Errors
    ///
    /// It is gone.
    pub async fn order(&self, order: &Order) -> Result<(), Gone> {
        let line = line(order);
        self.stream.writable().await.map_err(|_| Gone)?;
        // Orders are few and small: they always have room in the socket's buffer.
        match self.stream.try_write(&line) {
            Ok(written) if written == line.len() => Ok(()),
            _ => Err(Gone),
        }
    }

    /// Waits for what happens next. May be dropped while it waits.
    ///
    /// # Errors
    ///
    /// The supervisor is gone.
    pub async fn event(&mut self) -> Result<Event, Gone> {
        loop {
            if let Some(event) = take(&mut self.read) {
                return event.ok_or(Gone);
            }
            let mut bytes = [0; 512];
            self.stream.readable().await.map_err(|_| Gone)?;
            match self.stream.try_read(&mut bytes) {
                Ok(0) => return Err(Gone),
                Ok(count) => self.read.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(Gone),
            }
        }
    }
}

/// Says what has happened. If nobody listens any more, the supervisor finds that out itself.
fn say(stream: &mut UnixStream, event: &Event) {
    let _ = stream.write_all(&line(event));
}
