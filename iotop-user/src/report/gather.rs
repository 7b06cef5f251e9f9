//! Adds up the samples of a span, in bounded memory.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use iotop_common::Class;
use jiff::{Timestamp, tz::TimeZone};

use super::{
    Report, ReportBy, Span, Times,
    by::{directory, lasting},
    clock::During,
    heavy::{Heavy, Limits},
    rest::{Rest, owned_facts},
    series::Room,
};
use crate::{
    host::devices::{DeviceNames, own_inode},
    sample::{
        BlockFact, BlockTotals, Commits, Flush, FlushFile, FlushOwner, Number, Reason, Sample,
        Unattributed,
    },
    view::{Commands, Place},
};

/// Rows. Each has a long series: with all of them full, 50 MB.
pub(super) const ROWS: Limits = Limits {
    rows: 1000,
    series: Room {
        recent: 1024,
        buckets: 512,
    },
};
/// Files of rows, or tasks of files: with all of them full, 60 MB.
pub(super) const PARTS: Limits = Limits {
    rows: 4000,
    series: Room {
        recent: 256,
        buckets: 64,
    },
};

/// A row's name. `None`: its tasks have no unit, container and so on.
pub(crate) type RowKey = Option<Arc<str>>;
/// A row, and one of its files. Of a file, a directory or a device: one of its commands.
pub(super) type PartKey = (RowKey, Arc<str>);

/// Adds samples up to a [`Report`]. The memory it takes is bounded: of very many rows, the
/// smaller ones are added up.
#[derive(Debug)]
pub struct Gather {
    pub(super) by: ReportBy,
    pub(super) span: Span,
    pub(super) rows: Heavy<RowKey>,
    pub(super) parts: Heavy<PartKey>,
    names: DeviceNames,
    /// The number of the interval, and its end. Intervals without a sample are counted too.
    interval: u64,
    end: Option<Timestamp>,
    /// When bytes were written, if that is wanted.
    times: Option<Times>,
}

impl Gather {
    /// Starts without samples. Names of devices that no sample has are read below `sys_root`.
    pub fn new(by: ReportBy, sys_root: &Path) -> Gather {
        Gather {
            by,
            span: Span::default(),
            rows: Heavy::new(ROWS),
            parts: Heavy::new(PARTS),
            names: DeviceNames::new(sys_root),
            interval: 0,
            end: None,
            times: None,
        }
    }

    /// Also gathers when bytes were written, by the clock of this zone, and the spikes. Takes up
    /// to 30 MB more.
    pub fn with_times(self, zone: TimeZone) -> Gather {
        Gather {
            times: Some(Times::new(zone)),
            ..self
        }
    }

    /// Adds a sample. Tasks of it must not be grouped, filtered or accumulated.
    pub fn feed(&mut self, sample: &Sample) {
        self.feed_span(sample);
        let during = self.times.as_mut().map(|times| {
            let during = times.during(sample);
            times.count(sample, during);
            during
        });
        let facts = owned_facts(sample);
        let read = self.feed_facts(sample, &facts, during);
        self.feed_totals(sample, &facts, read, during);
        if !self.by.is_of_facts() {
            self.feed_tasks(sample);
            self.feed_commits(sample);
        }
        for flush in &sample.flushes {
            self.feed_flush(sample, flush);
        }
    }

    /// Gives a device the name that it had when it was sampled.
    pub fn know_device(&mut self, device: Number, name: Arc<str>) {
        self.names.know(device, name);
    }

    /// The written bytes of the rows since the last call, and of those that were folded. Only a
    /// report of the time after it can be made then.
    #[cfg(feature = "perfetto")]
    pub(crate) fn take_written(&mut self) -> (Vec<(RowKey, u64)>, u64) {
        self.parts = Heavy::new(PARTS);
        let (rows, other) = std::mem::replace(&mut self.rows, Heavy::new(ROWS)).into_parts();
        let rows = rows.into_iter();
        let rows = rows.map(|(name, kept)| (name, kept.usage.written()));
        (rows.collect(), other.written())
    }

