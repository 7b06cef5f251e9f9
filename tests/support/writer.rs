//! The process under test: what this binary does when it is started as a writer.
//!
//! Protocol: it takes its name, waits for a line on standard input, does its
//! work, prints `done`, and lives on until standard input is closed.

use std::ffi::CString;
use std::fs::{File, OpenOptions, remove_file};
use std::io::{self, Read, stdin};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, bail, ensure};

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
            fill(&open(path, 0)?, offset.parse()?, len.parse()?, CHUNK, 0)
        }
        // Every other page, starting with page `first`.
        ["stripes", path, first, len] => {
            let first: u64 = first.parse()?;
            fill(
                &open(path, 0)?,
                first * PAGE as u64,
                len.parse()?,
                PAGE,
                PAGE,
            )
        }
        ["fsync", path, len] => {
            let file = open(path, 0)?;
            fill(&file, 0, len.parse()?, CHUNK, 0)?;
            Ok(file.sync_all()?)
        }
        ["commits", path, len] => commits(&open(path, 0)?, len.parse()?),
        ["range", path, len] => {
            let file = open(path, 0)?;
            fill(&file, 0, len.parse()?, CHUNK, 0)?;
            write_out(&file)
        }
        // Its first page again and again while all of it is written out.
        ["rewritten", path, len] => {
            let file = open(path, 0)?;
            fill(&file, 0, len.parse()?, CHUNK, 0)?;
            let written_out = AtomicBool::new(false);
            thread::scope(|scope| {
                let rewriter = scope.spawn(|| {
                    while !written_out.load(Ordering::Relaxed) {
                        fill(&file, 0, PAGE, PAGE, 0)?;
                    }
                    Ok(())
                });
                let result = write_out(&file);
                written_out.store(true, Ordering::Relaxed);
                let rewritten = rewriter.join().expect("it does not panic");
                result.and(rewritten)
            })?;
            // On a busy machine the rewriter may not have come while it was written.
            fill(&file, 0, PAGE, PAGE, 0)
        }
        ["files", dir, count, each] => {
            for number in 0..count.parse::<usize>()? {
                let path = Path::new(dir).join(number.to_string());
                let file = open(path.to_str().context("a path in UTF-8")?, 0)?;
                fill(&file, 0, each.parse()?, CHUNK, 0)?;
            }
            Ok(())
        }
        // Stays open until the writer exits.
        ["unlinked", path, len] => {
            let file = open(path, 0)?;
            fill(&file, 0, len.parse()?, CHUNK, 0)?;
            remove_file(path)?;
            std::mem::forget(file);
            Ok(())
        }
        ["direct", path, len] => fill(&open(path, libc::O_DIRECT)?, 0, len.parse()?, CHUNK, 0),
        ["direct_on_first_cpu", path, len] => {
            stay_on_first_cpu()?;
            work(comm, &["direct", path, len])
        }
        // By turns to two files, to the second one at `offset` each time.
        ["direct_by_turns", first, second, offset, len] => {
            let files = [first, second].map(|path| open(path, libc::O_DIRECT));
            let [first, second] = files;
            let (first, second, offset) = (first?, second?, offset.parse()?);
            for begin in (0..len.parse()?).step_by(CHUNK) {
                fill(&first, begin as u64, CHUNK, CHUNK, 0)?;
                fill(&second, offset, CHUNK, CHUNK, 0)?;
            }
            Ok(())
        }
        ["mmap", path, len] => store(&open(path, 0)?, len.parse()?),
        ["threads", dir, ref lens @ ..] => threads(comm, dir, lens),
        ["read", path] => {
            io::copy(&mut File::open(path)?, &mut io::sink())?;
            Ok(())
        }
        ["evict", path] => evict(&File::open(path)?),
        ["unlink", path] => Ok(remove_file(path)?),
        ["syncfs", ref paths @ ..] => {
            for path in paths {
                syncfs(&File::open(path)?)?;
            }
            Ok(())
        }
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

/// Opens a file to read and write, and creates it where it is not there.
pub fn open(path: &str, flags: i32) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .custom_flags(flags)
        .open(path)
        .with_context(|| format!("cannot open {path}"))
}

/// Writes `len` bytes from `offset`, leaving `gap` bytes out after each `chunk`.
pub fn fill(file: &File, mut offset: u64, len: usize, chunk: usize, gap: usize) -> Result<()> {
    // O_DIRECT wants the buffer aligned; nobody else minds.
    let buffer = vec![0x5a; chunk + PAGE];
    let start = buffer.as_ptr().align_offset(PAGE);
    let aligned = &buffer[start..start + chunk];
    let mut left = len;
    while left > 0 {
        let now = left.min(chunk);
        file.write_all_at(&aligned[..now], offset)?;
        offset += (now + gap) as u64;
        left -= now;
    }
    Ok(())
}

/// Pieces of 64 KiB, each of which must be on the disk before the next one.
fn commits(file: &File, len: u64) -> Result<()> {
    let piece = 16 * PAGE;
    for offset in (0..len).step_by(piece) {
        fill(file, offset, piece, piece, 0)?;
        file.sync_data()?;
    }
    Ok(())
}

/// Has the file's pages written, and waits; nothing else of it.
fn write_out(file: &File) -> Result<()> {
    let flags = libc::SYNC_FILE_RANGE_WAIT_BEFORE
        | libc::SYNC_FILE_RANGE_WRITE
        | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: a file descriptor we hold open; 0, 0 is the whole file.
    let done = unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, flags) };
    ensure!(done == 0, io::Error::last_os_error());
    Ok(())
}

/// Stores one byte into every page of a mapping.
fn store(file: &File, len: usize) -> Result<()> {
    file.set_len(len as u64)?;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new shared mapping of a file we hold open; no address is asked for.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            len,
            protection,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    ensure!(start != libc::MAP_FAILED, io::Error::last_os_error());
    for offset in (0..len).step_by(PAGE) {
        // SAFETY: `offset < len`, inside the mapping, which nobody else uses.
        unsafe { start.cast::<u8>().add(offset).write_volatile(7) };
    }
    // SAFETY: exactly the mapping made above; nothing points into it any more.
    let done = unsafe { libc::munmap(start, len) };
    ensure!(done == 0, io::Error::last_os_error());
    Ok(())
}

/// One thread for each length, named `comm` and its number, with its own file.
/// Prints `thread NUMBER TID` for each.
fn threads(comm: &str, dir: &str, lens: &[&str]) -> Result<()> {
    thread::scope(|scope| {
        let write = |number: usize, len: &str| -> Result<()> {
            take_name(&format!("{comm}{number}"))?;
            // SAFETY: gettid(2) takes nothing and always succeeds.
            println!("thread {number} {}", unsafe { libc::gettid() });
            let path = Path::new(dir).join(number.to_string());
            let file = open(path.to_str().context("a path in UTF-8")?, 0)?;
            fill(&file, 0, len.parse()?, CHUNK, 0)
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

/// Drops the file's clean pages from the page cache.
fn evict(file: &File) -> Result<()> {
    // SAFETY: a file descriptor we hold open; 0, 0 is the whole file.
    let error = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    ensure!(error == 0, io::Error::from_raw_os_error(error));
    Ok(())
}

fn syncfs(file: &File) -> Result<()> {
    // SAFETY: a file descriptor we hold open.
    let done = unsafe { libc::syncfs(file.as_raw_fd()) };
    ensure!(done == 0, io::Error::last_os_error());
    Ok(())
}
