//! The Sample: the one data structure between gathering and showing.
//!
//! Bytes are bytes, times are nanoseconds unless their type says more. `None`
//! means "not known", never 0. Counters are the interval's own (or, after
//! [`crate::collect`] has accumulated them, totals since start).

use std::{collections::HashMap, sync::Arc, time::Duration};

use iotop_common::{Class, FlushId};
use jiff::Timestamp;

use super::{Disk, Flush, Lags, SharedTask, Spike, devices::Number};

/// A file: its device, its inode number, and what tells inodes of one number
/// apart (`FactKey::file`).
pub type FileKey = (Number, u64, u32);

/// Everything gathered in one interval.
#[derive(Clone, Debug)]
pub struct Sample {
    /// 1 for the first interval.
    pub seq: u64,
    /// The end of the interval.
    pub time: Timestamp,
    /// How long the interval really was.
    pub interval: Duration,
    /// What holds for the machine as a whole.
    pub system: System,
    /// Every task with something to report, and every live task when all were asked for.
    pub tasks: Vec<SharedTask>,
    /// Who exited in the interval, with something to report or without.
    pub exited: Vec<TaskKey>,
    /// Every (owner, submitter, device, inode, class) with bytes in the interval,
    /// as far as its owner is among the tasks.
    pub facts: Vec<BlockFact>,
    /// The devices with I/O, whoever it belongs to.
    pub devices: Vec<((u32, u32), BlockTotals)>,
    /// Where the facts' files lie, as far as flushes are watched and it is known.
    pub paths: HashMap<FileKey, Arc<str>>,
    /// The whole disks that ever did anything, and what they did.
    pub disks: Vec<Disk>,
    /// What was written, by whom and why; most first.
    pub flushes: Vec<Flush>,
    /// Devices that were written to much more than usual: spikes that ended, and
    /// those that go on.
    pub spikes: Vec<Spike>,
    /// The tasks summed up by something else than process, when that was asked for.
    pub groups: Option<Vec<Group>>,
}

/// Tasks, or facts, that have something in common, and their I/O in the interval.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// What they have in common: a user's name, a cgroup's path, a device's name ...
    /// `None`: it is not known, or they have none.
    pub name: Option<Arc<str>>,
    /// How many tasks.
    pub tasks: u64,
    /// The tasks' counters added up; not known by device or file.
    pub stats: TaskCounters,
    /// The tasks' block I/O added up; `None` without eBPF.
    pub block: Option<TaskBlock>,
    /// What was written there and has no owner; known by device and file only,
    /// while the whole machine is watched.
    pub unattributed: Option<Unattributed>,
}

impl Sample {
    /// Keeps the tasks that are wanted.
    pub fn keep_tasks(&mut self, wanted: impl Fn(&Task) -> bool) {
        let keep: Vec<bool> = self.tasks.iter().map(|task| wanted(task)).collect();
        self.retain_tasks(&keep);
    }

    /// Keeps the tasks whose place is true, and the facts whose owner is kept
    /// or that have none.
    pub fn retain_tasks(&mut self, keep: &[bool]) {
        let mut left = 0;
        let moved: Vec<Option<usize>> = keep
            .iter()
            .map(|keep| {
                left += usize::from(*keep);
                keep.then(|| left - 1)
            })
            .collect();
        let mut place = keep.iter();
        self.tasks.retain(|_| *place.next().unwrap_or(&false));
        self.facts.retain(|fact| fact.owner.is_none_or(|n| keep[n]));
        for fact in &mut self.facts {
            fact.owner = fact.owner.and_then(|n| moved[n]);
            fact.submitter = fact.submitter.and_then(|n| moved[n]);
        }
    }
}

