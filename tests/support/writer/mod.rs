//! The process under test: what this binary does when it is started as a writer.
//!
//! Protocol: it takes its name, waits for a line on standard input, does its
//! work, prints `done`, and lives on until standard input is closed.

mod crowds;
mod journaled;
mod pieces;
mod random;
mod syncing;
mod threads;
mod turns;
mod uring;
mod ways;

use std::ffi::CString;
use std::fs::{File, remove_file};
use std::io::{self, Read, Write, stdin};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use pieces::{Pieces, fill, fill_page};
pub use pieces::{fill_whole, open};

/// The environment variable whose value is the writer's command name.
pub const WRITER: &str = "IOTOP_TRACE_WRITER";

const PAGE: usize = 4096;
const CHUNK: usize = 1 << 20;

/// Acts as the writer `comm`, doing what the arguments say.
pub fn act(comm: &str, args: &[String]) -> Result<()> {
    take_name(comm)?;
    let mut line = String::new();
    if stdin().read_line(&mut line)? == 0 {
        return Ok(());
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    work(comm, &args).with_context(|| format!("{comm}: {args:?}"))?;
    println!("done");
    stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Does one piece of work, as the arguments say.
pub fn work(comm: &str, args: &[&str]) -> Result<()> {
    match *args {
        ["write", path, offset, len] => {
            let (offset, whole) = (offset.parse()?, Pieces::whole(len.parse()?));
            fill(&open(path, 0)?, Pieces { offset, ..whole })
        }
        ["pieces", path, offset, len, piece, gap, ref then @ ..] => {
            let file = open(path, 0)?;
            fill(&file, Pieces::parse([offset, len, piece, gap])?)?;
            match then {
                [] => Ok(()),
                ["fsync"] => Ok(file.sync_all()?),
                _ => bail!("nothing to do behind the pieces"),
            }
        }
        ["pieces_by", way, path, offset, len, piece, gap] => {
            ways::write_by(way, path, Pieces::parse([offset, len, piece, gap])?)
        }
        // One of several parts of a file's blocks, in an order without a pattern.
        ["shuffled", path, len, block, part, parts] => {
            let (part, parts) = (part.parse()?, parts.parse()?);
            random::shuffled(&open(path, 0)?, len.parse()?, block.parse()?, part, parts)
        }
        // The even or the odd pages of a file, for some seconds.
        ["rewrites", path, len, odd, seconds] => {
            let (odd, time) = (odd == "odd", Duration::from_secs(seconds.parse()?));
            random::rewrite(&open(path, 0)?, len.parse()?, odd, time)
        }
        ["syncs", path, seconds] => {
            let time = Duration::from_secs(seconds.parse()?);
            syncing::sync_again_and_again(&open(path, 0)?, time)
        }
        // Each byte is written, and then its file system is synchronized.
        ["synced_appends", path, count] => {
            let mut file = open(path, libc::O_APPEND)?;
            for _ in 0..count.parse()? {
                file.write_all(b"x")?;
                syncing::syncfs(&file)?;
            }
            Ok(())
        }
        // Pieces at the end of the file, wherever that is by then.
        ["appends", path, len, piece] => {
            let piece = vec![0x5a; piece.parse()?];
            let mut file = open(path, libc::O_APPEND)?;
            for _ in 0..len.parse::<usize>()? / piece.len() {
                file.write_all(&piece)?;
            }
            Ok(())
        }
        ["fsync", path, len] => {
            let file = open(path, 0)?;
            fill_whole(&file, len.parse()?)?;
            Ok(file.sync_all()?)
        }
        ["synced_by_each_call", path] => syncing::by_each_call(path),
        ["commits", path, len] => syncing::commits(&open(path, 0)?, len.parse()?),
        ["range", path, len] => {
            let file = open(path, 0)?;
            fill_whole(&file, len.parse()?)?;
            syncing::write_out(&file)
        }
        ["rewritten", path, len] => threads::rewrite_under_writeback(path, len.parse()?),
        // The first page of each file, each by a thread of its own.
        ["crowd_of_files", dir, first, count] => {
            let first: u64 = first.parse()?;
            threads::crowd(count.parse()?, |number| {
                fill_page(&open(&format!("{dir}/{}", first + number), 0)?, 0)
            })
        }
        // A page of each piece of one file, each by a thread of its own.
        ["crowd", path, count, piece] => {
            let (file, piece): (_, u64) = (open(path, 0)?, piece.parse()?);
            threads::crowd(count.parse()?, |number| fill_page(&file, number * piece))
        }
        // Children, so many a second for some seconds. Each appends a page to one file.
        ["forks", path, rate, seconds] => crowds::forks(path, rate.parse()?, seconds.parse()?),
        // Threads of which some write a page of their own, and which exit all at once.
        ["idle_threads", path, count, active] => {
            crowds::idle_threads(path, count.parse()?, active.parse()?)
        }
        // A page of a file again and again, until the other file is there.
        ["until", path, then] => crowds::until(&open(path, 0)?, Path::new(then)),
        ["files", dir, count, each] => {
            for number in 0..count.parse::<usize>()? {
                let path = Path::new(dir).join(number.to_string());
                let file = open(path.to_str().context("a path in UTF-8")?, 0)?;
                fill_whole(&file, each.parse()?)?;
            }
            Ok(())
        }
        // The file stays open until the writer exits.
        ["unlinked", path, len] => {
            let file = open(path, 0)?;
            fill_whole(&file, len.parse()?)?;
            remove_file(path)?;
            std::mem::forget(file);
            Ok(())
        }
        ["direct", path, len] => fill_whole(&open(path, libc::O_DIRECT)?, len.parse()?),
        ["direct_pages", path, len] => {
            let pages = Pieces {
                piece: PAGE,
                ..Pieces::whole(len.parse()?)
            };
            fill(&open(path, libc::O_DIRECT)?, pages)
        }
        ["uring", path, len, depth, threads] => {
            let file = open(path, libc::O_DIRECT)?;
            uring::write(&file, len.parse()?, depth.parse()?, threads.parse()?)
        }
        ["direct_on_first_cpu", path, len] => {
            stay_on_first_cpu()?;
            work(comm, &["direct", path, len])
        }
        // Alternates between two files, and writes to the second one at `offset` each
        // time.
        ["direct_by_turns", first, second, offset, len] => {
            let files = [first, second].map(|path| open(path, libc::O_DIRECT));
            let [first, second] = files;
            let (first, second, offset) = (first?, second?, offset.parse::<u64>()?);
            for begin in (0..len.parse()?).step_by(CHUNK) {
                for (file, offset) in [(&first, begin), (&second, offset)] {
                    let whole = Pieces::whole(CHUNK);
                    fill(file, Pieces { offset, ..whole })?;
                }
            }
            Ok(())
        }
        ["mmap", path, len] => {
            let file = open(path, 0)?;
            file.set_len(len.parse()?)?;
            ways::store(&file, Pieces::whole(len.parse()?))
        }
        ["threads", dir, ref lens @ ..] => threads::threads(comm, dir, lens),
        ["read", path] => {
            io::copy(&mut File::open(path)?, &mut io::sink())?;
            Ok(())
        }
        ["evict", path] => syncing::evict(&File::open(path)?),
        ["reads", path, milliseconds] => {
            let time = Duration::from_millis(milliseconds.parse()?);
            journaled::read_again_and_again(path, time)
        }
        // Appends to a file, each of which must be on the disk before the next one.
        ["fsync_appends", path, count, piece] => {
            let mut append = journaled::appends(path, piece.parse()?)?;
            (0..count.parse()?).try_for_each(|_| append())
        }
        ["database", dir, count] => journaled::database(Path::new(dir), count.parse()?),
        ["storm", dir, count, len] => {
            let mut storm = journaled::Storm::new(dir, len.parse()?);
            storm.go_on(count.parse()?)
        }
        // Two threads by turns: the first one does `more` pieces of work, the second one
        // one, and so on.
        ["lockstep", dir, rounds, more, piece] => {
            let work = |number: usize| {
                let path = format!("{dir}/{number}");
                journaled::appends(&path, piece.parse()?)
            };
            turns::by_turns(comm, rounds.parse()?, more.parse()?, work)
        }
        ["storms", dir, rounds, more] => {
            let work = |number: usize| {
                let mut storm = journaled::Storm::new(&format!("{dir}/{number}"), 0);
                Ok(move || storm.go_on(journaled::STORM_TURN))
            };
            turns::by_turns(comm, rounds.parse()?, more.parse()?, work)
        }
        ["truncate", path, len] => Ok(open(path, 0)?.set_len(len.parse()?)?),
        ["punch", path, offset, len, piece, gap] => {
            let pieces = Pieces::parse([offset, len, piece, gap])?;
            syncing::allocate(&open(path, 0)?, pieces, libc::FALLOC_FL_PUNCH_HOLE)
        }
        ["zero", path, offset, len, piece, gap] => {
            let pieces = Pieces::parse([offset, len, piece, gap])?;
            syncing::allocate(&open(path, 0)?, pieces, libc::FALLOC_FL_ZERO_RANGE)
        }
        ["sync_file", path] => Ok(open(path, 0)?.sync_all()?),
        ["sync_directory", path] => Ok(File::open(path)?.sync_all()?),
        ["unlink", path] => Ok(remove_file(path)?),
        ["syncfs", ref paths @ ..] => {
            for path in paths {
                syncing::syncfs(&File::open(path)?)?;
            }
            Ok(())
        }
        ["umount", dir] => syncing::unmount(dir),
        ["sync"] => {
            // SAFETY: sync(2) takes nothing and always succeeds.
            unsafe { libc::sync() };
            Ok(())
        }
        _ => bail!("not a writer's work"),
    }
}

/// Names the calling thread.
pub fn take_name(comm: &str) -> Result<()> {
    ensure!(comm.len() < 16, "{comm} is longer than a command name");
    let name = CString::new(comm)?;
    // SAFETY: `name` is a NUL-terminated string that outlives the call.
    let done = unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    ensure!(done == 0, io::Error::last_os_error());
    Ok(())
}

fn stay_on_first_cpu() -> Result<()> {
    // SAFETY: all zeros are an empty set.
    let mut cpus: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: CPU 0 is within the set.
    unsafe { libc::CPU_SET(0, &mut cpus) };
    // SAFETY: the set is as large as is said.
    let done = unsafe { libc::sched_setaffinity(0, size_of_val(&cpus), &raw const cpus) };
    ensure!(done == 0, io::Error::last_os_error());
    Ok(())
}
