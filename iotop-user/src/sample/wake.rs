//! Wake-ups: the first requests to a disk after silence.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{Flush, FlushFile, FlushLag, Metadata, Number, Reason, Task};

/// What counts as a wake-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WakeRule {
    /// How long the disk must have been silent.
    pub idle: Duration,
    /// Report devices on top of other ones (dm, md) as well, not only the disks at the bottom.
    pub upper: bool,
}

impl Default for WakeRule {
    /// The shortest usual timers take 5 s: commits of ext4, and write-back. Less silence than that
    /// shows each of their beats.
    fn default() -> WakeRule {
        WakeRule {
            idle: Duration::from_secs(3),
            upper: false,
        }
    }
}

/// The first requests to a disk after silence.
#[derive(Clone, Debug, PartialEq)]
pub struct Wake {
    /// The disk.
    pub disk: Number,
    /// Its name.
    pub disk_name: Arc<str>,
    /// Its number and those of its partitions.
    pub numbers: Vec<Number>,
    /// The start of the interval in which the requests came.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
    /// How long no request was in flight before.
    pub silence: Silence,
    /// The names of the devices on top of the disk to which the requests were made (dm, md).
    pub through: Vec<Arc<str>>,
    /// Who made requests in that interval, most bytes first. One of them made the first request.
    /// Empty if no request of a task was seen.
    pub suspects: Vec<Suspect>,
    /// Number of further suspects, and their bytes.
    pub more: (u64, u64),
}

/// How long a disk was silent. It is known to within the intervals before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// From the end of the last interval with requests to the start of the next one. If there
    /// was none, from the start of the trace.
    pub at_least: Duration,
    /// From the start of the last interval with requests to the end of the next one. `None`:
    /// the silence began before the trace.
    pub at_most: Option<Duration>,
}

/// Tasks of one name and place that may have woken a disk, or what has no owner.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspect {
    /// The task with most bytes; `None` if the bytes have no owner.
    pub task: Option<Task>,
    /// Why they have no owner.
    pub unowned: Option<Reason>,
    /// Number of tasks.
    pub tasks: u64,
    /// What it asked for, most bytes first.
    pub requests: Vec<Request>,
    /// How regularly it wakes the disk.
    pub rhythm: Rhythm,
}

/// What a suspect read, or what was written because of it by one submitter for one reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The device that it was made to: the disk, a partition, or a device on top of them.
    pub device: Number,
    /// True for a read.
    pub read: bool,
    /// Number of bytes.
    pub bytes: u64,
    /// The part of `bytes` that is charged to the suspect by estimate.
    pub shared: u64,
    /// The part of `shared` that is journals and metadata.
    pub metadata: Metadata,
    /// How long the pages had been dirty; `None` for reads, and if it is not known.
    pub lag: Option<FlushLag>,
    /// Its largest files, most bytes first.
    pub files: Vec<FlushFile>,
    /// Number of further files.
    pub more_files: u64,
    /// The flush, without its owners; `None` for a read, and for the copy of a write to a device
    /// on top of the disk.
    pub flush: Option<Arc<Flush>>,
    /// The task that submitted it; `None` if that is the suspect itself or not known.
    pub submitter: Option<Task>,
}

/// How regularly somebody wakes a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rhythm {
    /// How often it woke the disk, or was one of several suspects, since the trace began.
    pub times: u64,
    /// How often of these it was the only suspect.
    pub alone: u64,
    /// How often it was within `watched`.
    pub recent: u64,
    /// The last hour, or the time since the trace began.
    pub watched: Duration,
    /// The median of the times between its wake-ups; `None` if they are not regular.
    pub period: Option<Duration>,
}

impl Suspect {
    /// All bytes.
    pub fn bytes(&self) -> u64 {
        self.requests.iter().map(|request| request.bytes).sum()
    }

    /// Bytes that were read.
    pub fn read(&self) -> u64 {
        let reads = self.requests.iter().filter(|request| request.read);
        reads.map(|request| request.bytes).sum()
    }
}

impl Wake {
    /// The only suspect.
    pub fn culprit(&self) -> Option<&Suspect> {
        match &self.suspects[..] {
            [suspect] if self.more.0 == 0 => Some(suspect),
            _ => None,
        }
    }

    /// The bytes of all suspects.
    pub fn bytes(&self) -> u64 {
        self.suspects.iter().map(Suspect::bytes).sum::<u64>() + self.more.1
    }
}
