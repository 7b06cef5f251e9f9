//! A page of a file that is mapped and dirty.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::{io, ptr};

use anyhow::{Result, ensure};

use super::support::writer::open;

const PAGE: usize = 4096;
const ACCESS: libc::c_int = libc::PROT_READ | libc::PROT_WRITE;

/// The page, at an address.
pub struct Mapped {
    at: *mut u8,
    _file: File,
}

impl Mapped {
    /// Maps the first page of a file and writes to it.
    pub fn new(path: &str) -> Result<Mapped> {
        let file = open(path, 0)?;
        file.set_len(PAGE as u64)?;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let at = unsafe {
            let (shared, fd) = (libc::MAP_SHARED, file.as_raw_fd());
            libc::mmap(ptr::null_mut(), PAGE, ACCESS, shared, fd, 0)
        };
        ensure!(at != libc::MAP_FAILED, io::Error::last_os_error());
        let at = at.cast::<u8>();
        // SAFETY: the page was just mapped for writing.
        unsafe { at.write_volatile(1) };
        Ok(Mapped { at, _file: file })
    }

    /// Maps memory over it. On FUSE the kernel writes the page first, and waits for the server
    /// while it holds the lock of this process's memory (`fuse_vma_close` of fs/fuse/file.c).
    pub fn map_over(self) -> Result<()> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // SAFETY: it takes the place of a page that nobody else knows.
        let at = unsafe { libc::mmap(self.at.cast(), PAGE, ACCESS, flags, -1, 0) };
        ensure!(at != libc::MAP_FAILED, io::Error::last_os_error());
        Ok(())
    }
}
