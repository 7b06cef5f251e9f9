//! Files that loads need, and dropping a file's pages.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process;

pub const MIB: u64 = 1 << 20;

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// Writes a file of `size` bytes, `chunk` bytes at a time. ext4 and xfs make
/// the folios as large as the chunks.
pub fn fill(path: &Path, size: u64, chunk: u64) -> Result<()> {
    let content = vec![b'x'; usize::try_from(chunk)?];
    let write = || -> io::Result<()> {
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        for _ in 0..size / chunk {
            file.write_all(&content)?;
        }
        Ok(())
    };
    write().with_context(|| format!("could not write {}", path.display()))
}

/// Writes `bytes` bytes into a new file, one page in every `stride` pages.
pub fn fill_sparsely(path: &Path, bytes: u64, stride: u64) -> Result<()> {
    let pages = bytes / PAGE;
    let page = [b'x'; PAGE as usize];
    let write = || -> io::Result<()> {
        let file = File::create(path)?;
        // The size does not grow with each page: that would be more work.
        file.set_len(pages * stride * PAGE)?;
        (0..pages).try_for_each(|n| file.write_all_at(&page, n * stride * PAGE))
    };
    write().with_context(|| format!("could not write {}", path.display()))
}

/// Drops a file's clean pages from memory. No effect if there is no such file.
pub fn drop_pages(path: &Path) -> Result<()> {
    let Ok(file) = File::open(path) else {
        return Ok(());
    };
    // SAFETY: takes no pointers, and the descriptor is open.
    let error = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    ensure!(
        error == 0,
        "posix_fadvise of {}: {}",
        path.display(),
        io::Error::from_raw_os_error(error)
    );
    Ok(())
}

/// Directories of the archive, and files in each of them.
const DIRECTORIES: u64 = 100;
const FILES: u64 = 100;

/// Packs 10,000 files of 1 to 8 KiB into `archive`, unless that exists. No two are equal,
/// and their content cannot be compressed: git stores each of them.
pub fn pack_small_files(archive: &Path) -> Result<()> {
    if archive.exists() {
        return Ok(());
    }
    let source = archive.with_extension("source");
    let mut noise = Noise(1);
    let mut create = || -> io::Result<()> {
        for dir in 0..DIRECTORIES {
            let dir = source.join(dir.to_string());
            fs::create_dir_all(&dir)?;
            for file in 0..FILES {
                let size = usize::try_from(1024 * (1 + file % 8)).unwrap_or_default();
                fs::write(dir.join(file.to_string()), noise.bytes(size))?;
            }
        }
        Ok(())
    };
    create().with_context(|| format!("could not create {}", source.display()))?;
    process::output(
        Command::new("tar")
            .arg("--create")
            .arg("--file")
            .arg(archive)
            .arg("--directory")
            .arg(&source)
            .arg("."),
    )?;
    fs::remove_dir_all(&source).with_context(|| format!("could not remove {}", source.display()))
}

/// The same bytes in every run, without a pattern (xorshift64).
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut next = || {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0.to_le_bytes()
        };
        let words = std::iter::repeat_with(&mut next);
        words.flatten().take(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn files_have_the_pages_they_should() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let (dense, sparse) = (dir.path().join("dense"), dir.path().join("sparse"));
        fill(&dense, 4 * PAGE, 2 * PAGE)?;
        fill_sparsely(&sparse, 4 * PAGE, 16)?;
        assert_eq!(fs::metadata(&dense)?.len(), 4 * PAGE);
        assert_eq!(fs::metadata(&sparse)?.len(), 64 * PAGE);
        assert!(fs::metadata(&sparse)?.blocks() * 512 < 64 * PAGE);
        Ok(())
    }

    #[test]
    fn noise_does_not_repeat() {
        let mut noise = Noise(1);
        let (first, second) = (noise.bytes(1001), noise.bytes(1001));
        assert_eq!(first.len(), 1001);
        assert_ne!(first, second);
        assert_ne!(first[..500], first[500..1000]);
    }

    #[test]
    fn a_missing_file_has_no_pages_to_drop() -> Result<()> {
        drop_pages(Path::new("/nonexistent"))
    }
}
