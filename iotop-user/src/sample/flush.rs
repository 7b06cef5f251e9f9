//! Flushes: what was written, which task submitted it, which tasks own it, and why.

use std::sync::Arc;

use super::{Commits, FlushLag, Metadata, Number, Run, Task, Written};

/// What one submitter wrote to one device in the interval for one reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Flush {
    /// The device.
    pub device: Number,
    /// Its name, or its number if it has no name.
    pub device_name: Arc<str>,
    /// Why it was written.
    pub reason: FlushReason,
    /// The task that submitted the bios; `None` if it is not known.
    pub submitter: Option<Task>,
    /// The flusher's runs that wrote these bytes, oldest first.
    pub runs: Vec<Run>,
    /// Number of files whose pages were written.
    pub inodes: u64,
    /// The bytes and their owners.
    pub written: Written,
    /// Of these, bytes of a journal's log or of a btrfs tree.
    pub logged: u64,
    /// What made the file system commit in the interval, if its log or trees were written;
    /// `None` for other flushes, and if it is not known.
    pub commits: Option<Commits>,
}

/// Why bytes were written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FlushReason {
    /// A flusher's own reason (`enum wb_reason`), by the kernel's name or number.
    Writeback(Arc<str>),
    /// A transaction was committed: by a thread of jbd2 or btrfs, or a kernel thread wrote to
    /// the journal's log.
    Journal,
    /// The kernel thread of xfs wrote logged metadata to its home.
    Home,
    /// Memory was short: pages were swapped out, or kswapd wrote.
    Reclaim,
    /// A write that bypassed the page cache (`O_DIRECT`).
    Direct,
    /// The submitter was in this system call.
    Syscall(&'static str),
    /// The submitter is a user task, and its system call is not known.
    Task,
    /// Any other kernel thread, or a submitter that is not known.
    Kthread,
}

impl FlushReason {
    /// The reason in one word.
    pub fn name(&self) -> &str {
        match self {
            FlushReason::Writeback(name) => name,
            FlushReason::Journal => "journal",
            FlushReason::Home => "home",
            FlushReason::Reclaim => "reclaim",
            FlushReason::Direct => "direct",
            FlushReason::Syscall(name) => name,
            FlushReason::Task => "task",
            FlushReason::Kthread => "kthread",
        }
    }
}

/// The part of a flush's bytes that one task owns.
#[derive(Clone, Debug, PartialEq)]
pub struct FlushOwner {
    /// The owner.
    pub task: Task,
    /// Its bytes.
    pub bytes: u64,
    /// The part of `bytes` that is charged to it by estimate.
    pub shared: u64,
    /// The part of `shared` that is journals and metadata.
    pub metadata: Metadata,
    /// How long they had been dirty; `None` if it is not known.
    pub lag: Option<FlushLag>,
    /// Its files, most bytes first.
    pub files: Vec<FlushFile>,
}

/// The part of an owner's bytes that belongs to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlushFile {
    /// Inode number; 0 if there is none.
    pub ino: u64,
    /// See `FactKey::file`.
    pub file: u32,
    /// The path it had when the kernel half last reported it. `(deleted)` or `(replaced)`
    /// is added if no file or another file has that path now.
    pub path: Option<Arc<str>>,
    /// Number of bytes.
    pub bytes: u64,
}
