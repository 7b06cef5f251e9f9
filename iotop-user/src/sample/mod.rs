//! The Sample: the one data structure between gathering and showing.
//!
//! Bytes are bytes, times are nanoseconds unless their type says more. `None`
//! means "not known", never 0. Counters are the interval's own (or, after
//! [`crate::collect`] has accumulated them, totals since start).

mod block;
mod counters;
mod disk;
mod fact;
mod flush;
mod lags;
mod lost;
mod run;
mod shared;
mod spike;
mod sum;
mod system;
mod task;
mod time;
mod totals;
mod unattributed;
mod written;

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;

pub use block::TaskBlock;
pub use counters::TaskCounters;
pub use disk::Disk;
pub use fact::{BlockFact, FileKey, by_device};
pub use flush::{Flush, FlushFile, FlushOwner, FlushReason};
pub use lags::{FlushLag, Lag, Lags};
pub use lost::{Loss, Lost};
pub use run::{Asker, Run};
pub use shared::SharedTask;
pub use spike::{Spike, SpikePart, SpikeRule};
pub use sum::sum;
pub use system::System;
pub use task::{Task, TaskKey};
pub(crate) use time::{nanoseconds, rfc3339};
pub use totals::BlockTotals;
pub use unattributed::{Reason, Unattributed};
pub use written::Written;

/// A device's major and minor number.
pub type Number = (u32, u32);

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