/// What holds for the machine as a whole.
#[derive(Clone, Debug, Default)]
pub struct System {
    /// `pgpgin` of /proc/vmstat: bytes file systems asked block devices to read.
    pub pgpgin_bytes: Option<u64>,
    /// `pgpgout` of /proc/vmstat: bytes file systems submitted for writing.
    pub pgpgout_bytes: Option<u64>,
    /// `nr_dirty` when the interval began.
    pub dirty_before_bytes: Option<u64>,
    /// `nr_dirty`: dirty page cache now.
    pub dirty_bytes: Option<u64>,
    /// `nr_dirty_background_threshold`: beyond it flushers begin to write.
    pub background_threshold_bytes: Option<u64>,
    /// `nr_dirty_threshold`: beyond it whoever writes is held back.
    pub dirty_threshold_bytes: Option<u64>,
    /// `nr_writeback`: page cache being written now.
    pub writeback_bytes: Option<u64>,
    /// `nr_dirtied`: page cache that became dirty.
    pub dirtied_bytes: Option<u64>,
    /// `nr_written`: page cache that was written.
    pub written_bytes: Option<u64>,
    /// What the kernel half saw; `None` without eBPF.
    pub block: Option<BlockTotals>,
    /// What was lost, by name; empty where nothing can be lost.
    pub lost: Lost,
    /// 0 for each counter that is known of tasks.
    pub counted: TaskCounters,
    /// Tasks on the machine.
    pub tasks_total: Option<u64>,
    /// Tasks with I/O in the interval.
    pub tasks_running_io: Option<u64>,
    /// Tasks that exited in the interval and had I/O.
    pub tasks_exited: Option<u64>,
    /// CPU time this program used in the interval.
    pub self_cpu_ns: Option<u64>,
}

/// Block I/O as the kernel half saw it, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockTotals {
    /// All reads.
    pub read: u64,
    /// All writes, without lower devices' copies.
    pub write: u64,
    /// Of `write`: each page carried its owner's tag, or the owner wrote directly.
    pub attributed: u64,
    /// Of `write`: estimated.
    pub shared: u64,
    /// The rest, by reason.
    pub unattributed: Unattributed,
}

impl BlockTotals {
    /// The sum of two.
    pub fn plus(&self, other: &BlockTotals) -> BlockTotals {
        let (a, b) = (&self.unattributed, &other.unattributed);
        BlockTotals {
            read: self.read + other.read,
            write: self.write + other.write,
            attributed: self.attributed + other.attributed,
            shared: self.shared + other.shared,
            unattributed: Unattributed {
                pre_trace: a.pre_trace + b.pre_trace,
                metadata: a.metadata + b.metadata,
                swap: a.swap + b.swap,
                stacked: a.stacked + b.stacked,
                overflow: a.overflow + b.overflow,
                unknown: a.unknown + b.unknown,
            },
        }
    }
}

/// Bytes with no owner, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unattributed {
    /// Dirtied before the trace began.
    pub pre_trace: u64,
    /// File-system metadata and journals.
    pub metadata: u64,
    /// Swap.
    pub swap: u64,
    /// Lower devices' copies of upper bios: not part of `BlockTotals::write`.
    pub stacked: u64,
    /// One of our tables was full.
    pub overflow: u64,
    /// Nothing tells.
    pub unknown: u64,
}

impl Unattributed {
    /// The sum of what is part of `BlockTotals::write`.
    pub fn in_total(&self) -> u64 {
        self.pre_trace + self.metadata + self.swap + self.overflow + self.unknown
    }
}

/// Events that were lost in the interval. `None`: not watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// netlink exit records lost to ENOBUFS.
    pub exit_records: Option<u64>,
    /// Times a task was met while no owner slot was free.
    pub owner_slots: Option<u64>,
    /// Facts that found no room at all.
    pub facts: Option<u64>,
    /// Facts that were kept without their inode.
    pub fact_inodes: Option<u64>,
    /// Pages with no place in the tag table.
    pub tags: Option<u64>,
    /// Bios with more pages than were walked.
    pub long_bios: Option<u64>,
    /// Kernel memory that could not be read.
    pub faults: Option<u64>,
    /// Runs of writeback workers that were not told of.
    pub flushes: Option<u64>,
    /// Bios of cgroups with a limit (`io.max`) of which nobody remembers who handed
    /// them over, should they be held back.
    pub limited_bios: Option<u64>,
    /// Paths of files that were not told; one is when its file is met the next time.
    pub paths: Option<u64>,
    /// Events at which the kernel did not run our programs (recursion).
    pub missed_events: Option<u64>,
}

