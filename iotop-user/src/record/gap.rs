//! Parts of a recording without samples.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

use crate::{output::units::long, sample::Sample};

/// Intervals follow each other to the microsecond, but clocks are set.
const LEAST: Duration = Duration::from_secs(1);

/// A part of a recording in which nothing was recorded: no recorder ran, the machine slept, or a
/// frame is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The end of the sample before it.
    pub from: Timestamp,
    /// The start of the sample after it.
    pub until: Timestamp,
}

impl Gap {
    /// The gap between a sample that ended at `end` and the next one. `None` if it is shorter
    /// than half an interval.
    pub fn before(sample: &Sample, end: Timestamp) -> Option<Gap> {
        let until = start(sample);
        let missing = Duration::try_from(until.duration_since(end)).ok()?;
        let is_one = missing > LEAST.max(sample.interval / 2);
        is_one.then_some(Gap { from: end, until })
    }

    /// How long it is.
    pub fn length(&self) -> Duration {
        self.until.duration_since(self.from).unsigned_abs()
    }

    /// `no samples from 2026-11-28 03:10:00 to 03:42:10 (32m10s)`.
    pub fn words(&self, zone: &TimeZone) -> String {
        let [from, until] = [self.from, self.until].map(|time| zone.to_datetime(time));
        let from_words = from.strftime("%F %T");
        let until_words = match from.date() == until.date() {
            true => until.strftime("%T"),
            false => until.strftime("%F %T"),
        };
        format!(
            "no samples from {from_words} to {until_words} ({})",
            long(self.length())
        )
    }
}

/// When a sample's interval began.
pub fn start(sample: &Sample) -> Timestamp {
    let start = sample.time.checked_sub(sample.interval);
    start.unwrap_or(sample.time)
}

/// A time on the clock of this machine: `2026-11-28 03:10:00+01:00`.
pub fn local(time: Timestamp) -> String {
    let time = time.to_zoned_datetime(TimeZone::system());
    time.strftime("%F %T%:z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    #[test]
    fn only_a_part_that_is_worth_the_word_is_a_gap() {
        let mut sample = golden::sample();
        sample.interval = Duration::from_secs(10);
        let before = |seconds: f64| {
            let end = start(&sample) - Duration::from_secs_f64(seconds);
            Gap::before(&sample, end).map(|gap| gap.length().as_secs_f64())
        };
        assert_eq!(
            [0.0, 0.001, 4.9, 5.1].map(before),
            [None, None, None, Some(5.1)]
        );
        let overlapping = Gap::before(&sample, sample.time);
        assert_eq!(overlapping, None, "the clock was set back");
    }

    #[test]
    fn a_gap_has_local_times_and_the_day_once_unless_it_has_two() {
        let time = |text: &str| text.parse::<Timestamp>().expect("a time");
        let zone = TimeZone::get("Europe/Berlin").expect("known");
        let words = |from, until| {
            let (from, until) = (time(from), time(until));
            Gap { from, until }.words(&zone)
        };
        assert_eq!(
            words("2026-11-28T02:10:00.4Z", "2026-11-28T02:42:10.4Z"),
            "no samples from 2026-11-28 03:10:00 to 03:42:10 (32m10s)"
        );
        assert_eq!(
            words("2026-11-28T22:10:00Z", "2026-11-29T02:10:00Z"),
            "no samples from 2026-11-28 23:10:00 to 2026-11-29 03:10:00 (4h00m)"
        );
    }
}
