//! Writers with more tasks than the tracer has slots.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::PAGE;
use super::pieces::{fill_page, open};

/// Small: there are tens of thousands of threads.
const STACK: usize = 64 << 10;

/// Starts `rate` children a second. Each appends a page to the file and exits. Prints how many
/// there were.
pub fn forks(path: &str, rate: u64, seconds: u64) -> Result<()> {
    let file = open(path, libc::O_APPEND)?;
    let page = [0x5a; PAGE];
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < Duration::from_secs(seconds) {
        let due = start + Duration::from_micros(count * 1_000_000 / rate);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // SAFETY: the process has one thread. The child only calls write(2) and _exit(2).
        match unsafe { libc::fork() } {
            -1 => return Err(io::Error::last_os_error()).context("fork"),
            0 => {
                let written = (&file).write_all(&page).is_ok();
                // SAFETY: ends the child without its destructors.
                unsafe { libc::_exit(i32::from(!written)) }
            }
            _ => count += 1,
        }
        reap(libc::WNOHANG)?;
    }
    reap(0)?;
    println!("forks {count}");
    Ok(())
}

/// Takes the children that have exited; with no flags, waits for all.
fn reap(flags: i32) -> Result<()> {
    loop {
        let mut status = 0;
        // SAFETY: the status outlives the call.
        match unsafe { libc::waitpid(-1, &raw mut status, flags) } {
            ..=0 => return Ok(()),
            _ => ensure!(status == 0, "a child ended with {status}"),
        }
    }
}

/// Runs threads that are small, and all there at once.
fn threads(count: u64, work: impl Fn(u64) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let work = &work;
        let start = |number| {
            thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, move || work(number))
                .context("starting a thread")
        };
        let running: Vec<_> = (0..count).map(start).collect::<Result<_>>()?;
        for thread in running {
            thread.join().expect("a writer's thread panicked")?;
        }
        Ok(())
    })
}

/// The first `active` threads write a page each; all exit together.
pub fn idle_threads(path: &str, count: u64, active: u64) -> Result<()> {
    let file = open(path, 0)?;
    let all = Barrier::new(usize::try_from(count)?);
    threads(count, |number| {
        let done = match number < active {
            true => fill_page(&file, number * PAGE as u64),
            false => Ok(()),
        };
        all.wait();
        done
    })
}

/// Appends a page every few milliseconds until there is a file `then`. Prints the bytes.
pub fn until(file: &File, then: &Path) -> Result<()> {
    let page = [0x5a; PAGE];
    let mut len = 0;
    while !then.exists() {
        file.write_all_at(&page, len)?;
        len += PAGE as u64;
        if len % (256 * PAGE as u64) == 0 {
            file.sync_data()?;
        }
        thread::sleep(Duration::from_millis(2));
    }
    println!("wrote {len}");
    Ok(())
}