impl Lost {
    /// True when nothing was lost as far as we can know.
    pub fn is_nothing(&self) -> bool {
        self.named().iter().all(|(_, n)| n.unwrap_or(0) == 0)
    }

    /// Every counter with its name in the exports.
    pub fn named(&self) -> [(&'static str, Option<u64>); 11] {
        [
            ("exit_records", self.exit_records),
            ("owner_slots", self.owner_slots),
            ("facts", self.facts),
            ("fact_inodes", self.fact_inodes),
            ("tags", self.tags),
            ("long_bios", self.long_bios),
            ("faults", self.faults),
            ("flushes", self.flushes),
            ("limited_bios", self.limited_bios),
            ("paths", self.paths),
            ("missed_events", self.missed_events),
        ]
    }
}

/// A task's identity: a tid alone is reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskKey {
    /// Thread id.
    pub tid: u32,
    /// Start time after boot, ns; where /proc tells it, to 10 ms.
    pub start_boottime: u64,
}

/// One task (or, in process mode, one process) and its I/O in the interval.
#[derive(Clone, Debug, Default)]
pub struct Task {
    /// Thread group id.
    pub pid: u32,
    /// Thread id; equal to `pid` for a process.
    pub tid: u32,
    /// Start time after boot, ns. With `tid` the task's identity.
    pub start_boottime: u64,
    /// cgroup v2 id: the inode number of the cgroup's directory.
    pub cgroup_id: Option<u64>,
    /// The parent's thread group id.
    pub ppid: Option<u32>,
    /// When the task started.
    pub start_time: Option<Timestamp>,
    /// The command name, as the kernel keeps it (15 bytes), lossily decoded.
    pub comm: Arc<str>,
    /// The command line; `None` for kernel threads and where it can't be read.
    pub cmdline: Option<Arc<str>>,
    /// The user's name, or the number where it has none.
    pub user: Option<Arc<str>>,
    /// Effective user id.
    pub uid: Option<u32>,
    /// cgroup path.
    pub cgroup: Option<Arc<str>>,
    /// systemd unit.
    pub unit: Option<Arc<str>>,
    /// Container.
    pub container: Option<Arc<str>>,
    /// I/O priority as iotop shows it (`be/4`).
    pub prio: Option<Arc<str>>,
    /// A kernel thread.
    pub kthread: bool,
    /// The task has exited.
    pub exited: bool,
    /// The kernel's own counters of the task.
    pub stats: TaskCounters,
    /// From the kernel half; `None` without eBPF.
    pub block: Option<TaskBlock>,
}

impl Task {
    /// Its identity.
    pub fn key(&self) -> TaskKey {
        TaskKey {
            tid: self.tid,
            start_boottime: self.start_boottime,
        }
    }

    /// Whether the task has dirty pages that wait to be written.
    pub fn has_dirty_pages(&self) -> bool {
        let pending = self.block.and_then(|block| block.dirty_pending);
        pending.is_some_and(|bytes| bytes != 0)
    }

    /// Whether the task moved bytes between memory and a device, or made
    /// pages dirty, or waited for either.
    pub fn did_io(&self) -> bool {
        let stats = &self.stats;
        let counted = [
            stats.read_bytes,
            stats.write_bytes,
            stats.cancelled_write_bytes,
            stats.blkio_delay_ns,
            stats.swapin_delay_ns,
        ];
        counted.into_iter().flatten().any(|n| n != 0) || self.block.is_some_and(|block| block.any())
    }
}

