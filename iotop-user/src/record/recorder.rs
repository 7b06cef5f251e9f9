//! Whether a process records into a directory now.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use super::store::LOCK;
use crate::sample::Number;

/// The process that records into a directory, as far as that can be seen from here. Nothing is
/// locked for that: a recorder that starts meanwhile would be refused.
pub fn recorder(directory: &Path, proc_root: &Path) -> Option<u32> {
    let path = directory.join(LOCK);
    let file = fs::metadata(&path).ok()?;
    let locks = fs::read_to_string(proc_root.join("locks")).ok()?;
    let device = (libc::major(file.dev()), libc::minor(file.dev()));
    // Only the user who records may read it.
    let pid = fs::read_to_string(&path).ok();
    let pid = pid.and_then(|pid| pid.trim().parse().ok());
    let is_its = |lock: &Lock| {
        // The files of btrfs have another device number than its locks.
        lock.inode == file.ino() && (lock.device == device || pid == Some(lock.pid))
    };
    let mut locks = locks.lines().filter_map(Lock::parse);
    Some(locks.find(is_its)?.pid)
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
