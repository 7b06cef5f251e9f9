//! Adds samples up to the totals of a day.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use iotop_common::Class;
use jiff::{Timestamp, civil::Date};

use super::{Kind, MOST_ROWS, Row, RowKey};
use crate::{
    host::devices::DeviceNames,
    report::{ReportBy, directory, lasting, owned},
    sample::{BlockFact, BlockTotals, Lost, Number, Reason, Sample},
    view::{Commands, Place},
};

/// From when to when something was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Between {
    /// The start of the first interval.
    pub start: Timestamp,
    /// The end of the first interval.
    pub first_end: Timestamp,
    /// The end of the last interval.
    pub end: Timestamp,
}

/// The totals of the files of a day that have gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    /// The day, in UTC.
    pub date: Date,
    /// They hold the files of the day up to the one with this number.
    pub through: u32,
    /// From when to when. `None`: no interval of the files could be read.
    pub between: Option<Between>,
    /// The intervals together.
    pub covered: Duration,
    /// Number of intervals.
    pub samples: u64,
    /// The part of them without eBPF.
    pub untraced: u64,
    /// Number of frames that could not be read.
    pub damaged: u64,
    /// Number of frames of a newer program.
    pub newer: u64,
    /// True if earlier totals of the day could not be read: the files before are missing here.
    pub incomplete: bool,
    /// All block I/O.
    pub totals: BlockTotals,
    /// What the samples lost.
    pub lost: Lost,
    /// The last names of the devices.
    pub devices: BTreeMap<Number, Arc<str>>,
    /// The rows. They add up to the totals.
    pub rows: HashMap<RowKey, Row>,
}

impl Ledger {
    /// Totals of a day without any file.
    pub fn new(date: Date) -> Ledger {
        Ledger {
            date,
            through: 0,
            between: None,
            covered: Duration::ZERO,
            samples: 0,
            untraced: 0,
            damaged: 0,
            newer: 0,
            incomplete: false,
            totals: BlockTotals::default(),
            lost: Lost::default(),
            devices: BTreeMap::new(),
            rows: HashMap::new(),
        }
    }

    /// Adds a sample.
    pub fn feed(&mut self, sample: &Sample, names: &mut DeviceNames) {
        self.feed_span(sample);
        self.feed_facts(sample, names);
        let commands = Commands::new(&sample.tasks);
        for task in sample.tasks.iter().filter(|task| task.is_active()) {
            let mut row = Row::default();
            row.count_task(task);
            if row.is_nothing() {
                continue;
            }
            let key = RowKey {
                unit: task.unit.clone(),
                container: task.container.clone(),
                command: ReportBy::Command.of_task(task, &commands),
                ..RowKey::of(Kind::Task)
            };
            self.row(key).merge(&row);
        }
    }

    fn feed_span(&mut self, sample: &Sample) {
        let end = sample.time;
        let start = end.saturating_sub(sample.interval).unwrap_or(end);
        let one = Between {
            start,
            first_end: end,
            end,
        };
        let between = self.between.get_or_insert(one);
        between.start = between.start.min(start);
        between.first_end = between.first_end.min(end);
        between.end = between.end.max(end);
        self.covered = self.covered.saturating_add(sample.interval);
        self.samples += 1;
        self.untraced += u64::from(sample.system.block.is_none());
        self.lost = self.lost + sample.system.lost;
    }

    fn feed_facts(&mut self, sample: &Sample, names: &mut DeviceNames) {
        let commands = Commands::new(&sample.tasks);
        let mut known = BlockTotals::default();
        let mut on_device: BTreeMap<Number, BlockTotals> = BTreeMap::new();
        for fact in &sample.facts {
            let fact = owned(fact, sample);
            known.count(&fact);
            on_device.entry(fact.device).or_default().count(&fact);
            if !Reason::of(fact.class).is_none_or(Reason::is_in_total) {
                continue;
            }
            let task = fact.owner.map(|owner| &sample.tasks[owner]);
            let reason = match (task, fact.class) {
                (Some(_), _) | (None, Class::Read) => None,
                (None, class) => Some(Reason::of(class).unwrap_or(Reason::Unknown)),
            };
            let key = RowKey {
                kind: Kind::Row,
                unit: task.and_then(|task| task.unit.clone()),
                container: task.and_then(|task| task.container.clone()),
                command: task.and_then(|task| ReportBy::Command.of_task(task, &commands)),
                directory: directory_of(&fact, sample, names),
                device: Some(self.device(fact.device, names)),
                reason,
            };
            let one = BlockTotals::of([&fact]);
            self.row(key).count(&one, fact.bios);
        }
        self.feed_rest(sample, &known, &on_device, names);
    }

