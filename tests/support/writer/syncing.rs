//! What a writer does with existing pages: it has them written, keeps or drops them.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::PAGE;
use super::pieces::{Pieces, fill, fill_page, open};

/// How long a file system may still be in use when its writers have exited.
const STILL_IN_USE: Duration = Duration::from_secs(5);

/// Writes pieces of 64 KiB, each of which must be on the disk before the next one.
pub fn commits(file: &File, len: u64) -> Result<()> {
    let piece = 16 * PAGE;
    for offset in (0..len).step_by(piece) {
        let one = Pieces {
            offset,
            len: piece,
            piece,
            gap: 0,
        };
        fill(file, one)?;
        file.sync_data()?;
    }
    Ok(())
}

/// Two fsyncs, three fdatasyncs, four writes with O_SYNC and one msync. Some have nothing to write.
pub fn by_each_call(path: &str) -> Result<()> {
    let file = open(path, 0)?;
    fill_page(&file, 0)?;
    for _ in 0..2 {
        file.sync_all()?;
    }
    for _ in 0..3 {
        file.sync_data()?;
    }
    let synced = open(path, libc::O_SYNC)?;
    for page in 0..4 {
        fill_page(&synced, page * PAGE as u64)?;
    }
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
    // SAFETY: maps a page that the file has at a place that the kernel chooses, writes to it, and
    // forgets it.
    let done = unsafe {
        let page = libc::mmap(
            std::ptr::null_mut(),
            PAGE,
            protection,
            flags,
            file.as_raw_fd(),
            0,
        );
        ensure!(page != libc::MAP_FAILED, io::Error::last_os_error());
        page.cast::<u8>().write_volatile(1);
        let done = libc::msync(page, PAGE, libc::MS_SYNC);
        libc::munmap(page, PAGE);
        done
    };
    ensure!(done == 0, io::Error::last_os_error());
    Ok(())
}

/// Writes the file's pages back, without its metadata, and waits.
pub fn write_out(file: &File) -> Result<()> {
    let flags = libc::SYNC_FILE_RANGE_WAIT_BEFORE
        | libc::SYNC_FILE_RANGE_WRITE
        | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: a file descriptor we hold open; 0, 0 is the whole file.
    let done = unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, flags) };
    ensure!(done == 0, io::Error::last_os_error());
    Ok(())
}

/// Drops the file's clean pages from the page cache.
pub fn evict(file: &File) -> Result<()> {
    // SAFETY: a file descriptor we hold open; 0, 0 is the whole file.
    let error = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    ensure!(error == 0, io::Error::from_raw_os_error(error));
    Ok(())
}

pub fn syncfs(file: &File) -> Result<()> {
    // SAFETY: a file descriptor we hold open.
    let done = unsafe { libc::syncfs(file.as_raw_fd()) };
    ensure!(done == 0, io::Error::last_os_error());
    Ok(())
}

/// Unmounts, as soon as nothing uses the file system. A writer that has just exited may still
/// have a file open: the kernel closes it a little later.
pub fn unmount(dir: &str) -> Result<()> {
    let dir = CString::new(dir)?;
    let begin = Instant::now();
    loop {
        // SAFETY: `dir` is a NUL-terminated string that outlives the call.
        if unsafe { libc::umount2(dir.as_ptr(), 0) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        let in_use = error.raw_os_error() == Some(libc::EBUSY);
        if !in_use || begin.elapsed() > STILL_IN_USE {
            return Err(error.into());
        }
        sleep(Duration::from_millis(50));
    }
}

/// Syncs the file and its file system alternately for this long.
pub fn sync_again_and_again(file: &File, time: Duration) -> Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < time {
        file.sync_data()?;
        syncfs(file)?;
    }
    Ok(())
}

/// Changes the allocation of each piece, and leaves the file's size as it is.
pub fn allocate(file: &File, pieces: Pieces, mode: i32) -> Result<()> {
    let mode = mode | libc::FALLOC_FL_KEEP_SIZE;
    for (offset, len) in pieces.ranges() {
        let (offset, len) = (offset.try_into()?, len.try_into()?);
        // SAFETY: a file descriptor we hold open.
        let done = unsafe { libc::fallocate(file.as_raw_fd(), mode, offset, len) };
        ensure!(done == 0, io::Error::last_os_error());
    }
    Ok(())
}
