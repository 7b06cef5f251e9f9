//! When bytes were written: a series of bounded size, however long the span is.

use std::collections::VecDeque;

/// The bytes of an interval or of a bucket of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The number of the interval, or of the first one of the bucket. Numbers, not times: the
    /// ends of intervals are not exactly equidistant, which would look like a pattern.
    pub at: u64,
    /// Number of bytes, not 0.
    pub bytes: u64,
}

/// How many points of each kind a series keeps.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Intervals of their own, the newest ones.
    pub recent: usize,
    /// Buckets of several intervals, which cover the whole span.
    pub buckets: usize,
}

/// When bytes were written. Only times with bytes take room.
#[derive(Clone, Debug, Default)]
pub struct Series {
    recent: VecDeque<Point>,
    buckets: Vec<Point>,
    /// A bucket has this power of two of intervals.
    doubled: u32,
}

impl Series {
    /// Adds bytes of the interval with this number, which is not less than any before.
    pub fn add(&mut self, interval: u64, bytes: u64, room: Room) {
        if bytes == 0 {
            return;
        }
        let point = Point {
            at: interval,
            bytes,
        };
        match self.recent.back_mut().filter(|last| last.at >= interval) {
            Some(last) => last.bytes = last.bytes.saturating_add(bytes),
            None => {
                // Before the push, so that it never allocates twice the room.
                if self.recent.len() >= room.recent {
                    self.recent.pop_front();
                }
                self.recent.push_back(point);
            }
        }
        self.add_to_bucket(point);
        self.coarsen(room.buckets);
    }

    /// Adds another series. Its intervals of their own are forgotten, its buckets are added.
    pub fn merge(&mut self, other: &Series, room: Room) {
        self.recent.clear();
        self.doubled = self.doubled.max(other.doubled);
        let mut all = std::mem::take(&mut self.buckets);
        all.extend(&other.buckets);
        all.sort_by_key(|point| point.at);
        for point in all {
            self.add_to_bucket(point);
        }
        self.coarsen(room.buckets);
    }

    /// The newest intervals with bytes, oldest first.
    pub fn recent(&self) -> impl Iterator<Item = Point> {
        self.recent.iter().copied()
    }

    /// The buckets with bytes, oldest first: the whole span.
    pub fn buckets(&self) -> &[Point] {
        &self.buckets
    }

    /// How many intervals a bucket has.
    pub fn width(&self) -> u64 {
        1 << self.doubled
    }

    fn add_to_bucket(&mut self, point: Point) {
        let at = point.at >> self.doubled << self.doubled;
        match self.buckets.last_mut().filter(|last| last.at >= at) {
            Some(last) => last.bytes = last.bytes.saturating_add(point.bytes),
            None => self.buckets.push(Point { at, ..point }),
        }
    }

    /// Doubles the width of the buckets until they have room.
    fn coarsen(&mut self, most: usize) {
        while self.buckets.len() > most.max(1) && self.doubled < u64::BITS - 1 {
            self.doubled += 1;
            for point in std::mem::take(&mut self.buckets) {
                self.add_to_bucket(point);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room {
        recent: 100,
        buckets: 64,
    };

    fn sum(series: &Series) -> u64 {
        series.buckets().iter().map(|point| point.bytes).sum()
    }

    #[test]
    fn a_month_of_intervals_takes_bounded_room_and_loses_no_byte() {
        let mut series = Series::default();
        for n in 0..259_200 {
            series.add(n, 7, ROOM);
        }
        assert_eq!(series.recent().count(), ROOM.recent);
        assert!(series.buckets().len() <= ROOM.buckets);
        assert!(series.buckets().len() > ROOM.buckets / 4, "not too coarse");
        assert_eq!(sum(&series), 7 * 259_200);
    }

    #[test]
    fn silence_takes_no_room() {
        let mut series = Series::default();
        series.add(0, 1, ROOM);
        series.add(1, 0, ROOM);
        series.add(1 << 40, 2, ROOM);
        assert_eq!((series.buckets().len(), series.width()), (2, 1));
    }

    #[test]
    fn a_sum_of_series_has_the_bytes_of_both() {
        let (mut one, mut other) = (Series::default(), Series::default());
        for n in 0..1000 {
            one.add(n, 1, ROOM);
            other.add(7 * n, 1, ROOM);
        }
        one.merge(&other, ROOM);
        assert_eq!(sum(&one), 2000);
        assert!(one.buckets().len() <= ROOM.buckets);
        assert!(one.buckets().is_sorted_by_key(|point| point.at));
    }
}
