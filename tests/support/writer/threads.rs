//! Writers of more than one thread.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result};

use super::pieces::{fill_page, fill_whole, open};
use super::syncing::write_out;
use super::take_name;

/// How many threads of a crowd live at a time.
const AT_ONCE: u64 = 8;

/// One thread for each length, named `comm` and its number, with its own file.
/// Prints `thread NUMBER TID` for each.
pub fn threads(comm: &str, dir: &str, lens: &[&str]) -> Result<()> {
    thread::scope(|scope| {
        let write = |number: usize, len: &str| -> Result<()> {
            take_name(&format!("{comm}{number}"))?;
            // SAFETY: gettid(2) takes nothing and always succeeds.
            println!("thread {number} {}", unsafe { libc::gettid() });
            let path = Path::new(dir).join(number.to_string());
            let file = open(path.to_str().context("a path in UTF-8")?, 0)?;
            fill_whole(&file, len.parse()?)
        };
        let running: Vec<_> = (0..)
            .zip(lens)
            .map(|(number, len)| scope.spawn(move || write(number, len)))
            .collect();
        for thread in running {
            thread.join().expect("a writer's thread panicked")?;
        }
        Ok(())
    })
}

/// Does each piece of work in a thread of its own, which ends with it.
pub fn crowd(count: u64, work: impl Fn(u64) -> Result<()> + Sync) -> Result<()> {
    for first in (0..count).step_by(AT_ONCE as usize) {
        thread::scope(|scope| {
            let work = &work;
            let numbers = first..count.min(first + AT_ONCE);
            let running: Vec<_> = numbers
                .map(|number| scope.spawn(move || work(number)))
                .collect();
            for thread in running {
                thread.join().expect("a writer's thread panicked")?;
            }
            anyhow::Ok(())
        })?;
    }
    Ok(())
}

/// Rewrites a file's first page while the whole file is written back.
pub fn rewrite_under_writeback(path: &str, len: usize) -> Result<()> {
    let file = open(path, 0)?;
    fill_whole(&file, len)?;
    let written_out = AtomicBool::new(false);
    thread::scope(|scope| {
        let rewriter = scope.spawn(|| {
            while !written_out.load(Ordering::Relaxed) {
                fill_page(&file, 0)?;
            }
            anyhow::Ok(())
        });
        let result = write_out(&file);
        written_out.store(true, Ordering::Relaxed);
        let rewritten = rewriter.join().expect("it does not panic");
        result.and(rewritten)
    })?;
    // On a busy machine, the rewriter may not have run during the writeback.
    fill_page(&file, 0)
}
