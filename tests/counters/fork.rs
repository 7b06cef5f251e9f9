//! Children that are forked and never call execve: all their I/O is what they are told
//! to do.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::AsRawFd;
use std::ptr;

use anyhow::{Result, ensure};

/// Bytes that each brief child writes.
pub const BRIEF: u64 = 4096;

/// How long a brief child lives after its write.
const BRIEF_NS: libc::c_long = 2_000_000;

/// A child that has done its work and lives until it is reaped, or until its
/// parent ends.
pub struct Child {
    tid: libc::pid_t,
    alive: PipeWriter,
}

impl Child {
    /// Forks a child, with this tid if one is given, and waits until its work is done.
    pub fn start(tid: Option<libc::pid_t>, work: impl FnOnce() -> Result<()>) -> Result<Child> {
        let (until, alive) = pipe()?;
        let (mut done, says_done) = pipe()?;
        let child = fork(tid)?;
        if child == 0 {
            drop(alive);
            exit(live(work, says_done, until));
        }
        drop(says_done);
        let mut answer = Vec::new();
        done.read_to_end(&mut answer)?;
        ensure!(!answer.is_empty(), "the child did not do its work");
        Ok(Child { tid: child, alive })
    }

    pub fn tid(&self) -> libc::pid_t {
        self.tid
    }

    /// Lets it exit; its tid is free afterwards.
    pub fn reap(self) -> Result<()> {
        drop(self.alive);
        wait_for(self.tid)
    }
}

fn live(
    work: impl FnOnce() -> Result<()>,
    mut says_done: PipeWriter,
    mut until: PipeReader,
) -> Result<()> {
    work()?;
    says_done.write_all(b"x")?;
    drop(says_done);
    until.read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Forks `count` children, `together` of them at a time. Each writes its own
/// page of `file`, lives for a few milliseconds and exits.
pub fn brief_children(file: &File, count: u64, together: u64) -> Result<()> {
    for n in 0..count {
        if n >= together {
            wait_for(-1)?;
        }
        if fork(None)? == 0 {
            exit(brief(file, n));
        }
    }
    for _ in 0..count.min(together) {
        wait_for(-1)?;
    }
    Ok(())
}

fn brief(file: &File, n: u64) -> Result<()> {
    let page = [0x5a_u8; BRIEF as usize];
    let offset = libc::off_t::try_from(n * BRIEF)?;
    // SAFETY: reads `page` only, which is as long as said.
    let written =
        unsafe { libc::pwrite(file.as_raw_fd(), page.as_ptr().cast(), page.len(), offset) };
    ensure!(
        usize::try_from(written) == Ok(page.len()),
        "wrote {written}"
    );
    let pause = libc::timespec {
        tv_sec: 0,
        tv_nsec: BRIEF_NS,
    };
    // SAFETY: reads `pause`; the rest of the time is not asked for.
    unsafe { libc::nanosleep(&pause, ptr::null_mut()) };
    Ok(())
}

/// fork(2), with a tid of our own choice (clone3, Linux 5.5).
fn fork(tid: Option<libc::pid_t>) -> Result<libc::pid_t> {
    // SAFETY: all of its fields are numbers, and 0 is "not wanted" for each.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.exit_signal = libc::SIGCHLD as u64;
    if let Some(tid) = &tid {
        args.set_tid = ptr::from_ref(tid) as u64;
        args.set_tid_size = 1;
    }
    // SAFETY: `args` and the tid it points to outlive the call. Without
    // CLONE_VM the child has memory of its own, and it is forked from a process
    // with one thread, so no other thread can hold a lock for ever.
    let child = unsafe { libc::syscall(libc::SYS_clone3, &args, size_of::<libc::clone_args>()) };
    ensure!(
        child >= 0,
        "clone3 with tid {tid:?}: {}",
        io::Error::last_os_error()
    );
    Ok(libc::pid_t::try_from(child)?)
}

/// Ends a forked child at once: it must not flush what its parent has open.
fn exit(end: Result<()>) -> ! {
    let status = match end {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("in a child: {error:#}");
            1
        }
    };
    // SAFETY: _exit(2) takes a number and does not come back.
    unsafe { libc::_exit(status) }
}

/// Reaps a child, any one for -1, which must have succeeded.
fn wait_for(child: libc::pid_t) -> Result<()> {
    let mut status = 0;
    // SAFETY: writes `status`.
    let reaped = unsafe { libc::waitpid(child, &mut status, 0) };
    ensure!(reaped > 0, io::Error::last_os_error());
    let well = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
    ensure!(well, "child {reaped} ended with {status:#x}");
    Ok(())
}
