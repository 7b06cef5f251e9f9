//! How regularly somebody wakes a disk.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::{
    SUSPECTS, Span,
    asked::{Culprit, Found},
};
use crate::sample::{Disk, Number, Rhythm, Suspect, Wake};

const HOUR: Duration = Duration::from_secs(3600);
/// At most this many wake-ups of one culprit are remembered.
const BEATS: usize = 4000;
/// At most this many culprits are remembered.
const CULPRITS: usize = 1000;
/// The gaps that decide whether wake-ups are regular: the last ones.
const GAPS: usize = 32;
/// With fewer gaps nothing is called regular.
const FEWEST: usize = 3;

/// The wake-ups of every culprit and disk.
#[derive(Debug, Default)]
pub(super) struct Rhythms(HashMap<(Number, Culprit), Beats>);

#[derive(Debug, Default)]
struct Beats {
    times: u64,
    alone: u64,
    /// The intervals of the last ones.
    at: VecDeque<Span>,
}

impl Rhythms {
    /// Completes a wake-up of the interval `at` with who made requests.
    pub fn finish(&mut self, mut wake: Wake, at: Span, found: Vec<Found>, disks: &[Disk]) -> Wake {
        let alone = found.len() == 1;
        let mut found = found.into_iter();
        for Found { culprit, suspect } in found.by_ref().take(SUSPECTS) {
            let rhythm = self.add((wake.disk, culprit), at, alone);
            wake.suspects.push(Suspect { rhythm, ..suspect });
        }
        let rest: Vec<u64> = found.map(|found| found.suspect.bytes()).collect();
        wake.more = (rest.len() as u64, rest.iter().sum());
        let requests = || wake.suspects.iter().flat_map(|suspect| &suspect.requests);
        let is_through = |upper: &&Disk| {
            upper.number != wake.disk
                && requests().any(|request| upper.numbers().any(|n| n == request.device))
        };
        let through = disks.iter().filter(is_through);
        wake.through = through.map(|upper| upper.name.clone()).collect();
        wake
    }

    fn add(&mut self, key: (Number, Culprit), at: Span, alone: bool) -> Rhythm {
        if self.0.len() >= CULPRITS && !self.0.contains_key(&key) {
            let last = |beats: &Beats| beats.at.back().map(|at| at.to);
            let oldest = self.0.iter().min_by_key(|(_, beats)| last(beats));
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.0.remove(&oldest);
            }
        }
        let beats = self.0.entry(key).or_default();
        beats.times += 1;
        beats.alone += u64::from(alone);
        if beats.at.len() == BEATS {
            beats.at.pop_front();
        }
        beats.at.push_back(at);
        beats.rhythm(at.to)
    }
}

impl Beats {
    fn rhythm(&self, now: Duration) -> Rhythm {
        let watched = now.min(HOUR);
        let recent = self.at.iter().rev();
        let recent = recent.take_while(|at| at.to + watched >= now).count();
        Rhythm {
            times: self.times,
            alone: self.alone,
            recent: recent as u64,
            watched,
            period: self.period(),
        }
    }

    /// The median of the last gaps, if nearly all of them are like it. A gap is known to within
    /// an interval. If that is half of the gap or more, any gaps would look alike.
    fn period(&self) -> Option<Duration> {
        let last = self.at.len().saturating_sub(GAPS + 1);
        let at: Vec<&Span> = self.at.range(last..).collect();
        let mut gaps: Vec<Duration> = at.windows(2).map(|w| w[1].from - w[0].from).collect();
        if gaps.len() < FEWEST {
            return None;
        }
        gaps.sort_unstable();
        let middle = gaps.len() / 2;
        let median = match gaps.len() % 2 {
            0 => (gaps[middle - 1] + gaps[middle]) / 2,
            _ => gaps[middle],
        };
        let interval = at.iter().map(|at| at.to - at.from).max()?;
        // Intervals differ by some milliseconds.
        let tolerance = (median / 10).max(interval + interval / 10);
        let is_like_it = |gap: &&Duration| gap.abs_diff(median) <= tolerance;
        let alike = gaps.iter().filter(is_like_it).count();
        (alike * 10 >= gaps.len() * 8 && median >= 2 * interval).then_some(median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(1000);

    fn period(starts: &[u64]) -> Option<u64> {
        let at = starts.iter().map(|ms| Duration::from_millis(*ms));
        let at = at.map(|from| Span {
            from,
            to: from + INTERVAL,
        });
        let beats = Beats {
            at: at.collect(),
            ..Beats::default()
        };
        beats.period().map(|period| period.as_millis() as u64)
    }

    #[test]
    fn only_regular_wake_ups_have_a_period() {
        assert_eq!(period(&[0, 30_000, 60_000]), None, "too few");
        assert_eq!(period(&[0, 30_000, 60_002, 89_999]), Some(30_000));
        assert_eq!(period(&[0, 7_000, 60_000, 62_000, 99_000]), None);
        // A beat of three seconds falls into intervals of one second.
        assert_eq!(period(&[0, 2_998, 5_999, 10_001, 13_000]), Some(3_000));
        // One beat was missed, because the disk was awake.
        let missed = [0, 60, 120, 180, 300, 360, 420].map(|s| s * 1000);
        assert_eq!(period(&missed), Some(60_000));
        // Two seconds cannot be told from one or three.
        assert_eq!(period(&[0, 1_900, 3_800, 5_700, 7_600]), None);
    }

    #[test]
    fn the_last_hour_has_only_its_own_wake_ups() {
        let mut rhythms = Rhythms::default();
        let mut add = |second: u64| {
            let from = Duration::from_secs(second);
            let at = Span {
                from,
                to: from + INTERVAL,
            };
            rhythms.add(((8, 0), Culprit::default()), at, second == 0)
        };
        let first = add(0);
        assert_eq!((first.times, first.alone, first.recent), (1, 1, 1));
        assert_eq!(first.watched, INTERVAL);
        add(1000);
        let last = add(4000);
        assert_eq!((last.times, last.alone, last.recent), (3, 1, 2));
        assert_eq!(last.watched, HOUR);
    }
}
