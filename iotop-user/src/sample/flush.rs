//! Flushes: what was written, by whom, whose it was, and why.

use std::sync::Arc;

use super::{FlushLag, Number, Run, Task, Written};

/// What one submitter wrote to one device in the interval for one reason.
#[derive(Clone, Debug)]
pub struct Flush {
    /// The device.
    pub device: Number,
    /// Its name, or its number where it has none.
    pub device_name: Arc<str>,
    /// Why.
    pub reason: FlushReason,
    /// Who submitted the bios; `None` where it is not known.
    pub submitter: Option<Task>,
    /// A writeback worker's runs that these bytes belong to, in their order.
    pub runs: Vec<Run>,
    /// Files whose pages were written.
    pub inodes: u64,
    /// What was written, and whose it was.
    pub written: Written,
}

/// Why bytes were written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FlushReason {
    /// A writeback worker's own reason, by the kernel's name or number.
    Writeback(Arc<str>),
    /// A journal's thread commits a transaction.
    Journal,
    /// Memory is short: pages are swapped out, or kswapd writes.
    Reclaim,
    /// Past the page cache (`O_DIRECT`).
    Direct,
    /// The task itself is in this system call.
    Syscall(&'static str),
    /// The task itself, and nothing tells why.
    Task,
    /// A kernel thread for a reason of its own.
    Kthread,
}

impl FlushReason {
    /// One word.
    pub fn name(&self) -> &str {
        match self {
            FlushReason::Writeback(name) => name,
            FlushReason::Journal => "journal",
            FlushReason::Reclaim => "reclaim",
            FlushReason::Direct => "direct",
            FlushReason::Syscall(name) => name,
            FlushReason::Task => "task",
            FlushReason::Kthread => "kthread",
        }
    }
}

/// Some of a flush's bytes, with one owner.
#[derive(Clone, Debug)]
pub struct FlushOwner {
    /// The owner.
    pub task: Task,
    /// Its bytes.
    pub bytes: u64,
    /// How long they had been dirty.
    pub lag: Option<FlushLag>,
    /// Its files, most bytes first.
    pub files: Vec<FlushFile>,
}

/// Some of an owner's bytes, of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlushFile {
    /// Inode number; 0 where there is none.
    pub ino: u64,
    /// See `FactKey::file`.
    pub file: u32,
    /// Where it lay when it was last seen becoming dirty; marked `(deleted)`
    /// or `(replaced)` when it lies there no more.
    pub path: Option<Arc<str>>,
    /// Bytes.
    pub bytes: u64,
}