/// The kernel's own counters of a task (`task_struct.ioac` and `delays`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskCounters {
    /// Bytes read from storage.
    pub read_bytes: Option<u64>,
    /// Bytes of page cache dirtied, and of direct writes.
    pub write_bytes: Option<u64>,
    /// Bytes of dirty page cache this task truncated away.
    pub cancelled_write_bytes: Option<u64>,
    /// Bytes passed to read(2) and its like.
    pub read_char: Option<u64>,
    /// Bytes passed to write(2) and its like.
    pub write_char: Option<u64>,
    /// Read system calls.
    pub read_syscalls: Option<u64>,
    /// Write system calls.
    pub write_syscalls: Option<u64>,
    /// Waits for synchronous block I/O.
    pub blkio_count: Option<u64>,
    /// Time spent in them.
    pub blkio_delay_ns: Option<u64>,
    /// Waits for swap-in.
    pub swapin_count: Option<u64>,
    /// Time spent in them.
    pub swapin_delay_ns: Option<u64>,
}

impl TaskCounters {
    /// What a task has done that was just born.
    pub fn zero() -> TaskCounters {
        TaskCounters::default().map2(&TaskCounters::default(), |_, _| Some(0))
    }

    /// No growth of the counters that are known here.
    pub fn nothing(&self) -> TaskCounters {
        self.since(self)
    }

    /// The growth since `before`. A counter that fell gives 0: it was reset.
    pub fn since(&self, before: &TaskCounters) -> TaskCounters {
        self.map2(before, |now, before| Some(now?.saturating_sub(before?)))
    }

    /// The sum, as far as both are known.
    pub fn plus(&self, other: &TaskCounters) -> TaskCounters {
        self.map2(other, |one, other| match (one, other) {
            (Some(one), Some(other)) => Some(one.saturating_add(other)),
            (one, other) => one.or(other),
        })
    }

    /// Whether any I/O is known.
    pub fn any(&self) -> bool {
        self.fields().into_iter().flatten().any(|n| n != 0)
    }

    /// How many there are.
    pub(super) const COUNT: usize = 11;

    pub(super) fn fields(&self) -> [Option<u64>; Self::COUNT] {
        [
            self.read_bytes,
            self.write_bytes,
            self.cancelled_write_bytes,
            self.read_char,
            self.write_char,
            self.read_syscalls,
            self.write_syscalls,
            self.blkio_count,
            self.blkio_delay_ns,
            self.swapin_count,
            self.swapin_delay_ns,
        ]
    }

    fn map2(
        &self,
        other: &TaskCounters,
        f: impl Fn(Option<u64>, Option<u64>) -> Option<u64>,
    ) -> TaskCounters {
        let (a, b) = (self.fields(), other.fields());
        TaskCounters::from_fn(|n| f(a[n], b[n]))
    }

    /// From each counter's number among the fields.
    pub(super) fn from_fn(of: impl Fn(usize) -> Option<u64>) -> TaskCounters {
        TaskCounters {
            read_bytes: of(0),
            write_bytes: of(1),
            cancelled_write_bytes: of(2),
            read_char: of(3),
            write_char: of(4),
            read_syscalls: of(5),
            write_syscalls: of(6),
            blkio_count: of(7),
            blkio_delay_ns: of(8),
            swapin_count: of(9),
            swapin_delay_ns: of(10),
        }
    }
}

/// What the kernel half says of a task, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskBlock {
    /// Read from devices by the task itself.
    pub read: u64,
    /// Page cache it made dirty; like the next two not known by device or file.
    pub dirtied: Option<u64>,
    /// Of all it made dirty what is not written yet.
    pub dirty_pending: Option<u64>,
    /// Its dirty pages dropped before they were written.
    pub cancelled: Option<u64>,
    /// How long it had to sleep because too much was dirty
    /// (`balance_dirty_pages`), ns.
    pub throttled_ns: Option<u64>,
    /// How many times.
    pub throttles: Option<u64>,
    /// Written for it, submitted by itself (exact).
    pub write_self: u64,
    /// Written for it, submitted by others (exact).
    pub write_flushed: u64,
    /// Its share of what can only be estimated.
    pub write_shared: u64,
    /// What it submitted for other owners.
    pub submitted_for_others: u64,
    /// From dirtying to submission; `None` where nothing was flushed.
    pub lag: Option<Lag>,
}

