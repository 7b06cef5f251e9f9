//! What the lines of a recording have beyond those of an export: what a reader needs to restore
//! the sample exactly. It is the object `raw` of a line.

use std::{collections::HashMap, sync::Arc, time::Duration};

use iotop_common::{FlushId, LAGS};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use super::ndjson::TaskLine;
use crate::sample::{
    Demand, Flush, FlushLag, FlushOwner, FlushReason, Run, Sample, Spike, Task, TaskCounters,
    TaskKey, Unanswered, nanoseconds,
};

/// A task's number and its start after boot, ns.
pub(crate) type Key = (u32, u64);

/// Of a `system` line.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SystemRaw {
    /// What `time` lacks, ns.
    pub time_ns: u32,
    pub interval_ns: u64,
    pub dirty_before_bytes: Option<u64>,
    pub background_threshold_bytes: Option<u64>,
    pub dirty_threshold_bytes: Option<u64>,
    /// The task counters that this machine has.
    pub counted: Vec<String>,
    /// Tasks that exited.
    pub exited: Vec<Key>,
    /// Chosen processes that ended.
    pub ended: Vec<u32>,
    pub unnamed_users: Vec<u32>,
    pub unread_command_lines: Vec<u32>,
}

impl SystemRaw {
    pub(crate) fn of(sample: &Sample) -> SystemRaw {
        let system = &sample.system;
        let counted = TaskCounters::NAMES.into_iter().zip(system.counted.fields());
        let counted = counted.filter(|(_, value)| value.is_some());
        let unanswered =
            |of: fn(&Unanswered) -> Option<u32>| sample.unanswered.iter().filter_map(of).collect();
        SystemRaw {
            time_ns: below_micros(sample.time),
            interval_ns: nanoseconds(sample.interval),
            dirty_before_bytes: system.dirty_before_bytes,
            background_threshold_bytes: system.background_threshold_bytes,
            dirty_threshold_bytes: system.dirty_threshold_bytes,
            counted: counted.map(|(name, _)| name.to_owned()).collect(),
            exited: sample.exited.iter().map(key).collect(),
            ended: sample.ended.clone(),
            unnamed_users: unanswered(|one| match one {
                Unanswered::User(uid) => Some(*uid),
                Unanswered::CommandLine(_) => None,
            }),
            unread_command_lines: unanswered(|one| match one {
                Unanswered::CommandLine(pid) => Some(*pid),
                Unanswered::User(_) => None,
            }),
        }
    }
}

/// Of a `task` line.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct TaskRaw {
    /// The start after boot, ns.
    pub start_boottime_ns: u64,
    /// What `start_time` lacks, ns.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_time_ns: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup_id: Option<u64>,
    /// The row is shared by several tasks.
    #[serde(skip_serializing_if = "is_false")]
    pub crowd: bool,
    /// The whole command line, if it is cut in `cmdline`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmdline: Option<Arc<str>>,
    /// The sum of the pages' times, ns, and the number of pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<(u64, u64)>,
}

impl TaskRaw {
    pub(crate) fn of(task: &Task, whole: Option<&Arc<str>>) -> TaskRaw {
        let lag = task.block.and_then(|block| block.lag);
        TaskRaw {
            start_boottime_ns: task.start_boottime,
            start_time_ns: task.start_time.map_or(0, below_micros),
            cgroup_id: task.cgroup_id,
            crowd: task.is_crowd(),
            cmdline: whole.cloned(),
            lag: lag.map(|lag| (nanoseconds(lag.sum), lag.pages)),
        }
    }
}

/// A task that a flush or a spike names: the number of its row among the interval's `task`
/// lines, or all of it if no row says the same.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum TaskRef {
    Row(usize),
    Whole(Box<Whole>),
}

/// A task with the fields of a `task` line.
#[derive(Debug)]
pub(crate) struct Whole(pub Task);

impl Serialize for Whole {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        TaskLine::recorded(&self.0).serialize(serializer)
    }
}

/// The rows of a sample.
pub(crate) struct Rows<'a> {
    sample: &'a Sample,
    index: HashMap<TaskKey, usize>,
}

impl Rows<'_> {
    pub(crate) fn of(sample: &Sample) -> Rows<'_> {
        let keys = sample.tasks.iter().map(|task| task.key());
        Rows {
            sample,
            index: keys.zip(0..).collect(),
        }
    }

    fn find(&self, task: &Task) -> TaskRef {
        let at = self.index.get(&task.key()).copied();
        match at.filter(|at| *self.sample.tasks[*at] == *task) {
            Some(at) => TaskRef::Row(at),
            None => TaskRef::Whole(Box::new(Whole(task.clone()))),
        }
    }
}

/// How long pages had been dirty.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LagRaw {
    pub sum_ns: u64,
    pub max_ns: u64,
    pub pages: u64,
    /// The unit of the classes.
    pub tick_ns: u64,
    /// Pages by class: class 0 is below a tick, each next one twice as long. Those after the last
    /// one have none.
    pub classes: Vec<u64>,
}

impl LagRaw {
    fn of(lag: &FlushLag) -> LagRaw {
        LagRaw {
            sum_ns: nanoseconds(lag.lag.sum),
            max_ns: nanoseconds(lag.lag.max),
            pages: lag.lag.pages,
            tick_ns: nanoseconds(lag.lags.tick),
            classes: classes(&lag.lags.pages),
        }
    }
}

/// Without the classes at the end that have no pages.
pub(crate) fn classes(pages: &[u64; LAGS]) -> Vec<u64> {
    let used = pages.iter().rposition(|pages| *pages != 0);
    pages[..used.map_or(0, |last| last + 1)].to_vec()
}

