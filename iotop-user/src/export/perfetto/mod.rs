//! A recording as a trace for <https://ui.perfetto.dev>: what is written to each device and by each
//! of the largest owners as counters, and flushes and spikes as slices.
//!
//! A counter's value is the bytes of an interval, and is set at its start. So the values of a counter
//! add up to all of its bytes.

mod counters;
mod flushes;
mod proto;
mod writer;

use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::Arc,
};

use jiff::{Timestamp, tz::TimeZone};

use self::{
    counters::Counters,
    flushes::Lanes,
    proto::Annotation,
    writer::{Slice, Track, Writer},
};
use crate::{
    host::devices::DeviceNames,
    output::{Explain, units},
    report::{Gather, ReportBy},
    sample::{Number, Sample, Spike},
};

/// Writes the trace while samples come.
pub struct Export<W> {
    writer: Writer<W>,
    counters: Counters,
    lanes: Lanes,
    explain: Explain,
    /// Spikes that go on.
    open: BTreeMap<Number, Spike>,
    /// The end of the last interval.
    end: Option<Timestamp>,
}

impl<W: Write> Export<W> {
    /// Begins the trace. `by` says what the owners are, and `owners` which of them have a track of
    /// their own, largest first. `start` is the start of the first interval; `zone` the time zone
    /// of explanations.
    ///
    /// # Errors
    ///
    /// It can't be written.
    pub fn new(
        out: W,
        by: ReportBy,
        owners: Vec<Option<Arc<str>>>,
        start: Timestamp,
        zone: TimeZone,
    ) -> io::Result<Export<W>> {
        Ok(Export {
            writer: Writer::new(out, by.name(), start)?,
            counters: Counters::new(Gather::new(by, "/sys".as_ref()), by, owners),
            lanes: Lanes::default(),
            explain: Explain::new(zone, Vec::new()),
            open: BTreeMap::new(),
            end: None,
        })
    }

    /// Adds a sample. Its tasks must not be grouped, filtered or accumulated.
    ///
    /// # Errors
    ///
    /// The trace can't be written.
    pub fn add(&mut self, sample: &Sample, names: &mut DeviceNames) -> io::Result<()> {
        let interval = self.interval(sample)?;
        self.counters
            .add(sample, interval.0, names, &mut self.writer)?;
        self.unknown(sample, interval)?;
        self.lanes.add(sample, interval, names, &mut self.writer)?;
        for spike in &sample.spikes {
            let known = self.open.remove(&spike.device);
            // The recorder was ended while the older one went on.
            if let Some(older) = known.filter(|known| known.start != spike.start) {
                self.spike(&older)?;
            }
            match spike.open {
                true => _ = self.open.insert(spike.device, spike.clone()),
                false => self.spike(spike)?,
            }
        }
        self.end = Some(interval.1);
        Ok(())
    }

    /// Ends the trace.
    ///
    /// # Errors
    ///
    /// It can't be written.
    pub fn finish(mut self) -> io::Result<()> {
        for (_, spike) in std::mem::take(&mut self.open) {
            self.spike(&spike)?;
        }
        if let Some(end) = self.end {
            self.counters.end(end, &mut self.writer)?;
        }
        self.writer.finish()
    }

    /// The start and the end of the sample's interval. One that follows another one begins where
    /// that ends: the clock of the intervals is not that of their times. A gap says that it is one.
    fn interval(&mut self, sample: &Sample) -> io::Result<(Timestamp, Timestamp)> {
        let start = sample.time.checked_sub(sample.interval);
        let start = start.unwrap_or(sample.time);
        let Some(end) = self.end else {
            return Ok((start, sample.time));
        };
        let apart = start.duration_since(end);
        if apart.unsigned_abs() < sample.interval / 2 && end <= sample.time {
            return Ok((end, sample.time));
        }
        if apart.is_positive() {
            self.counters.end(end, &mut self.writer)?;
            let slice = Slice {
                name: "nothing recorded".to_owned(),
                category: "recording",
                args: Vec::new(),
            };
            let track = Track::Recording;
            self.writer.slice((end, start), &track, RECORDING, slice)?;
        }
        Ok((start, sample.time))
    }

    /// Says what is not known of an interval.
    fn unknown(&mut self, sample: &Sample, interval: (Timestamp, Timestamp)) -> io::Result<()> {
        let lost = sample.system.lost.parts();
        let lost = lost.filter_map(|(loss, n)| Some((loss, n.filter(|n| *n != 0)?)));
        let lost: Vec<_> = lost
            .map(|(loss, n)| Annotation::number(loss.name(), n))
            .collect();
        let untraced = sample.system.block.is_none();
        let mut say = |name: &str, args| {
            let slice = Slice {
                name: name.to_owned(),
                category: "recording",
                args,
            };
            self.writer
                .slice(interval, &Track::Recording, RECORDING, slice)
        };
        if untraced {
            say("without eBPF: who wrote is not known", Vec::new())?;
        }
        match lost.is_empty() {
            true => Ok(()),
            false => say("something was lost", lost),
        }
    }

    fn spike(&mut self, spike: &Spike) -> io::Result<()> {
        let mut explanation = String::new();
        self.explain.spike(&mut explanation, spike);
        let bytes = spike.written.totals.write;
        let rate = |rate: f64| format!("{}/s", units::bytes(rate, false));
        let slice = Slice {
            name: format!(
                "spike: {}, peak {}",
                units::bytes(bytes as f64, false),
                rate(spike.peak)
            ),
            category: "spike",
            args: vec![
                Annotation::number("bytes", bytes),
                Annotation::text("peak", rate(spike.peak)),
                Annotation::text("usually_below", rate(spike.usual)),
                flushes::owners(&spike.written),
                flushes::unattributed(&spike.written),
                Annotation::text("explanation", explanation),
            ],
        };
        let track = Track::Spikes(spike.device);
        self.writer
            .know_device(Some(spike.device), &spike.device_name)?;
        let time = (spike.start, spike.end.max(spike.start));
        self.writer.slice(time, &track, "spikes", slice)
    }
}

const RECORDING: &str = "recording";

#[cfg(test)]
mod tests;
