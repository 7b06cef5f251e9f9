//! Counters: the bytes of each interval, on each device and by each owner.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Write},
    sync::Arc,
};

use jiff::Timestamp;

use super::writer::{Track, Writer};
use crate::{
    host::devices::DeviceNames,
    report::{
        Gather, ReportBy,
        rest::{Rest, owned_facts},
    },
    sample::{BlockTotals, Number, Reason, Sample, by_device},
};

/// The counters, and what they were set to last.
pub(super) struct Counters {
    gather: Gather,
    by: ReportBy,
    owners: HashMap<Option<Arc<str>>, i32>,
    last: BTreeMap<Track, (Arc<str>, u64)>,
}

impl Counters {
    pub fn new(gather: Gather, by: ReportBy, owners: Vec<Option<Arc<str>>>) -> Counters {
        Counters {
            gather,
            by,
            owners: owners.into_iter().zip(0..).collect(),
            last: BTreeMap::new(),
        }
    }

    /// Sets them to the bytes of the interval that begins then.
    pub fn add(
        &mut self,
        sample: &Sample,
        start: Timestamp,
        names: &mut DeviceNames,
        writer: &mut Writer<impl Write>,
    ) -> io::Result<()> {
        let facts = owned_facts(sample);
        let known = BlockTotals::of(&facts);
        let rest = Rest::of(sample, &known).totals();
        let mut now = BTreeMap::new();
        for (device, totals) in by_device(&facts) {
            let name = names.name(device);
            writer.know_device(Some(device), &name)?;
            self.gather.know_device(device, name);
            now.extend(on_device(Some(device), &totals));
        }
        if rest != BlockTotals::default() {
            writer.know_device(None, "device not known")?;
            now.extend(on_device(None, &rest));
        }
        self.gather.feed(sample);
        now.extend(self.by_owner(known.write + rest.write));
        for (track, (name, _)) in &self.last {
            now.entry(track.clone()).or_insert((name.clone(), 0));
        }
        self.set(start, now, writer)
    }

    /// Sets them to 0: the last interval has ended, and no other one follows.
    pub fn end(&mut self, at: Timestamp, writer: &mut Writer<impl Write>) -> io::Result<()> {
        let zeros = self.last.iter();
        let zeros = zeros.map(|(track, (name, _))| (track.clone(), (name.clone(), 0)));
        let zeros = zeros.collect();
        self.set(at, zeros, writer)
    }

    /// Writes all but those that stay 0.
    fn set(
        &mut self,
        at: Timestamp,
        values: BTreeMap<Track, (Arc<str>, u64)>,
        writer: &mut Writer<impl Write>,
    ) -> io::Result<()> {
        for (track, (name, bytes)) in values {
            let last = self.last.get(&track).map_or(0, |(_, last)| *last);
            if (last, bytes) != (0, 0) {
                writer.counter(at, &track, bytes, &name)?;
                self.last.insert(track, (name, bytes));
            }
        }
        Ok(())
    }

    /// The rows that were just gathered, of all these bytes.
    fn by_owner(&mut self, mut rest: u64) -> Vec<(Track, (Arc<str>, u64))> {
        let (rows, mut others) = self.gather.take_written();
        let mut tracks = Vec::new();
        rest = rest.saturating_sub(others);
        for (name, bytes) in rows {
            rest = rest.saturating_sub(bytes);
            let Some(rank) = self.owners.get(&name) else {
                others += bytes;
                continue;
            };
            let name = name.unwrap_or_else(|| format!("no {}", self.by.name()).into());
            tracks.push((Track::Owner(*rank, name.clone()), (name, bytes)));
        }
        // Below all others.
        for (rank, name, bytes) in [
            (i32::MAX - 1, "all others", others),
            (i32::MAX, "no owner", rest),
        ] {
            let name: Arc<str> = name.into();
            tracks.push((Track::Owner(rank, name.clone()), (name, bytes)));
        }
        tracks
    }
}

/// A device's counters, and their values.
fn on_device(
    device: Option<Number>,
    totals: &BlockTotals,
) -> impl Iterator<Item = (Track, (Arc<str>, u64))> {
    let metadata = totals.metadata.total();
    let values = [
        (
            "written: data",
            totals.attributed + totals.shared - metadata,
        ),
        ("written: journals and metadata", metadata),
        ("written: no owner", totals.unattributed.in_total()),
        ("read", totals.read),
        (
            "copies of writes to devices above",
            totals.unattributed[Reason::Stacked],
        ),
    ];
    (0..).zip(values).map(move |(rank, (name, bytes))| {
        let track = Track::OnDevice(device, rank, name);
        (track, (name.into(), bytes))
    })
}