/// What an owner of a flush or spike has beyond `owners`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OwnerRaw {
    pub task: TaskRef,
    pub lag: Option<LagRaw>,
    /// Of each of its `files`, the bits that tell files with one inode number apart.
    pub files: Vec<u32>,
}

impl OwnerRaw {
    fn of(owner: &FlushOwner, rows: &Rows) -> OwnerRaw {
        OwnerRaw {
            task: rows.find(&owner.task),
            lag: owner.lag.as_ref().map(LagRaw::of),
            files: owner.files.iter().map(|file| file.file).collect(),
        }
    }
}

/// What kind of reason `reason` is: "sync" is a flusher's reason and a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ReasonKind {
    Writeback,
    Journal,
    Home,
    Reclaim,
    Direct,
    Syscall,
    Task,
    Kthread,
}

impl ReasonKind {
    fn of(reason: &FlushReason) -> ReasonKind {
        match reason {
            FlushReason::Writeback(_) => ReasonKind::Writeback,
            FlushReason::Journal => ReasonKind::Journal,
            FlushReason::Home => ReasonKind::Home,
            FlushReason::Reclaim => ReasonKind::Reclaim,
            FlushReason::Direct => ReasonKind::Direct,
            FlushReason::Syscall(_) => ReasonKind::Syscall,
            FlushReason::Task => ReasonKind::Task,
            FlushReason::Kthread => ReasonKind::Kthread,
        }
    }
}

/// Of one of a flush's `runs`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RunRaw {
    pub flusher: Key,
    /// Which of its runs it is, as in `fact` lines.
    pub flush: u32,
    pub cgroup_id: u64,
    /// What `start` and `end` lack, ns.
    pub times_ns: (u32, u32),
    pub asker: Option<TaskRef>,
}

impl RunRaw {
    fn of(run: &Run, rows: &Rows) -> RunRaw {
        let (flusher, FlushId(flush)) = &run.key;
        RunRaw {
            flusher: key(flusher),
            flush: *flush,
            cgroup_id: run.cgroup_id,
            times_ns: (
                run.start.map_or(0, below_micros),
                run.end.map_or(0, below_micros),
            ),
            asker: run.asker.as_ref().map(|asker| rows.find(&asker.task)),
        }
    }
}

/// Of a `flush` line. Each list goes with the list of the same name in the line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FlushRaw {
    pub kind: ReasonKind,
    pub submitter: Option<TaskRef>,
    /// Bytes of a journal's log or of a btrfs tree.
    pub logged_bytes: u64,
    pub runs: Vec<RunRaw>,
    pub asked: Vec<Option<TaskRef>>,
    pub waited: Vec<Option<TaskRef>>,
    pub lag: Option<LagRaw>,
    pub owners: Vec<OwnerRaw>,
}

impl FlushRaw {
    pub(crate) fn of(flush: &Flush, rows: &Rows) -> FlushRaw {
        let tasks = |demands: &[Demand]| -> Vec<Option<TaskRef>> {
            let tasks = demands.iter().map(|demand| demand.task.as_ref());
            tasks.map(|task| task.map(|task| rows.find(task))).collect()
        };
        let commits = flush.commits.as_ref();
        let owners = flush.written.owners.iter();
        FlushRaw {
            kind: ReasonKind::of(&flush.reason),
            submitter: flush.submitter.as_ref().map(|task| rows.find(task)),
            logged_bytes: flush.logged,
            runs: flush.runs.iter().map(|run| RunRaw::of(run, rows)).collect(),
            asked: commits.map_or(Vec::new(), |commits| tasks(&commits.asked)),
            waited: commits.map_or(Vec::new(), |commits| tasks(&commits.waited)),
            lag: flush.written.lag.as_ref().map(LagRaw::of),
            owners: owners.map(|owner| OwnerRaw::of(owner, rows)).collect(),
        }
    }
}

/// Of a `spike` line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SpikeRaw {
    /// It goes on. An export has no line for it yet.
    pub open: bool,
    /// What `start`, `end` and `oldest` lack, ns.
    pub times_ns: (u32, u32, u32),
    /// The number of bios.
    pub ios: u64,
    /// The kind of the reason of each of its `parts`.
    pub kinds: Vec<ReasonKind>,
    pub lag: Option<LagRaw>,
    pub owners: Vec<OwnerRaw>,
}

impl SpikeRaw {
    pub(crate) fn of(spike: &Spike, rows: &Rows) -> SpikeRaw {
        let kinds = spike.parts.iter().map(|part| ReasonKind::of(&part.reason));
        let owners = spike.written.owners.iter();
        SpikeRaw {
            open: spike.open,
            times_ns: (
                below_micros(spike.start),
                below_micros(spike.end),
                spike.oldest.map_or(0, below_micros),
            ),
            ios: spike.written.bios,
            kinds: kinds.collect(),
            lag: spike.written.lag.as_ref().map(LagRaw::of),
            owners: owners.map(|owner| OwnerRaw::of(owner, rows)).collect(),
        }
    }
}

fn key(key: &TaskKey) -> Key {
    (key.tid, key.start_boottime)
}

/// What is cut from a time in the exports, ns.
pub(crate) fn below_micros(time: Timestamp) -> u32 {
    u32::try_from(time.subsec_nanosecond().rem_euclid(1000)).unwrap_or(0)
}

/// The time of a line, with what it lacks.
pub(crate) fn whole_time(time: Timestamp, below_micros: u32) -> Option<Timestamp> {
    time.checked_add(Duration::from_nanos(below_micros.into()))
        .ok()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
