//! The ways to write to the page cache, apart from the plain one.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::FileExt;

use anyhow::{Result, bail, ensure};

use super::PAGE;
use super::pieces::{Pieces, fill, open};

/// `RWF_DONTCACHE`, since 6.14.
const DONTCACHE: libc::c_int = 0x80;

/// Writes these pieces in the named way.
pub fn write_by(way: &str, path: &str, pieces: Pieces) -> Result<()> {
    match way {
        "dsync" => fill(&open(path, libc::O_DSYNC)?, pieces),
        "sync" => fill(&open(path, libc::O_SYNC)?, pieces),
        "append" => append(&open(path, libc::O_APPEND)?, pieces),
        "mmap" => store(&open(path, 0)?, pieces),
        "partial" => partial(&open(path, 0)?, pieces),
        "vectored" => vectored(&open(path, 0)?, pieces),
        "dontcache" => dontcache(&open(path, 0)?, pieces),
        "splice" => splice(&open(path, 0)?, pieces),
        "sendfile" => sendfile(&open(path, 0)?, pieces),
        _ => bail!("no such way"),
    }
}

/// Writes the same lengths at the end of the file.
fn append(mut file: &File, pieces: Pieces) -> Result<()> {
    let buffer = vec![0x5a; pieces.piece];
    for (_, len) in pieces.ranges() {
        file.write_all(&buffer[..len])?;
    }
    Ok(())
}

/// Writes a few bytes inside each page.
fn partial(file: &File, pieces: Pieces) -> Result<()> {
    for (offset, len) in pieces.ranges() {
        for page in (0..len).step_by(PAGE) {
            file.write_all_at(&[0x5a; 100], offset + page as u64 + 1000)?;
        }
    }
    Ok(())
}

/// Stores one byte into every page of a mapping.
pub fn store(file: &File, pieces: Pieces) -> Result<()> {
    let end = pieces
        .ranges()
        .last()
        .map_or(0, |(offset, len)| offset as usize + len);
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new shared mapping of a file we hold open; no address is asked for.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            end,
            protection,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    ensure!(start != libc::MAP_FAILED, io::Error::last_os_error());
    for (offset, len) in pieces.ranges() {
        for page in (0..len).step_by(PAGE) {
            // SAFETY: below `end`, inside the mapping, which nothing else uses.
            unsafe {
                start
                    .cast::<u8>()
                    .add(offset as usize + page)
                    .write_volatile(7)
            };
        }
    }
    // SAFETY: exactly the mapping made above; nothing points into it any more.
    let done = unsafe { libc::munmap(start, end) };
    ensure!(done == 0, io::Error::last_os_error());
    Ok(())
}

/// Writes each piece from three buffers that do not end at page boundaries.
fn vectored(file: &File, pieces: Pieces) -> Result<()> {
    let mut buffer = vec![0x5a; pieces.piece];
    for (offset, len) in pieces.ranges() {
        let (first, rest) = buffer[..len].split_at_mut(len / 3 + 1);
        let (second, third) = rest.split_at_mut(len / 3 + 1);
        whole(
            len,
            written_at(file, &mut [first, second, third], offset, 0)?,
        )?;
    }
    Ok(())
}

/// Writes pages that leave the cache as soon as they are written. If the kernel or the
/// file system does not support that, they are written in the plain way.
fn dontcache(file: &File, pieces: Pieces) -> Result<()> {
    let mut buffer = vec![0x5a; pieces.piece];
    for (offset, len) in pieces.ranges() {
        match written_at(file, &mut [&mut buffer[..len]], offset, DONTCACHE) {
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                file.write_all_at(&buffer[..len], offset)?;
            }
            written => whole(len, written?)?,
        }
    }
    Ok(())
}

/// pwritev2(2).
fn written_at(
    file: &File,
    buffers: &mut [&mut [u8]],
    offset: u64,
    flags: libc::c_int,
) -> io::Result<usize> {
    let vectors: Vec<_> = buffers
        .iter_mut()
        .map(|buffer| libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        })
        .collect();
    let (fd, count) = (file.as_raw_fd(), vectors.len() as libc::c_int);
    // SAFETY: `count` vectors, each of a buffer that outlives the call.
    let written =
        unsafe { libc::pwritev2(fd, vectors.as_ptr(), count, offset as libc::off_t, flags) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

/// Writes from a pipe.
fn splice(file: &File, pieces: Pieces) -> Result<()> {
    let (reader, mut writer) = io::pipe()?;
    let buffer = vec![0x5a; pieces.piece];
    for (offset, len) in pieces.ranges() {
        // No more than a pipe holds: otherwise this would wait for itself.
        ensure!(len <= 16 * PAGE, "a piece larger than a pipe");
        writer.write_all(&buffer[..len])?;
        let (mut at, mut left) = (offset as libc::off64_t, len);
        while left > 0 {
            let (from, to) = (reader.as_raw_fd(), file.as_raw_fd());
            // SAFETY: both descriptors are ours, and `at` outlives the call.
            let moved =
                unsafe { libc::splice(from, std::ptr::null_mut(), to, &raw mut at, left, 0) };
            let moved = usize::try_from(moved).map_err(|_| io::Error::last_os_error())?;
            ensure!(moved > 0, "the pipe is empty");
            left -= moved;
        }
    }
    Ok(())
}

/// Writes from another file.
fn sendfile(mut file: &File, pieces: Pieces) -> Result<()> {
    // SAFETY: a name that ends with NUL; no flags.
    let source = unsafe { libc::memfd_create(c"source".as_ptr(), 0) };
    ensure!(source >= 0, io::Error::last_os_error());
    // SAFETY: a new descriptor that nothing else uses.
    let source = unsafe { File::from_raw_fd(source) };
    source.write_all_at(&vec![0x5a; pieces.piece], 0)?;
    for (offset, len) in pieces.ranges() {
        file.seek(SeekFrom::Start(offset))?;
        let (from, to) = (source.as_raw_fd(), file.as_raw_fd());
        let mut at = 0;
        // SAFETY: both descriptors are ours, and `at` outlives the call.
        let sent = unsafe { libc::sendfile(to, from, &raw mut at, len) };
        let sent = usize::try_from(sent).map_err(|_| io::Error::last_os_error())?;
        whole(len, sent)?;
    }
    Ok(())
}

fn whole(len: usize, written: usize) -> Result<()> {
    ensure!(written == len, "{written} of {len} bytes were written");
    Ok(())
}
