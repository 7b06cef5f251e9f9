//! Whose data tasks submitted.

use std::{collections::BTreeMap, collections::HashMap, sync::Arc};

use iotop_common::Class;

use super::{BlockFact, Number, Owned, SharedTask, Task, kind_of_estimate};

/// What one task or process submitted for other owners, by device (name and number) and by the
/// owners' name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Submitted(pub BTreeMap<(Arc<str>, Number), BTreeMap<Arc<str>, Owned>>);

/// For each task or process, what it submitted for other owners.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ForOthers {
    of: HashMap<SubmitterKey, Submitted>,
    processes: bool,
}

/// Identifies a task by its TID and start time, or a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubmitterKey(u32, u64);

impl SubmitterKey {
    /// A process is identified by its PID alone: the submitting thread need not be the
    /// leader, and its start time would differ from the leader's.
    pub fn new(pid: u32, tid: u32, start_boottime: u64, processes: bool) -> SubmitterKey {
        match processes {
            true => SubmitterKey(pid, 0),
            false => SubmitterKey(tid, start_boottime),
        }
    }

    /// The key of a task, or of its process.
    pub fn of(task: &Task, processes: bool) -> SubmitterKey {
        SubmitterKey::new(task.pid, task.tid, task.start_boottime, processes)
    }
}

impl ForOthers {
    /// What tasks, or processes, submitted for others in an interval. `name` returns a device's
    /// name.
    pub fn new(
        facts: &[BlockFact],
        tasks: &[SharedTask],
        processes: bool,
        mut name: impl FnMut(Number) -> Arc<str>,
    ) -> ForOthers {
        let mut all = ForOthers {
            processes,
            ..ForOthers::default()
        };
        for fact in facts {
            let (Some(submitter), Some(owner)) = (fact.submitter, fact.owner) else {
                continue;
            };
            let owner = &tasks[owner];
            let [by, of] = [&tasks[submitter], owner].map(|task| SubmitterKey::of(task, processes));
            if by != of && is_write(fact.class) {
                let submitted = all.of.entry(by).or_default();
                let device = (name(fact.device), fact.device);
                submitted.add(device, &owner.comm, fact.class, fact.bytes);
            }
        }
        all
    }

    /// What a row's task or process submitted, if it did.
    pub fn of(&self, task: &Task) -> Option<&Submitted> {
        self.of.get(&SubmitterKey::of(task, self.processes))
    }

    /// Adds what was submitted in another interval.
    pub fn add(&mut self, other: &ForOthers) {
        self.processes = other.processes;
        for (by, more) in &other.of {
            let submitted = self.of.entry(*by).or_default();
            for (device, owners) in &more.0 {
                let known = submitted.0.entry(device.clone()).or_default();
                for (owner, owned) in owners {
                    let sum = known.entry(owner.clone()).or_default();
                    *sum = *sum + *owned;
                }
            }
        }
    }

    /// Keeps only what was submitted to these devices.
    pub fn retain(&mut self, devices: &[Number]) {
        self.of.retain(|_, submitted| {
            submitted
                .0
                .retain(|(_, number), _| devices.contains(number));
            !submitted.0.is_empty()
        });
    }
}

impl Submitted {
    /// Adds bytes of one owner.
    pub fn add(&mut self, device: (Arc<str>, Number), owner: &Arc<str>, class: Class, bytes: u64) {
        let estimated = kind_of_estimate(class).map_or(0, |_| bytes);
        let owners = self.0.entry(device).or_default();
        let owned = owners.entry(owner.clone()).or_default();
        *owned = *owned + Owned::new(bytes, estimated);
    }
}

/// True if bytes of the class count as submitted by a task. Copies on lower devices do not:
/// the write to the upper device is already counted.
pub fn is_write(class: Class) -> bool {
    !matches!(class, Class::Read | Class::Stacked)
}
