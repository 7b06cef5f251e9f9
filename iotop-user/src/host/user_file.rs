//! Reads a file that a user names. It may be anything: a pipe that nobody writes to, a device
//! without an end.

use std::{fs, io, io::Read as _, os::fd::AsRawFd as _, path::Path};

use rustix::fs::{FileType, Mode, OFlags, fstat, open};

/// Reads a regular file of at most `limit` bytes. Symbolic links are followed: this runs with
/// the rights of the user who made them (see [`super::helper`]).
///
/// # Errors
///
/// The file can't be read, is not a regular file, or is larger.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // With O_PATH nothing is opened: a pipe does not block, and a device is not touched.
    let found = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&found)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("it is not a regular file"));
    }
    // The link in /proc leads to the file that was just looked at, whatever the path names now.
    let file = fs::File::open(format!("/proc/self/fd/{}", found.as_raw_fd()))?;
    let mut content = Vec::new();
    file.take(limit + 1).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        let kib = limit >> 10;
        return Err(io::Error::other(format!("it is larger than {kib} KiB")));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, mkfifoat};

    use super::*;

    #[test]
    fn only_a_regular_file_of_bounded_size_is_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        fs::write(path("file"), "content").expect("written");
        symlink("file", path("link")).expect("linked");
        assert_eq!(read(&path("link"), 7).expect("read"), b"content");
        let error = read(&path("file"), 6).expect_err("too large");
        assert!(error.to_string().contains("larger"), "{error}");
        // Opening it for reading would wait for a writer.
        mkfifoat(CWD, path("pipe"), Mode::RUSR).expect("made");
        symlink("/dev/zero", path("endless")).expect("linked");
        for name in ["pipe", "endless", "."] {
            let error = read(&path(name), 7).expect_err(name);
            assert!(error.to_string().contains("regular"), "{name}: {error}");
        }
        let missing = read(&path("missing"), 7).expect_err("missing");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
