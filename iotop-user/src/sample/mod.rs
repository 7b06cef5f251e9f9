//! The sample: all data of one interval, from the collector to the outputs.
//!
//! A number without a unit in its type is in bytes or nanoseconds, as its name or
//! documentation says. `None` means "not known", never 0. Counters are those of the
//! interval, or totals since the start once [`crate::view::Accumulator`] has added them up.

mod block;
mod commits;
mod counters;
mod crowd;
mod disk;
mod fact;
mod flush;
mod for_others;
mod lags;
mod lost;
mod metadata;
mod owned;
mod run;
mod shared;
mod spike;
mod sum;
mod system;
mod task;
mod time;
mod totals;
mod unanswered;
mod unattributed;
mod wake;
mod written;

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;

pub use block::TaskBlock;
pub use commits::{Commits, Demand};
pub use counters::TaskCounters;
pub use disk::Disk;
pub use fact::{BlockFact, FileKey, by_device, class_name};
pub use flush::{Flush, FlushFile, FlushOwner, FlushReason};
pub use for_others::{ForOthers, Submitted, SubmitterKey, is_write};
pub use lags::{FlushLag, Lag, Lags};
pub use lost::{Loss, Lost};
pub use metadata::{Metadata, kind_of_estimate};
pub use owned::Owned;
pub use run::{Asker, Run};
pub use shared::SharedTask;
pub use spike::{Spike, SpikePart, SpikeRule};
pub use sum::sum;
pub use system::System;
pub use task::{Parent, Task, TaskKey, chain};
pub(crate) use time::{nanoseconds, rfc3339};
pub use totals::BlockTotals;
pub use unanswered::Unanswered;
pub use unattributed::{Reason, Unattributed};
pub use wake::{Request, Rhythm, Silence, Suspect, Wake, WakeRule};
pub use written::Written;

/// A device's major and minor number.
pub type Number = (u32, u32);

/// Everything gathered in one interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// 1 for the first interval.
    pub seq: u64,
    /// The end of the interval.
    pub time: Timestamp,
    /// The interval's measured length.
    pub interval: Duration,
    /// The machine as a whole.
    pub system: System,
    /// Tasks with something to report. If `Rows::All` is wanted, all live tasks too.
    pub tasks: Vec<SharedTask>,
    /// Tasks that exited in the interval, also those without I/O.
    pub exited: Vec<TaskKey>,
    /// Processes that the user chose by number, and of which the last thread has exited.
    pub ended: Vec<u32>,
    /// Names without an answer. Each kind is told once.
    pub unanswered: Vec<Unanswered>,
    /// Bytes of each (owner, submitter, device, inode, class) in the interval. Facts of
    /// owners that are not in `tasks` are left out.
    pub facts: Vec<BlockFact>,
    /// The devices with I/O and their totals, over all tasks.
    pub devices: Vec<((u32, u32), BlockTotals)>,
    /// Paths of the facts' files, as far as they are known; empty unless flushes are wanted.
    pub paths: HashMap<FileKey, Arc<str>>,
    /// The whole disks that had any I/O since boot, with their I/O in the interval.
    pub disks: Vec<Disk>,
    /// The flushes, those with most bytes first; empty unless they are wanted.
    pub flushes: Vec<Flush>,
    /// Spikes that ended in the interval, and those that go on.
    pub spikes: Vec<Spike>,
    /// Disks that were woken; empty unless wake-ups are wanted.
    pub wakes: Vec<Wake>,
    /// What tasks submitted for others; empty unless it is wanted.
    pub for_others: ForOthers,
    /// The tasks, or facts, added up by user, cgroup, device and so on; `None` unless
    /// grouping is wanted.
    pub groups: Option<Vec<Group>>,
}

/// Tasks, or facts, that have something in common, and their I/O in the interval.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    /// What they have in common: the name of a user or device, the path of a cgroup and so
    /// on. `None`: it is not known, or there is none.
    pub name: Option<Arc<str>>,
    /// Number of tasks.
    pub tasks: u64,
    /// The sum of the tasks' counters; not known for a device or file.
    pub stats: TaskCounters,
    /// The sum of the tasks' block I/O; `None` without eBPF.
    pub block: Option<TaskBlock>,
    /// Bytes that were written there and have no owner. `None` unless grouped by device or
    /// file, and if some tasks were filtered out.
    pub unattributed: Option<Unattributed>,
}

impl Sample {
    /// Keeps the wanted tasks. See [`Sample::retain_tasks`] for the facts.
    pub fn keep_tasks(&mut self, wanted: impl Fn(&Task) -> bool) {
        let keep: Vec<bool> = self.tasks.iter().map(|task| wanted(task)).collect();
        self.retain_tasks(&keep);
    }

    /// Keeps the tasks at the indices where `keep` is true. Of the facts, keeps those whose
    /// owner is kept and those without an owner.
    pub fn retain_tasks(&mut self, keep: &[bool]) {
        let mut kept = 0;
        let new_index: Vec<Option<usize>> = keep
            .iter()
            .map(|keep| {
                kept += usize::from(*keep);
                keep.then(|| kept - 1)
            })
            .collect();
        let mut keep_next = keep.iter();
        self.tasks.retain(|_| *keep_next.next().unwrap_or(&false));
        self.facts.retain(|fact| fact.owner.is_none_or(|n| keep[n]));
        for fact in &mut self.facts {
            fact.owner = fact.owner.and_then(|n| new_index[n]);
            fact.submitter = fact.submitter.and_then(|n| new_index[n]);
        }
    }
}
