//! How much of a span has samples.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    output::units::long,
    record::{Gap, Span, start},
    sample::Sample,
};

/// What the samples of a span cover, one after the other.
#[derive(Clone, Debug)]
pub struct Covered {
    /// The start of the span, or of its first sample if the span has no start.
    from: Option<Timestamp>,
    /// The end of the last sample.
    end: Option<Timestamp>,
    until: Option<Timestamp>,
    /// What a recorder may hold back before the end of the span.
    held: Duration,
    /// The length of the last sample.
    last: Duration,
    sum: Duration,
    gaps: u64,
    zone: TimeZone,
}

impl Covered {
    /// Before the first sample. `now` says how much of the span can have samples.
    pub fn new(span: Span, now: Timestamp, zone: TimeZone) -> Covered {
        Covered {
            from: span.from,
            end: span.from,
            until: span.until.map(|until| until.min(now)),
            held: match span.until {
                Some(until) if until >= now => Duration::from_secs(90),
                _ => Duration::from_secs(1),
            },
            last: Duration::ZERO,
            sum: Duration::ZERO,
            gaps: 0,
            zone,
        }
    }

    /// Adds a sample. Returns a sentence about the gap before it, if there is one.
    pub fn add(&mut self, sample: &Sample) -> Option<String> {
        let gap = self.end.and_then(|end| Gap::before(sample, end));
        self.from.get_or_insert_with(|| start(sample));
        self.end = Some(sample.time);
        self.last = sample.interval;
        self.sum += sample.interval;
        self.gap(gap)
    }

    /// The same about the gap between the last sample and the end of the span.
    pub fn finish(&mut self) -> Option<String> {
        let (end, until) = self.end.zip(self.until)?;
        let missing = Duration::try_from(until.duration_since(end)).ok()?;
        // The next interval ended after the span.
        let is_one = missing > self.held.max(self.last * 3 / 2);
        self.end = Some(end.max(until));
        self.gap(is_one.then_some(Gap { from: end, until }))
    }

    fn gap(&mut self, gap: Option<Gap>) -> Option<String> {
        let gap = gap?;
        self.gaps += 1;
        Some(gap.words(&self.zone))
    }

    /// A sentence about the whole, if there were gaps.
    pub fn words(&self) -> Option<String> {
        let (from, end) = self.from.zip(self.end)?;
        let whole = end.duration_since(from).unsigned_abs();
        let gaps = match self.gaps {
            0 => return None,
            1 => "1 gap".to_owned(),
            gaps => format!("{gaps} gaps"),
        };
        Some(format!(
            "the totals are of {}: {} in this span have no samples ({gaps})",
            long(self.sum),
            long(whole.saturating_sub(self.sum)),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    fn samples(ends: &[i64]) -> Vec<Sample> {
        let sample = |end: &i64| Sample {
            time: Timestamp::new(1_790_000_000 + end, 0).expect("in range"),
            interval: Duration::from_secs(10),
            ..golden::sample()
        };
        ends.iter().map(sample).collect()
    }

    fn covered(span: Span, ends: &[i64]) -> (Vec<String>, Option<String>) {
        let now = Timestamp::new(1_800_000_000, 0).expect("in range");
        let mut covered = Covered::new(span, now, TimeZone::UTC);
        let samples = samples(ends);
        let mut said: Vec<String> = samples.iter().filter_map(|one| covered.add(one)).collect();
        said.extend(covered.finish());
        (said, covered.words())
    }

    #[test]
    fn what_has_no_samples_is_said_and_nothing_else() {
        let whole = Span::default();
        assert_eq!(covered(whole, &[10, 20, 30]), (vec![], None));
        let (said, words) = covered(whole, &[10, 20, 1830, 1840]);
        assert_eq!(
            said,
            ["no samples from 2026-09-21 14:13:40 to 14:43:40 (30m00s)"]
        );
        assert_eq!(
            words.as_deref(),
            Some("the totals are of 40.0 s: 30m00s in this span have no samples (1 gap)")
        );
    }

    #[test]
    fn a_span_has_gaps_at_its_ends_too() {
        let at = |second: i64| Timestamp::new(1_790_000_000 + second, 0).ok();
        let span = |from, until| Span {
            from: at(from),
            until: at(until),
        };
        // An interval belongs to the span in which it ends.
        let (said, words) = covered(span(5, 45), &[10, 20, 30, 40]);
        assert_eq!((said.len(), words), (0, None));
        let (said, words) = covered(span(-600, 600), &[10, 20]);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(words.is_some_and(|words| words.contains("2 gaps")));
    }
}
