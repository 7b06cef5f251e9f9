//! All threads of the machine.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::Stat;

/// A thread's ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thread {
    /// Thread group id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
}

impl Thread {
    /// The thread's directory, below its process. `/proc/TID` is slow for a thread, and not
    /// listed.
    pub fn directory(self, proc_root: &Path) -> PathBuf {
        proc_root.join(format!("{}/task/{}", self.pid, self.tid))
    }

    /// The thread's stat line. `None` if the thread is gone.
    pub fn stat(self, proc_root: &Path) -> Option<Stat> {
        Stat::parse(&fs::read(self.directory(proc_root).join("stat")).ok()?).ok()
    }

    /// The thread's effective uid, which owns its files in /proc.
    pub fn uid(self, proc_root: &Path) -> Option<u32> {
        Some(fs::metadata(self.directory(proc_root)).ok()?.uid())
    }
}

/// Lists `PID/task` of every process below a proc root. Processes that vanish meanwhile are
/// skipped.
///
/// # Errors
///
/// The root can't be listed.
pub fn threads(proc_root: &Path) -> io::Result<Vec<Thread>> {
    let mut threads = Vec::new();
    for pid in ids(proc_root)? {
        if let Ok(of_process) = threads_of(pid, proc_root) {
            threads.extend(of_process);
        }
    }
    Ok(threads)
}

/// Lists `task` of a process below a proc root.
///
/// # Errors
///
/// The process is gone.
pub fn threads_of(pid: u32, proc_root: &Path) -> io::Result<impl Iterator<Item = Thread> + use<>> {
    let tids = ids(&proc_root.join(pid.to_string()).join("task"))?;
    Ok(tids.map(move |tid| Thread { pid, tid }))
}

fn ids(directory: &Path) -> io::Result<impl Iterator<Item = u32> + use<>> {
    let entries = fs::read_dir(directory)?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()))
}
