//! Whether a process records into a directory now.

use std::{
    fs::{self, OpenOptions},
    io::Read as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use super::{day, store::LOCK};
use crate::sample::Number;

/// The process that records into a directory, as far as that can be seen from here. Nothing is
/// locked for that: a recorder that starts meanwhile would be refused.
pub fn recorder(directory: &Path, proc_root: &Path) -> Option<u32> {
    let path = directory.join(LOCK);
    let file = fs::symlink_metadata(&path).ok()?;
    let locks = fs::read_to_string(proc_root.join("locks")).ok()?;
    let device = (libc::major(file.dev()), libc::minor(file.dev()));
    // Only the user who records may read it.
    let pid = read(&path).and_then(|pid| pid.trim().parse().ok());
    let is_its = |lock: &Lock| {
        // The files of btrfs have another device number than its locks.
        lock.inode == file.ino() && (lock.device == device || pid == Some(lock.pid))
    };
    let mut locks = locks.lines().filter_map(Lock::parse);
    Some(locks.find(is_its)?.pid)
}

/// The beginning of a file: whoever owns the directory may have put anything there.
fn read(path: &Path) -> Option<String> {
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .and_then(day::regular);
    let mut text = String::new();
    file.ok()?.take(32).read_to_string(&mut text).ok()?;
    Some(text)
}

/// A lock of flock(2) that a process has.
#[derive(Debug, PartialEq, Eq)]
struct Lock {
    pid: u32,
    device: Number,
    inode: u64,
}

impl Lock {
    /// A line of /proc/locks (proc_locks(5)): `1: FLOCK  ADVISORY  WRITE 7 08:01:131 0 EOF`. The
    /// numbers of the device are hexadecimal. A process that waits for a lock has `->` in it.
    fn parse(line: &str) -> Option<Lock> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", "ADVISORY", "WRITE", pid, file, ..] = words[..] else {
            return None;
        };
        let mut file = file.split(':');
        let mut number = || u32::from_str_radix(file.next()?, 16).ok();
        Some(Lock {
            pid: pid.parse().ok()?,
            device: (number()?, number()?),
            inode: file.next()?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Retention, Store};

    /// Regression: all of /dev/zero was read.
    #[test]
    fn a_link_or_a_pipe_in_the_place_of_the_lock_is_not_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(LOCK);
        std::os::unix::fs::symlink("/dev/zero", &path).expect("linked");
        assert_eq!(read(&path), None);
        fs::remove_file(&path).expect("removed");
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0)
            .expect("made");
        assert_eq!(read(&path), None);
    }

    #[test]
    fn the_process_that_has_the_lock_records() {
        let directory = tempfile::tempdir().expect("a directory");
        let recording = || recorder(directory.path(), Path::new("/proc"));
        assert_eq!(recording(), None);
        let all = Retention {
            days: 30,
            bytes: 1 << 30,
        };
        let store = Store::open(directory.path(), all).expect("opened");
        assert_eq!(recording(), Some(std::process::id()));
        drop(store);
        assert_eq!(recording(), None, "its file is still there");
    }

    #[test]
    fn only_locks_of_flock_that_are_held_count() {
        let lock = Lock {
            pid: 7,
            device: (8, 0x11),
            inode: 131,
        };
        let line = "1: FLOCK  ADVISORY  WRITE 7 08:11:131 0 EOF";
        assert_eq!(Lock::parse(line), Some(lock));
        for line in [
            "1: -> FLOCK  ADVISORY  WRITE 7 08:01:131 0 EOF",
            "1: POSIX  ADVISORY  WRITE 7 08:01:131 0 EOF",
            "1: FLOCK  ADVISORY  READ 7 08:01:131 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 7 08:01 0 EOF",
            "",
        ] {
            assert_eq!(Lock::parse(line), None, "{line}");
        }
    }
}
