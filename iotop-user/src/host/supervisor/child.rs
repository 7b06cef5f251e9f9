//! The supervisor itself: starts the command when it is told to, reaps it and all that become its
//! children, and passes signals on.

use std::{
    ffi::CString,
    io::{self, Read as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{net::UnixStream, process::CommandExt as _},
    },
    process,
    time::Instant,
};

use rustix::event::{PollFd, PollFlags, poll};

use super::{
    Command, Event, Inherited, Order, leave_streams, message::take, say, signals::SignalSet, sync,
};
use crate::host::invoker::Invoker;

/// Runs until the other process is gone.
pub(super) fn run(stream: UnixStream, name: &str, command: &Command, inherited: &Inherited) -> ! {
    // There is nobody to report an error to: without us, the other process ends.
    let _ = supervise(stream, name, command, inherited);
    // SAFETY: _exit takes a number. It runs no destructors and flushes nothing: what the fork
    // copied belongs to the other process.
    unsafe { libc::_exit(0) }
}

fn supervise(
    stream: UnixStream,
    name: &str,
    command: &Command,
    inherited: &Inherited,
) -> io::Result<()> {
    let name = CString::new(name)?;
    let on: libc::c_ulong = 1;
    // SAFETY: prctl reads a string that lives until it returns, or takes a number.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, name.as_ptr());
        if libc::prctl(libc::PR_SET_CHILD_SUBREAPER, on) == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    // ^C is for the command, whose process group we share. We must outlive it.
    Inherited::ignore_all();
    let ended = SignalSet::of(&[libc::SIGCHLD]).descriptor()?;
    let mut state = State {
        stream,
        started: None,
        command: None,
        all_ended: false,
    };
    let mut read = Vec::new();
    loop {
        let [told, child] = wait(&state.stream, &ended)?;
        if child {
            drain(&ended)?;
            state.reap();
        }
        if told {
            let mut bytes = [0; 512];
            match state.stream.read(&mut bytes)? {
                0 => return Ok(()),
                count => read.extend_from_slice(&bytes[..count]),
            }
            while let Some(Some(order)) = take::<Order>(&mut read) {
                state.obey(order, command, inherited);
            }
        }
    }
}

/// Waits until the other process says something or is gone, and until a child has ended.
fn wait(stream: &UnixStream, ended: &OwnedFd) -> io::Result<[bool; 2]> {
    let mut fds = [
        PollFd::new(stream, PollFlags::IN),
        PollFd::from_borrowed_fd(ended.as_fd(), PollFlags::IN),
    ];
    match poll(&mut fds, None) {
        Ok(_) => Ok(fds.map(|fd| !fd.revents().is_empty())),
        Err(rustix::io::Errno::INTR) => Ok([false; 2]),
        Err(error) => Err(error.into()),
    }
}

/// Forgets the signals that have come.
fn drain(ended: &OwnedFd) -> io::Result<()> {
    let mut bytes = [0; size_of::<libc::signalfd_siginfo>()];
    rustix::io::read(ended, &mut bytes)?;
    Ok(())
}

struct State {
    stream: UnixStream,
    started: Option<Instant>,
    /// Its PID, until it is reaped.
    command: Option<libc::pid_t>,
    all_ended: bool,
}

impl State {
    fn obey(&mut self, order: Order, command: &Command, inherited: &Inherited) {
        match order {
            Order::Start if self.started.is_none() => self.start(command, inherited),
            Order::Start => {}
            Order::Signal(signal) => {
                if let Some(pid) = self.command {
                    // SAFETY: kill takes plain numbers. The child is not reaped, so the number
                    // is still its own.
                    unsafe { libc::kill(pid, signal) };
                }
            }
            Order::Sync(devices) => self.sync(Some(&devices)),
            Order::SyncAll => self.sync(None),
        }
    }

    fn start(&mut self, command: &Command, inherited: &Inherited) {
        let start = Instant::now();
        self.started = Some(start);
        let event = match spawn(command, inherited) {
            Ok(child) => {
                self.command = libc::pid_t::try_from(child.id()).ok();
                Event::Started(child.id())
            }
            Err(error) => Event::NotStarted(error.raw_os_error().unwrap_or(0)),
        };
        // The command has its own copies.
        let _ = leave_streams(0..=2);
        say(&mut self.stream, &event);
    }

    /// Takes the status of every child that has ended.
    fn reap(&mut self) {
        loop {
            let mut status = 0;
            // SAFETY: the pointer is to our own number.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
            match pid {
                0 => return,
                -1 => break,
                pid if self.command == Some(pid) => {
                    self.command = None;
                    let elapsed = self.started.map(|started| started.elapsed());
                    let elapsed_ns = elapsed.map_or(0, crate::sample::nanoseconds);
                    say(&mut self.stream, &Event::Ended { status, elapsed_ns });
                }
                _ => {}
            }
        }
        // No child is left (ECHILD).
        if self.started.is_some() && self.command.is_none() && !self.all_ended {
            self.all_ended = true;
            say(&mut self.stream, &Event::AllEnded);
        }
    }

    fn sync(&mut self, devices: Option<&[crate::sample::Number]>) {
        let failed = sync::file_systems("/proc".as_ref(), devices);
        say(&mut self.stream, &Event::Synced(failed));
    }
}

fn spawn(command: &Command, inherited: &Inherited) -> io::Result<process::Child> {
    let [program, arguments @ ..] = &command.words[..] else {
        return Err(io::Error::from_raw_os_error(libc::ENOENT));
    };
    let mut process = process::Command::new(program);
    process.args(arguments);
    let user = command.uid.map(Invoker::of_uid);
    if let Some(user) = &user {
        process.envs(user.environment());
    }
    let inherited = inherited.clone();
    let prepare = move || {
        inherited.restore();
        user.as_ref().map_or(Ok(()), Invoker::take_rights)
    };
    // SAFETY: this process has one thread, so no other can hold a lock that the child waits for.
    unsafe { process.pre_exec(prepare) };
    process.spawn()
}
