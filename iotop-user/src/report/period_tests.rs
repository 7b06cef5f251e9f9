//! Known patterns, and the lack of one.

use super::*;
use crate::report::series::Room;

const ROOM: Room = Room {
    recent: 1024,
    buckets: 512,
};

/// Numbers that look random and are the same each time (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut n = self.0;
        n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ (n >> 31)
    }

    /// From 0 to 1.
    fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// From -1 to 1.
    fn around(&mut self) -> f64 {
        2.0 * self.part() - 1.0
    }
}

/// Writes at these seconds, as intervals of this length see them.
fn seen(mut writes: Vec<(f64, u64)>, interval: f64) -> Vec<f64> {
    writes.retain(|(at, _)| *at >= 0.0);
    writes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut series = Series::default();
    for (at, bytes) in writes {
        series.add((at / interval) as u64, bytes, ROOM);
    }
    let found = periods(&series).into_iter();
    found.map(|period| period * interval).collect()
}

/// Equal writes with this period, each off by up to `jitter` seconds.
fn every(period: f64, jitter: f64, length: f64, random: &mut Random) -> Vec<(f64, u64)> {
    let cycles = (length / period) as u64;
    let at = |n: u64, random: &mut Random| 3.3 + n as f64 * period + jitter * random.around();
    (0..cycles).map(|n| (at(n, random), 1 << 20)).collect()
}

#[track_caller]
fn is_near(found: &[f64], wanted: &[f64]) {
    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 0.02 * b;
    let all = found.len() == wanted.len() && found.iter().zip(wanted).all(near);
    assert!(all, "{found:?} instead of {wanted:?}");
}

#[test]
fn an_exact_period_is_found_whatever_the_interval() {
    let random = &mut Random(1);
    for (period, interval, length) in [
        (5.0, 1.0, 600.0),
        (5.0, 2.0, 600.0),
        (5.0, 0.5, 120.0),
        (30.0, 10.0, 3600.0),
        (25.0, 10.0, 3600.0),
        (33.3, 10.0, 7200.0),
        (60.0, 10.0, 600.0),
        (300.0, 10.0, 6.0 * 3600.0),
        (3600.0, 10.0, 86_400.0),
        (86_400.0, 10.0, 30.0 * 86_400.0),
    ] {
        let found = seen(every(period, 0.0, length, random), interval);
        assert!(!found.is_empty(), "{period} at {interval}");
        is_near(&found, &[period]);
    }
}

#[test]
fn a_period_with_jitter_is_found() {
    let random = &mut Random(2);
    for (period, jitter, interval) in [(30.0, 2.0, 1.0), (60.0, 5.0, 10.0), (300.0, 8.0, 10.0)] {
        let found = seen(every(period, jitter, 100.0 * period, random), interval);
        is_near(&found, &[period]);
    }
}

#[test]
fn a_period_amid_other_writes_is_found() {
    let random = &mut Random(3);
    let mut writes = every(30.0, 0.0, 7200.0, random);
    // A fifth of all seconds, with smaller and with some much larger writes.
    for second in 0..7200 {
        if random.part() < 0.2 {
            writes.push((f64::from(second) + 0.5, random.next() % (1 << 18)));
        }
    }
    writes.push((4000.5, 10 << 30));
    is_near(&seen(writes, 1.0), &[30.0]);
}

#[test]
fn bursts_of_several_intervals_and_of_different_sizes_have_a_period() {
    let random = &mut Random(4);
    let mut writes = Vec::new();
    for (start, _) in every(120.0, 0.0, 12_000.0, random) {
        for n in 0..5 + random.next() % 4 {
            writes.push((start + n as f64, (1 << 20) + random.next() % (8 << 20)));
        }
    }
    is_near(&seen(writes, 1.0), &[120.0]);
}

#[test]
fn two_periods_are_both_found() {
    let random = &mut Random(5);
    for (one, other) in [(7.0, 11.0), (5.0, 31.0), (30.0, 77.0)] {
        let mut writes = every(one, 0.0, 1500.0, random);
        writes.extend(every(other, 0.0, 1500.0, random));
        is_near(&seen(writes, 1.0), &[one, other]);
    }
}

/// Each kind of series without a period, with many seeds.
fn without_period(kind: u64, random: &mut Random) -> Vec<f64> {
    let length = 20 + random.next() % 1500;
    let (rate, mut level, mut on) = (0.02 + 0.9 * random.part(), 0.0, false);
    let bin = |n: u64| match kind {
        // Independent writes of random sizes.
        0 => match random.part() < rate {
            true => random.part(),
            false => 0.0,
        },
        // The same of very different sizes.
        1 => match random.part() < rate {
            true => (12.0 * random.part()).exp(),
            false => 0.0,
        },
        // Bursts of random length with random pauses.
        2 => {
            on ^= random.part() < 0.15;
            f64::from(on) * (1.0 + random.part())
        }
        // A load that wanders.
        3 => {
            level = 0.95 * level + random.around();
            (10.0 + level).max(0.0)
        }
        // A load that grows.
        4 => n as f64 + random.part(),
        // A load that begins.
        _ => f64::from(n > length / 3) * (5.0 + random.part()),
    };
    (0..length).map(bin).collect()
}

#[test]
fn what_has_no_period_is_given_none() {
    let mut found = 0;
    for kind in 0..6 {
        for seed in 0..500 {
            let bins = without_period(kind, &mut Random(1000 * kind + seed));
            let mut series = Series::default();
            for (n, value) in bins.iter().enumerate() {
                series.add(n as u64, (value * 1e6) as u64, ROOM);
            }
            let periods = periods(&series);
            if !periods.is_empty() {
                eprintln!("kind {kind}, seed {seed}, {} bins: {periods:?}", bins.len());
                found += 1;
            }
        }
    }
    assert_eq!(found, 0, "of 3,000 series");
}

#[test]
fn a_constant_load_has_no_period_however_long_it_is() {
    for length in [100, 1000, 5000, 100_000] {
        let mut series = Series::default();
        let random = &mut Random(length);
        for n in 0..length {
            series.add(n, (10 << 20) + random.next() % (1 << 20), ROOM);
        }
        assert_eq!(periods(&series), [0.0; 0], "{length}");
    }
}

#[test]
fn constant_single_and_few_writes_have_no_period() {
    assert!(of_bins(&[1.0; 1000]).is_empty());
    assert!(of_bins(&[]).is_empty());
    let mut bins = vec![0.0; 1000];
    bins[3] = 1.0;
    assert!(of_bins(&bins).is_empty());
    for n in [13, 23, 33] {
        bins[n] = 1.0;
    }
    assert!(of_bins(&bins).is_empty(), "four writes are too few");
}
