//! The fields of the lines that a sample is restored from. All others follow from them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use iotop_common::{Class, FlushId, LAGS};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    output::raw::{LagRaw, SystemRaw, TaskRaw, Whole, whole_time},
    sample::{
        BlockTotals, FlushLag, Lag, Lags, Loss, Lost, Metadata, Number, Parent, Reason, System,
        Task, TaskBlock, TaskCounters, Unattributed, class_name,
    },
};

/// Numbers by name; `None`: unknown.
pub(super) type Numbers = HashMap<String, Option<u64>>;

/// What every line starts with.
#[derive(Deserialize)]
pub(super) struct Header {
    pub v: u32,
    pub r#type: Type,
    pub seq: u64,
    pub time: Time,
}

/// The type of a line.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Type {
    System,
    Task,
    Fact,
    Device,
    Disk,
    Flush,
    Spike,
    /// A newer version may have more.
    #[serde(other)]
    Other,
}

/// A time, to the microsecond.
#[derive(Clone, Copy)]
pub(super) struct Time(Timestamp);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Time).map_err(D::Error::custom)
    }
}

impl Time {
    pub fn whole(self, below_micros: u32) -> Timestamp {
        whole_time(self.0, below_micros).unwrap_or(self.0)
    }
}

#[derive(Deserialize)]
pub(super) struct SystemPart {
    pgpgin_bytes: Option<u64>,
    pgpgout_bytes: Option<u64>,
    dirty_bytes: Option<u64>,
    writeback_bytes: Option<u64>,
    dirtied_bytes: Option<u64>,
    written_bytes: Option<u64>,
    #[serde(flatten)]
    block: Block,
    lost: Numbers,
    tasks: TasksPart,
    self_cpu_ns: Option<u64>,
    pub raw: SystemRaw,
}

#[derive(Deserialize)]
struct TasksPart {
    total: Option<u64>,
    running_io: Option<u64>,
    exited: Option<u64>,
}

impl SystemPart {
    pub fn system(&self) -> System {
        let lost = lost(&self.lost);
        let is_counted = |name: &str| self.raw.counted.iter().any(|counted| counted == name);
        let counted = TaskCounters::NAMES.map(|name| is_counted(name).then_some(0));
        System {
            pgpgin_bytes: self.pgpgin_bytes,
            pgpgout_bytes: self.pgpgout_bytes,
            dirty_before_bytes: self.raw.dirty_before_bytes,
            dirty_bytes: self.dirty_bytes,
            background_threshold_bytes: self.raw.background_threshold_bytes,
            dirty_threshold_bytes: self.raw.dirty_threshold_bytes,
            writeback_bytes: self.writeback_bytes,
            dirtied_bytes: self.dirtied_bytes,
            written_bytes: self.written_bytes,
            block: self.block.totals(),
            lost,
            counted: TaskCounters::from_fields(counted),
            tasks_total: self.tasks.total,
            tasks_running_io: self.tasks.running_io,
            tasks_exited: self.tasks.exited,
            self_cpu_ns: self.self_cpu_ns,
        }
    }
}

pub(super) fn lost(by_name: &Numbers) -> Lost {
    let mut lost = Lost::default();
    for loss in Loss::ALL {
        lost[loss] = by_name.get(loss.name()).copied().flatten();
    }
    lost
}

/// Block I/O of the system or of a device.
#[derive(Deserialize)]
pub(super) struct Block {
    block_read_bytes: Option<u64>,
    block_write_bytes: Option<u64>,
    attributed_write_bytes: Option<u64>,
    shared_write_bytes: Option<u64>,
    shared: Numbers,
    unattributed: Numbers,
}

impl Block {
    pub fn totals(&self) -> Option<BlockTotals> {
        Some(BlockTotals {
            read: self.block_read_bytes?,
            write: self.block_write_bytes?,
            attributed: self.attributed_write_bytes?,
            shared: self.shared_write_bytes?,
            metadata: metadata(&self.shared),
            unattributed: unattributed(&self.unattributed),
        })
    }
}

fn metadata(shared: &Numbers) -> Metadata {
    let part = |name: &str| shared.get(name).copied().flatten().unwrap_or(0);
    Metadata {
        journal: part("journal"),
        home: part("home"),
        tree: part("tree"),
    }
}

fn unattributed(parts: &Numbers) -> Unattributed {
    let part = |reason: Reason| parts.get(reason.name()).copied().flatten();
    Unattributed::from(Reason::ALL.map(|reason| (reason, part(reason).unwrap_or(0))))
}

