//! Swap space on a disk.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result};

use super::disk::Disk;

const PAGE: u64 = 4096;

/// Swap space that is in use. Dropping it ends that, and reads back what is still needed.
pub struct Swap(CString);

impl Swap {
    /// Makes and uses swap space of `size` bytes.
    pub fn on(disk: &Disk, size: u64) -> Result<Swap> {
        let node = OpenOptions::new().write(true).open(disk.path())?;
        write_header(&node, size)?;
        let path = CString::new(disk.path())?;
        // SAFETY: a string that ends with NUL and outlives the call.
        let done = unsafe { libc::swapon(path.as_ptr(), 0) };
        if done != 0 {
            return Err(io::Error::last_os_error()).context("swapon");
        }
        Ok(Swap(path))
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        // SAFETY: as above.
        if unsafe { libc::swapoff(self.0.as_ptr()) } != 0 {
            eprintln!("swapoff: {}", io::Error::last_os_error());
        }
    }
}

/// `union swap_header` of include/linux/swap.h: a version, the last page's number and the
/// number of bad pages, and the signature at the end of the page.
fn write_header(node: &File, size: u64) -> Result<()> {
    let last = u32::try_from(size / PAGE - 1)?;
    let mut page = vec![0; PAGE as usize];
    for (at, word) in [(1024, 1), (1028, last), (1032, 0u32)] {
        page[at..at + 4].copy_from_slice(&word.to_ne_bytes());
    }
    let signature = b"SWAPSPACE2";
    let end = page.len();
    page[end - signature.len()..].copy_from_slice(signature);
    node.write_all_at(&page, 0)?;
    Ok(node.sync_all()?)
}
