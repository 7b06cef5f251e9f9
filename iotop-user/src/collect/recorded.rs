//! What of a recorded sample is wanted. A recorder gathers everything; this leaves of it what a
//! collector would have returned.

use std::{collections::HashSet, mem, sync::Arc, time::Duration};

use super::{
    Exited, Rows, Wanted,
    processes::processes,
    select::{few_exited, of_wanted},
    wake::Wakes,
};
use crate::sample::{Disk, ForOthers, Number, Sample, Task, Wake, WakeRule};

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

/// Leaves out the disks that were idle: no request was in flight, and no bio was submitted.
pub fn leave_out_idle_disks(sample: &mut Sample) {
    let asked: HashSet<Number> = sample.facts.iter().map(|fact| fact.device).collect();
    let is_asked = |disk: &Disk| disk.numbers().any(|number| asked.contains(&number));
    sample
        .disks
        .retain(|disk| disk.was_busy() || is_asked(disk));
}

/// Finds the wake-ups in a recording. A disk that a sample lacks was idle, so it is as it was last
/// seen, without I/O.
#[derive(Debug)]
pub struct ReplayedWakes {
    wakes: Wakes,
    /// The last sample's number.
    seq: Option<u64>,
    /// In the order of the kernel.
    disks: Vec<Disk>,
}

impl ReplayedWakes {
    /// Starts watching.
    pub fn new(rule: WakeRule) -> ReplayedWakes {
        ReplayedWakes {
            wakes: Wakes::new(rule),
            seq: None,
            disks: Vec::new(),
        }
    }

    /// Adds an interval and returns the wake-ups in it. `ending` says that it is the last one.
    /// Nothing may have been taken away from the sample.
    pub fn look(&mut self, sample: &mut Sample, ending: bool) -> Vec<Wake> {
        // Another recorder, perhaps on another machine: the frame has all disks.
        if self.seq.is_some_and(|seq| sample.seq != seq + 1) {
            self.disks.clear();
        }
        self.seq = Some(sample.seq);
        for disk in &mut self.disks {
            (disk.busy, disk.read, disk.write, disk.in_flight) = (Duration::ZERO, 0, 0, 0);
        }
        for disk in &sample.disks {
            match self
                .disks
                .iter_mut()
                .find(|known| known.number == disk.number)
            {
                Some(known) => known.clone_from(disk),
                None => self.disks.push(disk.clone()),
            }
        }
        let recorded = mem::replace(&mut sample.disks, self.disks.clone());
        // Tasks have their names.
        let wakes = self.wakes.look(sample, ending, |_| ());
        sample.disks = recorded;
        wakes
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