/// What was written and has owners, of a flush or a spike.
#[derive(Deserialize)]
pub(super) struct WrittenPart {
    bytes: u64,
    shared: Numbers,
    unattributed: Numbers,
    pub owners: Vec<OwnerPart>,
}

impl WrittenPart {
    pub fn totals(&self) -> BlockTotals {
        let shared = sum_of(&self.shared);
        let unattributed = unattributed(&self.unattributed);
        BlockTotals {
            read: 0,
            write: self.bytes,
            attributed: self
                .bytes
                .saturating_sub(shared.saturating_add(unattributed.in_total())),
            shared,
            metadata: metadata(&self.shared),
            unattributed,
        }
    }
}

/// Saturating: the numbers of a foreign file may be any.
fn sum_of(parts: &Numbers) -> u64 {
    parts
        .values()
        .flatten()
        .fold(0, |sum, n| sum.saturating_add(*n))
}

#[derive(Deserialize)]
pub(super) struct OwnerPart {
    pub bytes: u64,
    shared: Numbers,
    pub files: Vec<FilePart>,
}

impl OwnerPart {
    /// The bytes charged by estimate, and the part of them that is metadata.
    pub fn shared(&self) -> (u64, Metadata) {
        (sum_of(&self.shared), metadata(&self.shared))
    }
}

#[derive(Deserialize)]
pub(super) struct FilePart {
    pub ino: u64,
    pub path: Option<Arc<str>>,
    pub bytes: u64,
}

#[derive(Deserialize)]
struct TaskPart {
    pid: u32,
    tid: u32,
    ppid: Option<u32>,
    parents: Option<Vec<ParentPart>>,
    start_time: Option<Time>,
    comm: Arc<str>,
    cmdline: Option<Arc<str>>,
    user: Option<Arc<str>>,
    uid: Option<u32>,
    prio: Option<Arc<str>>,
    cgroup: Option<Arc<str>>,
    unit: Option<Arc<str>>,
    container: Option<Arc<str>>,
    kthread: bool,
    exited: bool,
    tasks: u64,
    read_bytes: Option<u64>,
    write_bytes: Option<u64>,
    cancelled_write_bytes: Option<u64>,
    read_char: Option<u64>,
    write_char: Option<u64>,
    read_syscalls: Option<u64>,
    write_syscalls: Option<u64>,
    blkio_count: Option<u64>,
    blkio_delay_ns: Option<u64>,
    swapin_count: Option<u64>,
    swapin_delay_ns: Option<u64>,
    block_read_bytes: Option<u64>,
    dirtied_bytes: Option<u64>,
    dirty_pending_bytes: Option<u64>,
    cancelled_dirty_bytes: Option<u64>,
    throttled_ns: Option<u64>,
    throttle_count: Option<u64>,
    sync_count: Option<u64>,
    block_write_self_bytes: Option<u64>,
    block_write_flushed_bytes: Option<u64>,
    block_write_shared_bytes: Option<u64>,
    journal_bytes: Option<u64>,
    home_bytes: Option<u64>,
    tree_bytes: Option<u64>,
    submitted_for_others_bytes: Option<u64>,
    lag_ns: TaskLagPart,
    raw: TaskRaw,
}

#[derive(Deserialize)]
struct ParentPart {
    pid: u32,
    comm: Arc<str>,
}

#[derive(Deserialize)]
struct TaskLagPart {
    max: Option<u64>,
}

impl TaskPart {
    fn block(&self) -> Option<TaskBlock> {
        Some(TaskBlock {
            read: self.block_read_bytes?,
            dirtied: self.dirtied_bytes,
            dirty_pending: self.dirty_pending_bytes,
            cancelled: self.cancelled_dirty_bytes,
            throttled_ns: self.throttled_ns,
            throttles: self.throttle_count,
            syncs: self.sync_count,
            write_self: self.block_write_self_bytes?,
            write_flushed: self.block_write_flushed_bytes?,
            write_shared: self.block_write_shared_bytes?,
            metadata: Metadata {
                journal: self.journal_bytes?,
                home: self.home_bytes?,
                tree: self.tree_bytes?,
            },
            submitted_for_others: self.submitted_for_others_bytes?,
            lag: self
                .lag_ns
                .max
                .zip(self.raw.lag)
                .map(|(max, (sum, pages))| Lag {
                    sum: Duration::from_nanos(sum),
                    max: Duration::from_nanos(max),
                    pages,
                }),
        })
    }
}