    /// The report; `None` without samples.
    pub fn finish(self) -> Option<Report> {
        self.span.between?;
        // Daily totals do not have them.
        let has_syncs = self.span.daily.days.is_empty();
        let mut report = Report::of(self.by, self.span, self.rows, self.parts);
        report.times = self.times;
        if !has_syncs {
            let rows = report.rows.iter_mut().map(|row| &mut row.usage);
            for usage in rows.chain([&mut report.other]) {
                usage.syncs = None;
                usage.commits.clear();
            }
        }
        Some(report)
    }

    fn feed_span(&mut self, sample: &Sample) {
        let span = &mut self.span;
        let start = sample
            .time
            .saturating_sub(sample.interval)
            .unwrap_or(sample.time);
        span.between = match span.between {
            Some((first, last)) => Some((first.min(start), last.max(sample.time))),
            None => Some((start, sample.time)),
        };
        span.covered = span.covered.saturating_add(sample.interval);
        span.samples += 1;
        span.untraced += u64::from(sample.system.block.is_none());
        span.lost = span.lost + sample.system.lost;
        let missing = self.end.map_or(0.0, |end| {
            // Negative if a clock was set back.
            start.duration_since(end).as_secs_f64() / span.interval().as_secs_f64().max(1e-3)
        });
        self.interval += 1 + missing.round() as u64;
        self.end = Some(sample.time);
        let disks = sample.disks.iter().map(|disk| (disk.number, &disk.name));
        let flushes = sample.flushes.iter();
        let flushes = flushes.map(|flush| (flush.device, &flush.device_name));
        for (device, name) in disks.chain(flushes) {
            self.names.know(device, name.clone());
            span.devices.insert(device, name.clone());
        }
        for (device, _) in &sample.devices {
            let name = || self.names.name(*device);
            span.devices.entry(*device).or_insert_with(name);
        }
    }

    /// Adds the facts to their rows. Returns the bytes that were read there.
    fn feed_facts(&mut self, sample: &Sample, facts: &[BlockFact], during: Option<During>) -> u64 {
        let commands = Commands::new(&sample.tasks);
        let mut read = 0;
        for fact in facts {
            let is_in_total = Reason::of(fact.class).is_none_or(Reason::is_in_total);
            if !is_in_total {
                continue;
            }
            let owner = fact.owner.map(|owner| &sample.tasks[owner]);
            let (row, part) = match (self.by.is_of_facts(), owner) {
                (true, Some(task)) => {
                    let command = ReportBy::Command.of_task(task, &commands);
                    (self.place(sample, fact), command.unwrap_or_default())
                }
                (true, None) if fact.class == Class::Read => {
                    (self.place(sample, fact), "no owner".into())
                }
                (true, None) => {
                    let reason = Reason::of(fact.class).unwrap_or(Reason::Unknown);
                    let part = format!("no owner: {}", reason.sentence());
                    (self.place(sample, fact), part.into())
                }
                (false, Some(task)) => {
                    let place = Place::of(fact, &mut self.names);
                    let name = self.file(sample, place);
                    (self.by.of_task(task, &commands), name)
                }
                (false, None) => continue,
            };
            let usage = self.rows.row(&row);
            usage.count(fact, self.interval, ROWS.series);
            if let Some(during) = during {
                usage.count_time(fact, during);
            }
            self.parts
                .row(&(row, part))
                .count(fact, self.interval, PARTS.series);
            read += BlockTotals::of([fact]).read;
        }
        read
    }

