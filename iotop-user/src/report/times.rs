//! When bytes were written, by the time of the clock, and the largest spikes: what a report shows
//! as plots.

use std::cmp::Reverse;

use jiff::{Timestamp, tz::TimeZone};

use super::clock::{Clock, During};
use crate::sample::{Sample, Spike};

/// Buckets of a row. The whole span has at most 400 of them in a plot.
pub(super) const ROW: usize = 402;
/// Buckets of all written bytes: quarters of an hour for a year. Hours of the day are made of
/// them, in every time zone.
const ALL: usize = 40_000;
/// At most this many spikes are kept.
const SPIKES: usize = 12;
/// Milliseconds of four days. 1 January 1970 was a Thursday: weeks begin on Monday.
const MONDAY: i64 = 4 * 86_400_000;

/// When bytes of a span were written.
#[derive(Clone, Debug)]
pub struct Times {
    /// The zone of the clock.
    pub zone: TimeZone,
    /// Milliseconds from UTC to the clock, so that days begin at midnight. It is that of the
    /// first interval.
    offset: Option<i64>,
    /// All written bytes.
    pub written: Clock,
    /// Written bytes that are in no row.
    pub in_no_row: Clock,
    /// The recorded milliseconds in which it is known what caused writes.
    pub traced: Clock,
    /// The recorded milliseconds without eBPF.
    pub untraced: Clock,
    /// The largest spikes that have ended, largest first.
    spikes: Vec<Spike>,
    /// Those that go on in the last interval.
    open: Vec<Spike>,
}

impl Times {
    /// Nothing was written yet.
    pub fn new(zone: TimeZone) -> Times {
        Times {
            zone,
            offset: None,
            written: Clock::default(),
            in_no_row: Clock::default(),
            traced: Clock::default(),
            untraced: Clock::default(),
            spikes: Vec::new(),
            open: Vec::new(),
        }
    }

    /// The time of a sample's interval on the clock.
    pub(super) fn during(&mut self, sample: &Sample) -> During {
        if self.offset.is_none() {
            let offset = i64::from(self.zone.to_offset(sample.time).seconds()) * 1000;
            self.offset = Some(offset - MONDAY);
        }
        let start = sample.time.saturating_sub(sample.interval);
        During {
            start: self.on_clock(start.unwrap_or(sample.time)),
            end: self.on_clock(sample.time),
        }
    }

    /// Adds the interval of a sample.
    pub(super) fn count(&mut self, sample: &Sample, during: During) {
        let clock = match sample.system.block {
            Some(_) => &mut self.traced,
            None => &mut self.untraced,
        };
        let length = u64::try_from(sample.interval.as_millis()).unwrap_or(u64::MAX);
        clock.add(during, length, ALL);
        let (open, over): (Vec<&Spike>, Vec<&Spike>) =
            sample.spikes.iter().partition(|spike| spike.open);
        self.open = open.into_iter().cloned().collect();
        for spike in over {
            keep(&mut self.spikes, spike);
        }
    }

    /// Adds the bytes of an interval, and the part of them that is in no row.
    pub(super) fn count_bytes(&mut self, during: During, written: u64, in_no_row: u64) {
        self.written.add(during, written, ALL);
        self.in_no_row.add(during, in_no_row, ROW);
    }

    /// The largest spikes, largest first. One that goes on at the end is among them.
    pub fn spikes(&self) -> Vec<Spike> {
        let mut spikes = self.spikes.clone();
        for spike in &self.open {
            keep(&mut spikes, spike);
        }
        spikes
    }

    /// A time on the clock, in the unit of the buckets.
    pub fn on_clock(&self, time: Timestamp) -> i64 {
        time.as_millisecond() + self.offset.unwrap_or(0)
    }

    /// The time that this is on the clock.
    pub fn time(&self, on_clock: i64) -> Timestamp {
        let time = on_clock.saturating_sub(self.offset.unwrap_or(0));
        let [first, last] = [Timestamp::MIN, Timestamp::MAX].map(Timestamp::as_millisecond);
        Timestamp::from_millisecond(time.clamp(first, last)).unwrap_or_default()
    }
}

fn keep(spikes: &mut Vec<Spike>, spike: &Spike) {
    let size = |spike: &Spike| Reverse(spike.written.totals.write);
    let at = spikes.partition_point(|known| size(known) <= size(spike));
    if at < SPIKES {
        spikes.insert(at, spike.clone());
        spikes.truncate(SPIKES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{flushed, spiked};

    #[test]
    fn the_largest_spikes_are_kept_and_one_that_goes_on_is_counted_once() {
        let mut times = Times::new(TimeZone::UTC);
        let mut count = |size: u64, open: bool| {
            let mut sample = spiked(open);
            sample.spikes[0].written.totals.write = size;
            let during = times.during(&sample);
            times.count(&sample, during);
        };
        (0..50).for_each(|size| count(size, false));
        count(70, true);
        count(100, true);
        let sizes = |times: &Times| -> Vec<u64> {
            let spikes = times.spikes();
            spikes.iter().map(|one| one.written.totals.write).collect()
        };
        let wanted: Vec<u64> = [100].into_iter().chain((39..50).rev()).collect();
        assert_eq!(sizes(&times), wanted);
        let sample = flushed();
        let during = times.during(&sample);
        times.count(&sample, during);
        assert_eq!(sizes(&times)[0], 49, "it did not end, and has no size");
    }
}