impl TaskBlock {
    /// Of a task that the kernel half watches, and that did nothing.
    pub fn zero() -> TaskBlock {
        TaskBlock {
            dirtied: Some(0),
            dirty_pending: Some(0),
            cancelled: Some(0),
            throttled_ns: Some(0),
            throttles: Some(0),
            ..TaskBlock::default()
        }
    }

    /// All that was written for it, exactly known.
    pub fn write(&self) -> u64 {
        self.write_self + self.write_flushed
    }

    /// The sum of two tasks' block I/O, as far as it is known.
    pub fn plus(&self, other: &TaskBlock) -> TaskBlock {
        let known = |a: Option<u64>, b: Option<u64>| a.zip(b).map(|(a, b)| a + b).or(a).or(b);
        TaskBlock {
            read: self.read + other.read,
            dirtied: known(self.dirtied, other.dirtied),
            dirty_pending: known(self.dirty_pending, other.dirty_pending),
            cancelled: known(self.cancelled, other.cancelled),
            throttled_ns: known(self.throttled_ns, other.throttled_ns),
            throttles: known(self.throttles, other.throttles),
            write_self: self.write_self + other.write_self,
            write_flushed: self.write_flushed + other.write_flushed,
            write_shared: self.write_shared + other.write_shared,
            submitted_for_others: self.submitted_for_others + other.submitted_for_others,
            lag: match (self.lag, other.lag) {
                (Some(one), Some(other)) => Some(one.and(&other)),
                (one, other) => one.or(other),
            },
        }
    }

    /// Whether anything happened in the interval; dirty pages that merely wait
    /// do not count.
    pub fn any(&self) -> bool {
        let moved = [
            self.read,
            self.dirtied.unwrap_or(0),
            self.cancelled.unwrap_or(0),
            self.write(),
            self.write_shared,
            self.submitted_for_others,
        ];
        moved.into_iter().any(|n| n != 0)
    }
}

/// Time from dirtying to submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lag {
    /// Added up over pages.
    pub sum: Duration,
    /// Longest.
    pub max: Duration,
    /// How many pages, at least one.
    pub pages: u64,
}

impl Lag {
    /// Mean over pages.
    pub fn avg(&self) -> Duration {
        let nanos = self.sum.as_nanos() / u128::from(self.pages.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Of two sets of pages together.
    pub fn and(&self, other: &Lag) -> Lag {
        Lag {
            sum: self.sum.saturating_add(other.sum),
            max: self.max.max(other.max),
            pages: self.pages.saturating_add(other.pages),
        }
    }
}

impl BlockFact {
    /// The file whose bytes they are.
    pub fn file_key(&self) -> FileKey {
        (self.device, self.ino, self.file)
    }
}

/// Bytes that moved between one owner and one device in the interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockFact {
    /// Index into `Sample::tasks`; `None` where nobody owns the bytes.
    pub owner: Option<usize>,
    /// Index into `Sample::tasks` of who submitted the bios.
    pub submitter: Option<usize>,
    /// Major and minor number.
    pub device: (u32, u32),
    /// Inode number; 0 where there is none.
    pub ino: u64,
    /// How the bytes came to their owner.
    pub class: Class,
    /// See `FactKey::file`; 0 while flushes are not asked for.
    pub file: u32,
    /// What the submitter did it for.
    pub flush: FlushId,
    /// Bytes.
    pub bytes: u64,
    /// Bios.
    pub bios: u64,
    /// How long its pages waited; `None` unless they are [`Class::Exact`].
    pub lag: Option<Lag>,
    /// How that is spread.
    pub lags: Lags,
}
