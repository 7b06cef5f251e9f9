//! Amounts by the time of the clock: a bounded number of buckets, whose lengths are those that
//! people read off a clock.

use std::collections::BTreeMap;

/// Milliseconds in a second.
const SECOND: i64 = 1000;
const DAY: i64 = 86_400 * SECOND;

/// The lengths of buckets in milliseconds. Each divides the next one, so that buckets can be
/// joined. The last ones are for recordings that were tampered with.
const LENGTHS: [i64; 20] = [
    SECOND,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
    60 * SECOND,
    5 * 60 * SECOND,
    15 * 60 * SECOND,
    30 * 60 * SECOND,
    3600 * SECOND,
    3 * 3600 * SECOND,
    6 * 3600 * SECOND,
    12 * 3600 * SECOND,
    DAY,
    7 * DAY,
    28 * DAY,
    364 * DAY,
    3640 * DAY,
    36_400 * DAY,
    364_000 * DAY,
    3_640_000 * DAY,
];

/// From when to when, in milliseconds since any moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct During {
    /// Its start.
    pub start: i64,
    /// Its end.
    pub end: i64,
}

/// Amounts by time. Only times with an amount take room.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// Index of the buckets' length.
    step: usize,
    /// The amounts by the number of the bucket.
    amounts: BTreeMap<i64, u64>,
}

impl Clock {
    /// Adds an amount that is spread evenly over this time: how it is spread within an interval
    /// is not known. Buckets are joined until at most `most` are left.
    pub fn add(&mut self, during: During, amount: u64, most: usize) {
        let end = during.end.max(during.start.saturating_add(1));
        let last = |length: i64| (end - 1).div_euclid(length);
        let first = |length: i64| during.start.div_euclid(length);
        while last(self.length()) - first(self.length()) >= most as i64 && self.can_join() {
            self.join();
        }
        let length = self.length();
        let whole = u128::from(end.abs_diff(during.start));
        let mut before = 0;
        for bucket in first(length)..=last(length) {
            let until = end.min((bucket + 1).saturating_mul(length));
            let passed = u128::from(until.abs_diff(during.start));
            // Not more than `amount`. The differences add up to it.
            let so_far = (u128::from(amount) * passed / whole) as u64;
            self.put(bucket, so_far - before);
            before = so_far;
        }
        self.bound(most);
    }

    /// Adds another one.
    pub fn merge(&mut self, other: &Clock, most: usize) {
        let mut other = other.clone();
        let step = self.step.max(other.step);
        self.join_to(step);
        other.join_to(step);
        for (bucket, amount) in other.amounts {
            self.put(bucket, amount);
        }
        self.bound(most);
    }

    /// Joins buckets until they have this length in milliseconds, or the next one that there is.
    pub fn join_until(&mut self, length: i64) {
        while self.length() < length && self.can_join() {
            self.join();
        }
    }

    /// The length of a bucket in milliseconds.
    pub fn length(&self) -> i64 {
        LENGTHS[self.step]
    }

    /// Start and amount of the buckets that have an amount, oldest first.
    pub fn buckets(&self) -> impl Iterator<Item = (i64, u64)> {
        let length = self.length();
        let buckets = self.amounts.iter();
        buckets.map(move |(bucket, amount)| (bucket.saturating_mul(length), *amount))
    }

    /// All amounts.
    pub fn sum(&self) -> u64 {
        self.amounts.values().sum()
    }

    fn put(&mut self, bucket: i64, amount: u64) {
        if amount != 0 {
            let known = self.amounts.entry(bucket).or_default();
            *known = known.saturating_add(amount);
        }
    }

    fn bound(&mut self, most: usize) {
        while self.amounts.len() > most.max(1) && self.can_join() {
            self.join();
        }
    }

    fn can_join(&self) -> bool {
        self.step + 1 < LENGTHS.len()
    }

    fn join_to(&mut self, step: usize) {
        while self.step < step {
            self.join();
        }
    }

    fn join(&mut self) {
        let of = LENGTHS[self.step + 1] / LENGTHS[self.step];
        self.step += 1;
        for (bucket, amount) in std::mem::take(&mut self.amounts) {
            self.put(bucket.div_euclid(of), amount);
        }
    }
}

/// The shortest length of buckets that is not below this one.
pub fn length_of_at_least(length: i64) -> i64 {
    let fits = LENGTHS.into_iter().find(|one| *one >= length);
    fits.unwrap_or(LENGTHS[LENGTHS.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn during(start: i64, end: i64) -> During {
        During { start, end }
    }

    fn buckets(clock: &Clock) -> Vec<(i64, u64)> {
        clock.buckets().collect()
    }

    #[test]
    fn each_length_divides_the_next_one() {
        for pair in LENGTHS.windows(2) {
            assert_eq!(pair[1] % pair[0], 0, "{pair:?}");
        }
    }

    #[test]
    fn an_interval_across_two_buckets_is_divided_and_loses_no_byte() {
        let mut clock = Clock::default();
        clock.add(during(500, 2500), 101, 10);
        assert_eq!(buckets(&clock), [(0, 25), (1000, 50), (2000, 26)]);
    }

    #[test]
    fn times_before_the_moment_are_rounded_down_too() {
        let mut clock = Clock::default();
        clock.add(during(-1, 0), 7, 10);
        assert_eq!(buckets(&clock), [(-1000, 7)]);
    }

    #[test]
    fn a_month_takes_bounded_room_and_loses_no_byte() {
        let mut clock = Clock::default();
        for n in 0..259_200 {
            clock.add(during(n * 10_003, (n + 1) * 10_003), 7, 400);
        }
        assert_eq!(clock.sum(), 7 * 259_200);
        assert_eq!(clock.length(), 3 * 3600 * SECOND);
        assert!(buckets(&clock).len() <= 400);
    }

    #[test]
    fn impossible_times_take_no_more_room_than_others() {
        let mut clock = Clock::default();
        let [first, last] = [jiff::Timestamp::MIN, jiff::Timestamp::MAX];
        let whole = during(first.as_millisecond(), last.as_millisecond());
        clock.add(whole, 1 << 40, 400);
        clock.add(during(0, 1), 1, 400);
        clock.add(during(10, 0), 1, 400);
        assert_eq!(clock.sum(), (1 << 40) + 2);
        assert!(buckets(&clock).len() <= 400);
    }

    #[test]
    fn a_sum_has_the_amounts_of_both() {
        let (mut one, mut other) = (Clock::default(), Clock::default());
        one.add(during(0, 1000), 1, 400);
        for n in 0..1000 {
            other.add(during(n * 1000, (n + 1) * 1000), 1, 400);
        }
        one.merge(&other, 400);
        assert_eq!((one.sum(), one.length()), (1001, 5000));
    }
}
