//! What moved in the last minute, by owner, submitter, device and file: what a
//! detail is made of.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use iotop_common::Class;

use crate::{
    cli::OnDevice,
    collect::{
        By, FlushLag, Sample, Task, TaskKey,
        devices::{DeviceNames, Number},
        group::file_name,
    },
};

/// How far back.
const SPAN: Duration = Duration::from_secs(60);
/// How many movements at most: they may be as many as files were written.
const MOST: usize = 30_000;

/// The last minute. While the screen stands still it is the minute before that.
#[derive(Debug, Default)]
pub struct Recent {
    intervals: VecDeque<Interval>,
    people: HashMap<TaskKey, Arc<Person>>,
    /// How many of the intervals came since the screen stands still.
    held: usize,
}

/// One interval.
#[derive(Debug)]
pub struct Interval {
    /// How long it was.
    pub length: Duration,
    /// What moved.
    pub movements: Vec<Movement>,
}

/// A task, as far as it tells whose bytes they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Its identity.
    pub key: TaskKey,
    /// Its process.
    pub pid: u32,
    /// Its name.
    pub comm: Arc<str>,
    /// Its user.
    pub user: Option<Arc<str>>,
    /// Its cgroup.
    pub cgroup: Option<Arc<str>>,
    /// Its unit.
    pub unit: Option<Arc<str>>,
    /// Its container.
    pub container: Option<Arc<str>>,
    /// A kernel thread.
    pub kthread: bool,
}

/// Bytes of one file, owner and submitter in one interval.
#[derive(Clone, Debug)]
pub struct Movement {
    /// Whose bytes they are.
    pub owner: Option<Arc<Person>>,
    /// Who submitted them.
    pub submitter: Option<Arc<Person>>,
    /// The device.
    pub device: Number,
    /// The device's name.
    pub device_name: Arc<str>,
    /// The file's path, or its device and inode.
    pub file: Arc<str>,
    /// How they came to their owner.
    pub class: Class,
    /// Bytes.
    pub bytes: u64,
    /// How long they had been dirty.
    pub lag: Option<FlushLag>,
}

impl Movement {
    /// Whether it went to one of these devices; stacked copies did so before.
    pub fn is_on(&self, device: Option<&OnDevice>) -> bool {
        self.class != Class::Stacked
            && device.is_none_or(|device| device.numbers.contains(&self.device))
    }
}

impl Recent {
    /// Takes in an interval, and forgets what is too long ago or too much.
    pub fn add(&mut self, sample: &Sample, devices: &mut DeviceNames, frozen: bool) {
        let mut movements = Vec::with_capacity(sample.facts.len());
        for fact in &sample.facts {
            let device_name = devices.name(fact.device);
            let file = match sample.paths.get(&fact.file_key()) {
                Some(path) => path.clone(),
                None => file_name(&device_name, fact.ino),
            };
            movements.push(Movement {
                owner: fact.owner.map(|at| self.person(&sample.tasks[at])),
                submitter: fact.submitter.map(|at| self.person(&sample.tasks[at])),
                device: fact.device,
                device_name,
                file,
                class: fact.class,
                bytes: fact.bytes,
                lag: fact.lag.map(|lag| FlushLag {
                    lag,
                    lags: fact.lags,
                }),
            });
        }
        self.intervals.push_back(Interval {
            length: sample.interval,
            movements,
        });
        if frozen {
            self.held += 1;
        } else {
            self.held = 0;
        }
        self.forget();
        // Who is in no movement any more is held by nobody else.
        self.people
            .retain(|_, person| Arc::strong_count(person) > 1);
    }

    fn person(&mut self, task: &Task) -> Arc<Person> {
        let now = Person {
            key: task.key(),
            pid: task.pid,
            comm: task.comm.clone(),
            user: task.user.clone(),
            cgroup: task.cgroup.clone(),
            unit: task.unit.clone(),
            container: task.container.clone(),
            kthread: task.kthread,
        };
        let known = self.people.entry(task.key());
        let known = known.or_insert_with(|| Arc::new(now.clone()));
        if **known != now {
            // It executed a program, or changed its cgroup.
            *known = Arc::new(now);
        }
        known.clone()
    }

    /// Shows what was held back.
    pub fn go_on(&mut self) {
        self.held = 0;
        self.forget();
    }

    /// Forgets what is too long ago or too much, but nothing that is seen.
    fn forget(&mut self) {
        let seen = match self.held {
            0 => 0,
            held => self.intervals.len() - held,
        };
        let (mut span, mut movements) = (Duration::ZERO, 0);
        let fits = |interval: &&Interval| {
            span += interval.length;
            movements += interval.movements.len();
            span <= SPAN && movements <= MOST
        };
        // The newest is whole.
        let kept = self.intervals.range(seen..).rev().take_while(fits).count();
        let kept = kept.max(1).min(self.intervals.len());
        self.intervals.drain(seen..self.intervals.len() - kept);
        self.held = self.held.min(kept);
    }

    /// The intervals that are seen, oldest first.
    pub fn intervals(&self) -> impl DoubleEndedIterator<Item = &Interval> {
        let seen = self.intervals.len() - self.held;
        self.intervals.range(..seen)
    }

    /// How long they are.
    pub fn span(&self) -> Duration {
        self.intervals().map(|interval| interval.length).sum()
    }

    /// The devices or files that were read or written.
    pub fn names(&self, by: By) -> HashSet<Arc<str>> {
        let name = |movement: &Movement| match by {
            By::Device => Some(movement.device_name.clone()),
            By::File => Some(movement.file.clone()),
            By::User | By::Cgroup | By::Unit | By::Container => None,
        };
        self.movements().filter_map(name).collect()
    }

    /// All movements, oldest first.
    pub fn movements(&self) -> impl Iterator<Item = &Movement> {
        self.intervals().flat_map(|interval| &interval.movements)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::output::golden;

    #[test]
    fn what_is_seen_stays_while_the_screen_stands_still() {
        let mut devices = DeviceNames::new(Path::new("/nonexistent"));
        let mut recent = Recent::default();
        recent.add(&golden::sample(), &mut devices, false);
        for _ in 0..100 {
            recent.add(&golden::sample(), &mut devices, true);
            assert_eq!(recent.movements().count(), 5);
        }
        recent.go_on();
        assert_eq!(recent.span(), SPAN);
        assert_eq!(recent.movements().count(), 30 * 5);
    }

    #[test]
    fn the_last_minute_is_remembered_and_no_more() {
        let mut devices = DeviceNames::new(Path::new("/nonexistent"));
        let mut recent = Recent::default();
        for _ in 0..100 {
            recent.add(&golden::sample(), &mut devices, false);
        }
        assert_eq!(recent.span(), SPAN);
        assert_eq!(recent.movements().count(), 30 * 5);
        assert_eq!(recent.people.len(), 5);
        let first = recent.movements().next().expect("some");
        assert_eq!(&*first.file, "/srv/x");
        let mut many = golden::sample();
        many.facts = vec![many.facts[0]; MOST + 1];
        recent.add(&many, &mut devices, false);
        assert_eq!(recent.movements().count(), MOST + 1, "the newest is whole");
        recent.add(&golden::sample(), &mut devices, false);
        assert_eq!(recent.movements().count(), 5);
        assert_eq!(recent.people.len(), 5);
    }
}