impl From<TaskPart> for Task {
    fn from(part: TaskPart) -> Task {
        let block = part.block();
        let parents = part.parents.map(|parents| {
            let parent = |parent: ParentPart| Parent {
                pid: parent.pid,
                comm: parent.comm,
            };
            parents.into_iter().map(parent).collect()
        });
        Task {
            pid: part.pid,
            tid: part.tid,
            start_boottime: part.raw.start_boottime_ns,
            cgroup_id: part.raw.cgroup_id,
            ppid: part.ppid,
            parents,
            start_time: part
                .start_time
                .map(|time| time.whole(part.raw.start_time_ns)),
            comm: part.comm,
            cmdline: part.raw.cmdline.or(part.cmdline),
            user: part.user,
            uid: part.uid,
            cgroup: part.cgroup,
            unit: part.unit,
            container: part.container,
            prio: part.prio,
            kthread: part.kthread,
            exited: part.exited,
            crowd: part.raw.crowd.then_some(part.tasks),
            stats: TaskCounters {
                read_bytes: part.read_bytes,
                write_bytes: part.write_bytes,
                cancelled_write_bytes: part.cancelled_write_bytes,
                read_char: part.read_char,
                write_char: part.write_char,
                read_syscalls: part.read_syscalls,
                write_syscalls: part.write_syscalls,
                blkio_count: part.blkio_count,
                blkio_delay_ns: part.blkio_delay_ns,
                swapin_count: part.swapin_count,
                swapin_delay_ns: part.swapin_delay_ns,
            },
            block,
        }
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Whole, D::Error> {
        TaskPart::deserialize(deserializer).map(|part| Whole(part.into()))
    }
}

#[derive(Deserialize)]
pub(super) struct FactPart {
    pub owner: Option<RowPart>,
    pub submitter: Option<RowPart>,
    pub device: DevicePart,
    pub ino: u64,
    pub file: u32,
    pub path: Option<Arc<str>>,
    #[serde(deserialize_with = "class")]
    pub class: Class,
    flush: u32,
    pub bytes: u64,
    pub ios: u64,
    lag_ns: Option<FactLag>,
    lag_tick_ns: u64,
    lag_classes: Vec<u64>,
}

#[derive(Deserialize)]
pub(super) struct RowPart {
    pub row: usize,
}

#[derive(Deserialize)]
struct FactLag {
    sum: u64,
    max: u64,
    pages: u64,
}

#[derive(Deserialize)]
pub(super) struct DevicePart {
    pub major: u32,
    pub minor: u32,
    pub name: Arc<str>,
}

fn class<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Class, D::Error> {
    let name = String::deserialize(deserializer)?;
    let class = Class::ALL
        .into_iter()
        .find(|class| class_name(*class) == name);
    class.ok_or_else(|| D::Error::custom(format_args!("no class is called {name:?}")))
}

impl FactPart {
    pub fn flush(&self) -> FlushId {
        FlushId(self.flush)
    }

    pub fn lag(&self) -> Option<Lag> {
        self.lag_ns.as_ref().map(|lag| Lag {
            sum: Duration::from_nanos(lag.sum),
            max: Duration::from_nanos(lag.max),
            pages: lag.pages,
        })
    }

    pub fn lags(&self) -> Lags {
        lags(self.lag_tick_ns, &self.lag_classes)
    }
}

fn lags(tick_ns: u64, classes: &[u64]) -> Lags {
    let mut pages = [0; LAGS];
    for (class, n) in pages.iter_mut().zip(classes) {
        *class = *n;
    }
    Lags {
        tick: Duration::from_nanos(tick_ns),
        pages,
    }
}

impl LagRaw {
    /// With the maximum that the line has.
    pub fn lag(&self) -> FlushLag {
        FlushLag {
            lag: Lag {
                sum: Duration::from_nanos(self.sum_ns),
                max: Duration::from_nanos(self.max_ns),
                pages: self.pages,
            },
            lags: lags(self.tick_ns, &self.classes),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct DeviceTotals {
    pub device: DevicePart,
    #[serde(flatten)]
    pub block: Block,
}

#[derive(Deserialize)]
pub(super) struct DiskPart {
    pub device: DevicePart,
    pub busy_ns: u64,
    pub completed_read_bytes: u64,
    pub completed_write_bytes: u64,
    pub in_flight: u64,
    pub partitions: Vec<Number>,
    pub lower: Vec<Number>,
}