    /// Adds the totals, and what the totals have beyond the facts: that has no owner and no
    /// directory. It has a device if those of the devices say so.
    fn feed_rest(
        &mut self,
        sample: &Sample,
        known: &BlockTotals,
        on_device: &BTreeMap<Number, BlockTotals>,
        names: &mut DeviceNames,
    ) {
        let all = sample.system.block.unwrap_or_default();
        let rest = all.beyond(known);
        let of_devices = sample.devices.iter().map(|(device, totals)| {
            let known = on_device.get(device).copied().unwrap_or_default();
            (Some(*device), totals.beyond(&known))
        });
        let of_devices: Vec<_> = of_devices.collect();
        let add = |sum: u64, bytes: u64| sum.saturating_add(bytes);
        let adds_up = Reason::ALL.into_iter().all(|reason| {
            let parts = of_devices.iter().map(|(_, rest)| rest[reason]);
            parts.fold(0, add) == rest[reason] || !reason.is_in_total()
        });
        let parts = match adds_up {
            true => of_devices,
            false => vec![(None, rest)],
        };
        for (device, rest) in parts {
            let missing = rest.parts();
            for (reason, bytes) in missing.filter(|(reason, n)| *n != 0 && reason.is_in_total()) {
                let device = device.map(|device| self.device(device, names));
                let key = RowKey {
                    device,
                    reason: Some(reason),
                    ..RowKey::of(Kind::Unattributed)
                };
                self.row(key).without_owner += bytes;
            }
        }
        let mut totals = *known;
        totals.write += rest.in_total();
        totals.read = known.read.max(all.read);
        totals.unattributed = totals.unattributed + rest;
        self.totals = self.totals + totals;
    }

    fn device(&mut self, device: Number, names: &mut DeviceNames) -> Number {
        self.devices.insert(device, names.name(device));
        device
    }

    fn row(&mut self, key: RowKey) -> &mut Row {
        if self.rows.len() >= 2 * MOST_ROWS && !self.rows.contains_key(&key) {
            self.fold(MOST_ROWS);
        }
        self.rows.entry(key).or_default()
    }

    /// Keeps at most this many rows that can be told apart, and adds the smaller ones up by
    /// device.
    pub(super) fn fold(&mut self, most: usize) {
        let rows = std::mem::take(&mut self.rows).into_iter();
        let (sums, mut rows): (Vec<_>, Vec<_>) = rows.partition(|(key, _)| key.is_sum());
        // The key decides between equals, so that the same samples have the same totals.
        rows.sort_by(|(a, one), (b, other)| {
            let rank = |row: &Row| Reverse(row.weight());
            rank(one).cmp(&rank(other)).then_with(|| a.cmp(b))
        });
        let folded = rows.split_off(most.min(rows.len()));
        self.rows.extend(sums);
        self.rows.extend(rows);
        for (key, row) in folded {
            self.rows.entry(key.other()).or_default().merge(&row);
        }
    }
}

/// The directory of a fact's file; `None` if the file's path is not known.
fn directory_of(fact: &BlockFact, sample: &Sample, names: &mut DeviceNames) -> Option<Arc<str>> {
    let place = Place::of(fact, names);
    match place {
        Place::File(file) if !sample.paths.contains_key(&file) => None,
        _ => Some(directory(&lasting(&place.name(&sample.paths, names)))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::golden;

    fn names() -> DeviceNames {
        DeviceNames::new(Path::new("/nonexistent"))
    }

    fn sums(ledger: &Ledger) -> (u64, u64) {
        let rows = ledger.rows.values();
        rows.fold((0, 0), |(written, read), row| {
            (written + row.written(), read + row.read)
        })
    }

    #[test]
    fn the_rows_add_up_to_the_totals_whatever_is_missing() {
        let mut ledger = Ledger::new("2026-11-28".parse().expect("a day"));
        for sample in [
            golden::sample(),
            golden::journaled(),
            golden::without_ebpf(),
        ] {
            ledger.feed(&sample, &mut names());
        }
        let mut factless = golden::sample();
        factless.facts.truncate(1);
        ledger.feed(&factless, &mut names());
        assert_eq!(sums(&ledger).0, ledger.totals.write);
        assert_eq!((ledger.samples, ledger.untraced), (4, 1));
        let parts = ledger.totals.attributed + ledger.totals.shared;
        let none = ledger.totals.unattributed.in_total();
        assert_eq!(parts + none, ledger.totals.write);
    }

    #[test]
    fn rows_that_are_too_many_are_added_up_by_device_and_no_byte_is_lost() {
        let mut ledger = Ledger::new("2026-11-28".parse().expect("a day"));
        let mut sample = golden::sample();
        for n in 0..5000_u64 {
            for task in &mut sample.tasks {
                let mut one = crate::sample::Task::clone(task);
                one.unit = Some(format!("unit-{n}.service").into());
                *task = one.into();
            }
            ledger.feed(&sample, &mut names());
        }
        assert!(
            ledger.rows.len() <= 2 * MOST_ROWS + 32,
            "{}",
            ledger.rows.len()
        );
        assert_eq!(sums(&ledger).0, ledger.totals.write);
        let on_devices = |ledger: &Ledger| {
            let mut on: BTreeMap<_, u64> = BTreeMap::new();
            for (key, row) in &ledger.rows {
                *on.entry(key.device).or_default() += row.written();
            }
            on.retain(|_, bytes| *bytes != 0);
            on
        };
        let before = on_devices(&ledger);
        ledger.fold(10);
        assert_eq!(on_devices(&ledger), before);
        assert_eq!(sums(&ledger).0, ledger.totals.write);
    }
}
