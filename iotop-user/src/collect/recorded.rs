//! What of a recorded sample is wanted. A recorder gathers everything; this leaves of it what a
//! collector would have returned.

use std::sync::Arc;

use super::{
    Exited, Rows, Wanted,
    processes::processes,
    select::{few_exited, of_wanted},
};
use crate::sample::{ForOthers, Number, Sample, Task};

/// What a recorder asks of its collector.
pub fn everything() -> Wanted {
    Wanted {
        rows: Rows::Disk,
        leaders: true,
        flushes: true,
        exited: Exited::Few(2000),
        spikes: Some(crate::sample::SpikeRule::default()),
        ..Wanted::default()
    }
}

/// Takes away what is not wanted, and adds up threads if processes are. `name` returns a device's
/// name.
pub fn as_wanted(sample: &mut Sample, wanted: &Wanted, name: impl FnMut(Number) -> Arc<str>) {
    sample.for_others = match wanted.for_others {
        true => ForOthers::new(&sample.facts, &sample.tasks, wanted.processes, name),
        false => ForOthers::default(),
    };
    if !wanted.pids.is_empty() {
        let is_of = |task: &Task| [task.pid, task.tid].iter().any(|n| wanted.pids.contains(n));
        sample.keep_tasks(is_of);
    }
    of_wanted(sample, &[], &wanted.uids);
    if wanted.processes {
        // The recorder has added the leaders that did nothing.
        processes(sample, |_| None);
    }
    let rows = wanted.rows;
    let is_leader = |task: &Task| wanted.leaders && task.tid == task.pid;
    sample.keep_tasks(|task| is_leader(task) || rows.has(task));
    if let Exited::Few(most) = wanted.exited {
        few_exited(sample, most);
    }
    if !wanted.flushes {
        sample.flushes.clear();
        sample.paths.clear();
    }
    if wanted.spikes.is_none() {
        sample.spikes.clear();
    }
}
