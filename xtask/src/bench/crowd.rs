//! A crowd to look at: processes with many threads, most of them idle.
//!
//! All processes read the same pipe. It closes when the process that started them ends,
//! however it ends. Then they end too, and none is left behind.

use std::fs::File;
use std::io::{self, BufRead, BufReader, PipeWriter, pipe};
use std::os::unix::fs::FileExt;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// How long an active thread rests between a write and a read and the next.
const REST: Duration = Duration::from_millis(250);

/// Enough for a page and a few calls.
const STACK: usize = 32 << 10;

const PAGE: usize = 4096;

#[derive(clap::Args)]
pub struct Options {
    /// Threads of this process, the first included
    #[arg(long)]
    threads: usize,
    /// How many of them write and read
    #[arg(long)]
    active: usize,
}

/// Lives as one process of a crowd.
pub fn run(options: &Options) -> Result<()> {
    let active = options.active;
    let file = match active {
        0 => None,
        _ => Some(tempfile::tempfile_in("/dev/shm").context("could not create a file in memory")?),
    };
    // The threads live for as long as the process, and so does their file.
    let file: &'static Option<File> = Box::leak(Box::new(file));
    for number in 1..options.threads {
        let builder = thread::Builder::new().stack_size(STACK);
        let live = move || {
            loop {
                match file {
                    Some(file) if number < active => work(file, number),
                    _ => thread::park(),
                }
            }
        };
        builder
            .spawn(live)
            .with_context(|| format!("could not start thread {number}: --most sets a limit"))?;
    }
    println!("ready");
    while !is_over(active > 0)? {
        if let Some(file) = file {
            touch(file, 0)?;
        }
    }
    Ok(())
}

fn work(file: &File, number: usize) {
    // If memory is full, the work ends, and the figures show it.
    if let Err(error) = touch(file, number) {
        eprintln!("a thread of the crowd: {error}");
        thread::park();
    }
    thread::sleep(REST);
}

/// A small write and read of the thread's own page.
fn touch(file: &File, number: usize) -> io::Result<()> {
    let mut page = [0x5a; PAGE];
    let offset = (number * PAGE) as u64;
    file.write_all_at(&page, offset)?;
    file.read_exact_at(&mut page, offset)
}

/// Waits for the end of standard input; no longer than a rest if it has work.
fn is_over(active: bool) -> io::Result<bool> {
    let mut input = libc::pollfd {
        fd: libc::STDIN_FILENO,
        events: libc::POLLIN,
        revents: 0,
    };
    let rest = if active { REST.as_millis() as i32 } else { -1 };
    // SAFETY: reads and writes the one pollfd that it is given.
    match unsafe { libc::poll(&mut input, 1, rest) } {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(io::Error::last_os_error()),
    }
}

/// How many processes and threads, and how many of them are active.
#[derive(Clone, Copy)]
pub struct Shape {
    pub processes: usize,
    /// Of each process.
    pub threads: usize,
    /// Of the whole crowd.
    pub active: usize,
}

impl Shape {
    pub fn tasks(self) -> usize {
        self.processes * self.threads
    }

    /// Active threads of one of the processes: the first have the remainder.
    fn active_in(self, process: usize) -> usize {
        let remainder = self.active % self.processes;
        self.active / self.processes + usize::from(process < remainder)
    }
}

/// A running crowd. Dropping it ends it.
pub struct Crowd {
    processes: Vec<Child>,
    alive: Option<PipeWriter>,
}

impl Crowd {
    /// Starts it and waits until every thread is there.
    pub fn start(shape: Shape) -> Result<Crowd> {
        let xtask = std::env::current_exe().context("could not find this program's own file")?;
        let (until, alive) = pipe().context("could not make a pipe")?;
        let (says, ready) = pipe().context("could not make a pipe")?;
        let mut crowd = Crowd {
            processes: Vec::new(),
            alive: Some(alive),
        };
        for process in 0..shape.processes {
            let child = Command::new(&xtask)
                .args(["bench", "crowd", "--threads", &shape.threads.to_string()])
                .args(["--active", &shape.active_in(process).to_string()])
                .stdin(until.try_clone()?)
                .stdout(ready.try_clone()?)
                .spawn()
                .context("could not start a process of the crowd")?;
            crowd.processes.push(child);
        }
        // Only the processes hold it now, so it closes if all of them end.
        drop(ready);
        let mut lines = BufReader::new(says).lines();
        for process in 0..shape.processes {
            let line = lines.next().transpose()?;
            ensure!(line.is_some(), "only {process} processes of the crowd live");
            crowd.all_live()?;
        }
        Ok(crowd)
    }

    /// Fails if a process has ended too early.
    pub fn all_live(&mut self) -> Result<()> {
        for process in &mut self.processes {
            if let Some(status) = process.try_wait()? {
                bail!("a process of the crowd has ended: {status}");
            }
        }
        Ok(())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        drop(self.alive.take());
        for process in &mut self.processes {
            // Fails only when it has been waited for already.
            drop(process.wait());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Shape;

    #[test]
    fn all_active_threads_are_given_to_a_process() {
        for (processes, threads, active) in [(100, 1, 5), (100, 10, 50), (7, 100, 35), (3, 1, 0)] {
            let shape = Shape {
                processes,
                threads,
                active,
            };
            let given: usize = (0..processes).map(|n| shape.active_in(n)).sum();
            assert_eq!(given, active);
            assert!((0..processes).all(|n| shape.active_in(n) <= threads));
        }
    }
}