    /// Adds the totals.
    fn feed_totals(
        &mut self,
        sample: &Sample,
        facts: &[BlockFact],
        read: u64,
        during: Option<During>,
    ) {
        let known = BlockTotals::of(facts);
        let rest = Rest::of(sample, &known);
        let in_no_row = match self.by.is_of_facts() {
            true => Unattributed::default(),
            false => known.unattributed,
        };
        let in_no_row = in_no_row + rest.unattributed;
        let totals = known + rest.totals();
        if let (Some(times), Some(during)) = (&mut self.times, during) {
            times.count_bytes(during, totals.write, in_no_row.in_total());
        }
        self.span.in_no_row = self.span.in_no_row + in_no_row;
        self.span.read_in_no_row += totals.read - read;
        self.span.totals = self.span.totals + totals;
    }

    fn feed_tasks(&mut self, sample: &Sample) {
        let commands = Commands::new(&sample.tasks);
        for task in sample.tasks.iter().filter(|task| task.is_active()) {
            let row = self.by.of_task(task, &commands);
            self.rows.row(&row).count_task(task);
        }
    }

    /// Adds why bytes were written.
    fn feed_flush(&mut self, sample: &Sample, flush: &Flush) {
        let commands = Commands::new(&sample.tasks);
        let reason: Arc<str> = flush.reason.name().into();
        for owner in &flush.written.owners {
            let row = self.by.of_task(&owner.task, &commands);
            if !self.by.is_of_facts() {
                self.rows.row(&row).count_reason(&reason, owner.bytes);
            }
            for (file, place) in files(flush, owner) {
                let (row, part) = match self.by.is_of_facts() {
                    true => {
                        let command = ReportBy::Command.of_task(&owner.task, &commands);
                        let row = self.row_of(sample, place);
                        self.rows.row(&row).count_reason(&reason, file.bytes);
                        (row, command.unwrap_or_default())
                    }
                    false => (row.clone(), self.file(sample, place)),
                };
                self.parts
                    .row(&(row, part))
                    .count_reason(&reason, file.bytes);
            }
        }
    }

    /// Adds which tasks asked for commits. Several flushes of a device have the same commits.
    fn feed_commits(&mut self, sample: &Sample) {
        let commands = Commands::new(&sample.tasks);
        let by_device: BTreeMap<Number, &Commits> = sample
            .flushes
            .iter()
            .filter_map(|flush| Some((flush.device, flush.commits.as_ref()?)))
            .collect();
        for demand in by_device.values().flat_map(|commits| &commits.asked) {
            if let Some(task) = &demand.task {
                let row = self.by.of_task(task, &commands);
                let call = demand.call.unwrap_or("unknown call").into();
                self.rows.row(&row).count_commits(&call, demand.count);
            }
        }
    }

    /// The row of a fact where rows are places.
    fn place(&mut self, sample: &Sample, fact: &BlockFact) -> RowKey {
        let place = Place::of(fact, &mut self.names);
        self.row_of(sample, place)
    }

    fn row_of(&mut self, sample: &Sample, place: Place) -> RowKey {
        Some(match self.by {
            ReportBy::Device => {
                let device = place.device();
                let names = &mut self.names;
                let known = self.span.devices.entry(device);
                known.or_insert_with(|| names.name(device)).clone()
            }
            ReportBy::Directory => directory(&self.file(sample, place)),
            _ => self.file(sample, place),
        })
    }

    fn file(&mut self, sample: &Sample, place: Place) -> Arc<str> {
        lasting(&place.name(&sample.paths, &mut self.names))
    }
}

/// The files of an owner's part of a flush, with the places that they are.
fn files<'a>(
    flush: &'a Flush,
    owner: &'a FlushOwner,
) -> impl Iterator<Item = (&'a FlushFile, Place)> {
    let device = flush.device;
    owner.files.iter().map(move |file| {
        // Journals and metadata have no inode, or the device's own.
        let is_of_device = file.ino == 0 || file.ino == own_inode(device);
        let place = match is_of_device && owner.metadata.total() != 0 {
            true => Place::Metadata(device),
            false => Place::File((device, file.ino, file.file)),
        };
        (file, place)
    })
}
