//! Finds wake-ups: the first requests to a disk after silence.
//!
//! The rule: a disk is silent in an interval in which its counters in /proc/diskstats do not
//! move, nothing is in flight, and no bio is submitted to it or to one of its partitions. If
//! requests come after at least one such interval, and the silence lasted for `idle`, that is a
//! wake-up. How long it lasted is known to within the two intervals around it; the middle
//! decides.
//!
//! A sample says what was requested in an interval, but not in which order. So all tasks with
//! requests in the first interval are suspects. A write is its owner's, whoever submits it.
//! Requests to a device on top of the disk (dm, md) count as requests to the disk, and only the
//! disks at the bottom are reported unless the rule says otherwise.
//!
//! The counters are read a moment after the bios are counted. If they have moved but no bio was
//! seen, the next interval says who submitted it.

mod asked;
mod rhythm;

use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::Arc,
    time::Duration,
};

use asked::Found;
use rhythm::Rhythms;

use crate::sample::{Disk, Number, Sample, Silence, Task, Wake, WakeRule};

/// At most this many suspects are named.
const SUSPECTS: usize = 10;

/// Watches all disks for wake-ups.
#[derive(Debug)]
pub struct Wakes {
    rule: WakeRule,
    /// The time on the clock of all intervals, without gaps such as a suspend.
    now: Duration,
    /// The same when the watch began, or when intervals were last missing.
    since: Duration,
    seq: Option<u64>,
    disks: HashMap<Number, Watched>,
    rhythms: Rhythms,
}

/// A part of the clock: an interval.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: Duration,
    to: Duration,
}

/// What is known of one disk.
#[derive(Debug, Default)]
struct Watched {
    /// The last interval with requests.
    busy: Option<Span>,
    /// Who made requests to devices on top of it in the last interval, while it was silent.
    earlier: Vec<Found>,
    /// A wake-up of the last interval, in which no bio was seen.
    waiting: Option<(Wake, Span)>,
}

impl Wakes {
    /// Starts watching.
    pub fn new(rule: WakeRule) -> Wakes {
        Wakes {
            rule,
            now: Duration::ZERO,
            since: Duration::ZERO,
            seq: None,
            disks: HashMap::new(),
            rhythms: Rhythms::default(),
        }
    }

    /// Adds an interval and returns the wake-ups in it. `ending` says that it is the last one.
    /// `name` looks up the names of a task that read.
    pub fn look(
        &mut self,
        sample: &Sample,
        ending: bool,
        mut name: impl FnMut(&mut Task),
    ) -> Vec<Wake> {
        if self.seq.is_some_and(|seq| sample.seq != seq + 1) {
            // Nobody knows what the disks did in the missing intervals.
            self.since = self.now;
            self.disks.clear();
        }
        self.seq = Some(sample.seq);
        let span = Span {
            from: self.now,
            to: self.now + sample.interval,
        };
        self.now = span.to;
        let asked: HashSet<Number> = sample.facts.iter().map(|fact| fact.device).collect();
        let can_wait = !ending && sample.system.block.is_some();
        let mut wakes = Vec::new();
        let upper = self.rule.upper;
        let disks = sample.disks.iter();
        for disk in disks.filter(|disk| upper || disk.lower.is_empty()) {
            let own: HashSet<Number> = disk.numbers().collect();
            let above = above(disk, &sample.disks);
            let all: HashSet<Number> = own.union(&above).copied().collect();
            let watched = self.disks.entry(disk.number).or_default();
            let waiting = watched.waiting.take();
            let is_busy = disk.was_busy() || !own.is_disjoint(&asked);
            if let Some((wake, at)) = waiting {
                let found = asked::requests(sample, &all, &mut name);
                wakes.push(self.rhythms.finish(wake, at, found, &sample.disks));
            }
            if !is_busy {
                watched.earlier = asked::requests(sample, &above, &mut name);
                continue;
            }
            let earlier = mem::take(&mut watched.earlier);
            let silence = silence(watched.busy.replace(span), self.since, span);
            if !is_long(silence, span, self.rule.idle) {
                continue;
            }
            let wake = wake(disk, silence, sample);
            let found = [
                asked::requests(sample, &all, &mut name),
                earlier,
                asked::copies(sample, &own, &mut name),
            ];
            match found.into_iter().find(|found| !found.is_empty()) {
                None if can_wait => watched.waiting = Some((wake, span)),
                found => {
                    let found = found.unwrap_or_default();
                    wakes.push(self.rhythms.finish(wake, span, found, &sample.disks));
                }
            }
        }
        wakes
    }
}

/// How long a disk was silent before this interval, in which it is busy.
fn silence(last: Option<Span>, since: Duration, now: Span) -> Silence {
    Silence {
        at_least: now.from - last.map_or(since, |last| last.to),
        at_most: last.map(|last| now.to - last.from),
    }
}

fn is_long(silence: Silence, now: Span, idle: Duration) -> bool {
    let middle = match silence.at_most {
        Some(at_most) => (silence.at_least + at_most) / 2,
        None => silence.at_least + (now.to - now.from) / 2,
    };
    !silence.at_least.is_zero() && middle >= idle
}

fn wake(disk: &Disk, silence: Silence, sample: &Sample) -> Wake {
    let start = sample.time.checked_sub(sample.interval);
    Wake {
        disk: disk.number,
        disk_name: Arc::clone(&disk.name),
        numbers: disk.numbers().collect(),
        start: start.unwrap_or(sample.time),
        end: sample.time,
        silence,
        through: Vec::new(),
        suspects: Vec::new(),
        more: (0, 0),
    }
}

/// The numbers of the devices on top of a disk, directly or not, and of their partitions.
fn above(disk: &Disk, disks: &[Disk]) -> HashSet<Number> {
    let mut below: HashSet<Number> = disk.numbers().collect();
    let mut above = HashSet::new();
    loop {
        let on_top = |upper: &&Disk| {
            let is_on = upper.lower.iter().any(|lower| below.contains(lower));
            is_on && !below.contains(&upper.number)
        };
        let Some(upper) = disks.iter().find(on_top) else {
            return above;
        };
        above.extend(upper.numbers());
        below.extend(upper.numbers());
    }
}

#[cfg(test)]
mod tests;
