//! What moved in the last minute, by owner, submitter, device and file: the source of
//! the detail page. If thousands of files were written, only the latest intervals keep
//! files apart.

use std::{
    collections::{HashMap, HashSet, VecDeque, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use iotop_common::Class;

use super::{rows::Scope, waited::Waited};
use crate::{
    cli::GroupBy,
    collect::Chosen,
    host::devices::DeviceNames,
    output::reached::write_calls,
    sample::{FlushLag, Number, Parent, Sample, Task, TaskKey, sum},
    view::{By, Commands, OnDevice, Place, fields::shown_command},
};

/// How far back movements are kept.
const SPAN: Duration = Duration::from_secs(60);
/// At most this many movements keep files apart. The newest interval always does: it
/// may have as many movements as files were written.
const BY_FILE: usize = 8_000;
/// At most this many movements are kept besides those of the newest interval.
const MOST: usize = 20_000;

/// The last minute. While the screen is frozen, also the minute before the freeze.
#[derive(Debug, Default)]
pub struct Recent {
    intervals: VecDeque<Interval>,
    people: HashMap<TaskKey, Arc<Person>>,
    /// Number of intervals that came since the screen was frozen.
    held: usize,
}

/// One interval.
#[derive(Debug)]
pub struct Interval {
    /// How long it was.
    pub length: Duration,
    /// What moved.
    pub movements: Vec<Movement>,
    /// The counters of the tasks that have to do with block devices.
    pub counted: Vec<Counted>,
    /// Movements that differed only by file were merged.
    pub folded: bool,
}

/// What was counted for one task in one interval.
#[derive(Clone, Debug)]
pub struct Counted {
    /// The task.
    pub task: Arc<Person>,
    /// Bytes that it wrote with system calls, and the number of calls, if there were any.
    pub calls: Option<(u64, u64)>,
    /// Bytes read from storage.
    pub read: u64,
    /// Bytes of page cache made dirty, and of direct writes.
    pub dirtied: u64,
    /// Time spent waiting for block I/O, ns.
    pub io: u64,
}

impl Counted {
    fn of(person: Arc<Person>, task: &Task) -> Option<Counted> {
        let read = || task.block.map(|block| block.read);
        let counted = Counted {
            task: person,
            calls: write_calls(task).filter(|calls| *calls != (0, 0)),
            read: task.stats.read_bytes.or_else(read).unwrap_or(0),
            dirtied: task.stats.write_bytes.unwrap_or(0),
            io: task.stats.blkio_delay_ns.unwrap_or(0),
        };
        let any = counted.read | counted.dirtied | counted.io != 0;
        (any || counted.calls.is_some()).then_some(counted)
    }
}

/// A task, with what is needed to tell whose bytes a movement is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Its identity.
    pub key: TaskKey,
    /// Its process.
    pub pid: u32,
    /// Its name.
    pub comm: Arc<str>,
    /// Its process's name.
    pub program: Arc<str>,
    /// Its ancestors.
    pub parents: Option<Arc<[Parent]>>,
    /// Its command line.
    pub cmdline: Option<Arc<str>>,
    /// Its user.
    pub user: Option<Arc<str>>,
    /// Its user's ID.
    pub uid: Option<u32>,
    /// Its cgroup.
    pub cgroup: Option<Arc<str>>,
    /// Its unit.
    pub unit: Option<Arc<str>>,
    /// Its container.
    pub container: Option<Arc<str>>,
    /// Whether it is a kernel thread.
    pub kthread: bool,
}

impl Person {
    /// Whether the task is in a part of the machine, whatever the device.
    pub fn is_in(&self, scope: &Scope) -> bool {
        let Scope {
            pids, uids, filter, ..
        } = scope;
        let command = || shown_command(&self.comm, self.cmdline.as_deref(), self.kthread);
        let is_chosen = |chosen: &Chosen| chosen.is_its(self.pid, self.key.start_boottime);
        (pids.is_empty() || pids.iter().any(is_chosen))
            && (uids.is_empty() || self.uid.is_some_and(|uid| uids.contains(&uid)))
            && filter
                .as_ref()
                .is_none_or(|filter| filter.matches_names(&self.comm, &command()))
    }
}

/// Bytes of one owner and submitter in one interval, and of one file unless the
/// interval is folded.
#[derive(Clone, Debug)]
pub struct Movement {
    /// The owner, if there is one.
    pub owner: Option<Arc<Person>>,
    /// The submitter, if it is known.
    pub submitter: Option<Arc<Person>>,
    /// The device.
    pub device: Number,
    /// The device's name.
    pub device_name: Arc<str>,
    /// The file's path, or its device and inode; `None`: several files.
    pub file: Option<Arc<str>>,
    /// How the bytes were attributed.
    pub class: Class,
    /// Bytes.
    pub bytes: u64,
    /// How long they had been dirty.
    pub lag: Option<Waited>,
}

const _: () = assert!(size_of::<Movement>() <= 104);

impl Movement {
    /// Whether it counts for one of these devices. Stacked copies count for none: their
    /// bytes were counted before.
    pub fn is_on(&self, device: Option<&OnDevice>) -> bool {
        self.class != Class::Stacked
            && device.is_none_or(|device| device.numbers.contains(&self.device))
    }

    /// Adds another movement that differs at most by file.
    fn add(&mut self, other: &Movement) {
        if self.file != other.file {
            self.file = None;
        }
        self.bytes += other.bytes;
        let lags = [&self.lag, &other.lag].map(|lag| lag.as_ref().map(FlushLag::from));
        self.lag = sum(lags[0], lags[1]).map(|lag| lag.into());
    }
}

impl Interval {
    /// Merges movements that differ only by file.
    fn fold(&mut self) {
        if std::mem::replace(&mut self.folded, true) {
            return;
        }
        let pointer = |person: &Option<Arc<Person>>| person.as_ref().map(Arc::as_ptr);
        let mut places: HashMap<_, usize> = HashMap::new();
        let mut folded: Vec<Movement> = Vec::new();
        for movement in self.movements.drain(..) {
            let key = (
                pointer(&movement.owner),
                pointer(&movement.submitter),
                movement.device,
                movement.class,
            );
            match places.entry(key) {
                Entry::Occupied(place) => folded[*place.get()].add(&movement),
                Entry::Vacant(place) => {
                    place.insert(folded.len());
                    folded.push(movement);
                }
            }
        }
        folded.shrink_to_fit();
        self.movements = folded;
    }
}

impl Recent {
    /// Adds an interval, and drops what is too old or too much.
    pub fn add(&mut self, sample: &Sample, devices: &mut DeviceNames, frozen: bool) {
        let commands = &Commands::new(&sample.tasks);
        let mut movements = Vec::with_capacity(sample.facts.len());
        for fact in &sample.facts {
            let device_name = devices.name(fact.device);
            let file = Place::of(fact, devices).name(&sample.paths, devices);
            movements.push(Movement {
                owner: fact
                    .owner
                    .map(|at| self.person(&sample.tasks[at], commands)),
                submitter: fact
                    .submitter
                    .map(|at| self.person(&sample.tasks[at], commands)),
                device: fact.device,
                device_name,
                file: Some(file),
                class: fact.class,
                bytes: fact.bytes,
                lag: fact.lag.map(|lag| {
                    let lags = fact.lags;
                    FlushLag { lag, lags }.into()
                }),
            });
        }
        // Most tasks that write only write to pipes and sockets.
        let tasks = sample.tasks.iter();
        let tasks = tasks.filter(|task| task.did_io() || task.has_dirty_pages());
        let counted = tasks.filter_map(|task| Counted::of(self.person(task, commands), task));
        let counted = counted.collect();
        self.intervals.push_back(Interval {
            length: sample.interval,
            movements,
            counted,
            folded: false,
        });
        if frozen {
            self.held += 1;
        } else {
            self.held = 0;
        }
        self.forget();
        // Drop the people that no movement refers to any more.
        self.people
            .retain(|_, person| Arc::strong_count(person) > 1);
    }

    fn person(&mut self, task: &Task, commands: &Commands<'_>) -> Arc<Person> {
        let now = Person {
            key: task.key(),
            pid: task.pid,
            comm: task.comm.clone(),
            program: commands.comm(task),
            parents: task.parents.clone(),
            cmdline: task.cmdline.clone(),
            user: task.user.clone(),
            uid: task.uid,
            cgroup: task.cgroup.clone(),
            unit: task.unit.clone(),
            container: task.container.clone(),
            kthread: task.kthread,
        };
        let known = self.people.entry(task.key());
        let known = known.or_insert_with(|| Arc::new(now.clone()));
        if **known != now {
            // For example, it executed a program or moved to another cgroup.
            *known = Arc::new(now);
        }
        known.clone()
    }

    /// Makes the intervals that came during a freeze visible.
    pub fn go_on(&mut self) {
        self.held = 0;
        self.forget();
    }

    /// Drops what is too old or too much, but nothing that a frozen screen shows.
    fn forget(&mut self) {
        let seen = match self.held {
            0 => 0,
            held => self.intervals.len() - held,
        };
        // The newest interval always keeps files apart.
        let (mut by_file, mut full) = (0, false);
        for (age, interval) in self.intervals.range_mut(seen..).rev().enumerate() {
            by_file += interval.movements.len();
            full |= age != 0 && by_file > BY_FILE;
            if full {
                interval.fold();
            }
        }
        let newest = self.intervals.back().map(|interval| interval.length);
        let (mut span, mut movements) = (newest.unwrap_or_default(), 0);
        let fits = |interval: &&Interval| {
            span += interval.length;
            movements += interval.movements.len();
            span <= SPAN && movements <= MOST
        };
        let older = self.intervals.range(seen..).rev().skip(1);
        let kept = (1 + older.take_while(fits).count()).min(self.intervals.len());
        self.intervals.drain(seen..self.intervals.len() - kept);
        self.held = self.held.min(kept);
    }

    /// The visible intervals, oldest first.
    pub fn intervals(&self) -> impl DoubleEndedIterator<Item = &Interval> {
        let seen = self.intervals.len() - self.held;
        self.intervals.range(..seen)
    }

    /// The visible intervals that know such rows: folded ones don't know files.
    pub fn intervals_by(&self, by: GroupBy) -> impl DoubleEndedIterator<Item = &Interval> {
        self.intervals()
            .filter(move |interval| by != GroupBy::File || !interval.folded)
    }

    /// How far back files are kept apart; `None` if all intervals keep them apart.
    pub fn told_apart(&self) -> Option<Duration> {
        let length = |interval: &Interval| interval.length;
        let apart = || self.intervals_by(GroupBy::File).map(length).sum();
        self.intervals().any(|interval| interval.folded).then(apart)
    }

    /// The devices or files that were read or written.
    pub fn names(&self, by: By) -> HashSet<Arc<str>> {
        let name = |movement: &Movement| match by {
            By::Device => Some(movement.device_name.clone()),
            By::File => movement.file.clone(),
            By::Command | By::Parents | By::User | By::Cgroup | By::Unit | By::Container => None,
        };
        let intervals = self
            .intervals()
            .filter(|interval| by != By::File || !interval.folded);
        intervals
            .flat_map(|interval| &interval.movements)
            .filter_map(name)
            .collect()
    }

    #[cfg(test)]
    fn span(&self) -> Duration {
        self.intervals().map(|interval| interval.length).sum()
    }

    #[cfg(test)]
    fn movements(&self) -> impl Iterator<Item = &Movement> {
        self.intervals().flat_map(|interval| &interval.movements)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{golden, sample::BlockFact};

    #[test]
    fn a_frozen_screen_keeps_what_it_shows() {
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
        assert_eq!(recent.people.len(), 6);
        let first = recent.movements().next().expect("some");
        assert_eq!(first.file.as_deref(), Some("/srv/x"));
        let mut many = golden::sample();
        many.facts = vec![many.facts[0]; MOST + 1];
        recent.add(&many, &mut devices, false);
        let newest = recent.intervals().next_back().expect("one");
        assert_eq!(
            newest.movements.len(),
            MOST + 1,
            "the newest keeps files apart"
        );
        recent.add(&golden::sample(), &mut devices, false);
        let counts = recent.intervals().map(|interval| interval.movements.len());
        assert_eq!(counts.skip(27).collect::<Vec<_>>(), [5, 1, 5]);
        assert_eq!(recent.people.len(), 6);
    }

    #[test]
    fn older_intervals_of_many_files_are_folded_and_no_byte_is_lost() {
        let mut devices = DeviceNames::new(Path::new("/nonexistent"));
        let mut recent = Recent::default();
        let mut many = golden::sample();
        let one = many.facts[0];
        let fact = |ino| BlockFact { ino, ..one };
        many.facts = (1..=BY_FILE as u64 / 2).map(fact).collect();
        for _ in 0..30 {
            recent.add(&many, &mut devices, false);
        }
        assert_eq!(recent.span(), SPAN);
        assert_eq!(recent.told_apart(), Some(2 * many.interval));
        assert_eq!(recent.names(By::File).len(), BY_FILE / 2);
        let apart = recent.intervals_by(GroupBy::File).count();
        assert_eq!((apart, recent.intervals().count()), (2, 30));
        for interval in recent.intervals() {
            let bytes: u64 = interval.movements.iter().map(|m| m.bytes).sum();
            assert_eq!(bytes, one.bytes * BY_FILE as u64 / 2);
            let pages = interval.movements.iter().filter_map(|m| m.lag.as_ref());
            let pages: u64 = pages.map(|lag| FlushLag::from(lag).lag.pages).sum();
            let each = one.lag.expect("it waited").pages;
            assert_eq!(pages, each * BY_FILE as u64 / 2);
        }
        let oldest = recent.movements().next().expect("some");
        assert_eq!(oldest.file, None);
    }
}
