//! Finds how regularly something is written: the autocorrelation of a series of intervals.
//!
//! The autocorrelation at a lag says how alike a series is to itself that much later. A period
//! is a lag where it is high, and high at its multiples too, and low halfway between them. Both
//! must exceed what chance brings about in as few cycles as there are.

use std::iter;

use super::series::{Point, Series};

/// At most this many intervals are compared with each other.
const BINS: usize = 2048;
/// At least this many cycles are needed.
const CYCLES: usize = 5;
/// At most this many periods are told.
const MOST: usize = 2;
/// How often the intervals are doubled.
const WIDER: u32 = 3;
/// How many multiples of a period are looked at to decide whether it is one.
const MULTIPLES: usize = 8;

/// The periods of a series in intervals, shortest first, at most two. A period that is shorter
/// than two intervals can't be found.
pub fn periods(series: &Series) -> Vec<f64> {
    let recent: Vec<Point> = series.recent().collect();
    // Wider bins hide that writes are not exactly regular.
    let fine = (0..=WIDER).map(|doubled| of_points(&recent, 1 << doubled));
    // Longer periods, such as a day, are seen in the buckets only.
    let first = series.buckets().first().map_or(0, |point| point.at);
    let last = series.buckets().last().map_or(0, |point| point.at);
    let mut width = series.width();
    while (last - first) / width >= BINS as u64 {
        width *= 2;
    }
    let coarse = iter::once_with(|| of_points(series.buckets(), width));
    let found = fine.chain(coarse).find(|found| !found.is_empty());
    found.unwrap_or_default()
}

/// The periods of points, as bins of so many intervals see them.
fn of_points(points: &[Point], width: u64) -> Vec<f64> {
    let Some(last) = points.last().map(|point| point.at / width) else {
        return Vec::new();
    };
    let is_near = |point: &&Point| last - point.at / width < BINS as u64;
    let points = || points.iter().filter(is_near);
    let first = points().next().map_or(last, |point| point.at / width);
    let mut bins = vec![0.0; BINS.min((last - first) as usize + 1)];
    for point in points() {
        bins[(point.at / width - first) as usize] += point.bytes as f64;
    }
    // The first and the last bin may be parts of one.
    let whole = if width == 1 {
        0..bins.len()
    } else {
        1..bins.len().max(2) - 1
    };
    let mut found: Vec<f64> = of_bins(bins.get(whole).unwrap_or_default())
        .into_iter()
        .map(|period| period * width as f64)
        .collect();
    found.sort_by(f64::total_cmp);
    found
}

/// The periods of equidistant values, in units of their distance.
fn of_bins(bins: &[f64]) -> Vec<f64> {
    let mut values = damped(bins);
    let mut found: Vec<f64> = Vec::new();
    while found.len() < MOST {
        let Some(period) = Correlation::of(&values).and_then(|c| c.period()) else {
            break;
        };
        // What is left of the first one is not a second one.
        let ratio = |known: &f64| (period / known).max(known / period);
        let is_multiple = |known: &f64| (ratio(known) - ratio(known).round()).abs() < 0.1;
        if found.iter().any(is_multiple) {
            break;
        }
        found.push(period);
        subtract(&mut values, period);
    }
    found
}

/// The values without the extremes of the few largest, which would hide all others.
fn damped(bins: &[f64]) -> Vec<f64> {
    let mut sorted = bins.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let largest = sorted.get(CYCLES - 1).copied().unwrap_or(0.0);
    bins.iter().map(|value| value.min(largest).sqrt()).collect()
}

/// Takes away what recurs with this period.
fn subtract(values: &mut [f64], period: f64) {
    let phases = (period.round() as usize).max(2);
    let phase = |n: usize| {
        let cycle = (n as f64 / period).floor();
        ((n as f64 - cycle * period) as usize).min(phases - 1)
    };
    let mut of_phase = vec![Vec::new(); phases];
    for (n, value) in values.iter().enumerate() {
        of_phase[phase(n)].push(*value);
    }
    let medians: Vec<f64> = of_phase
        .into_iter()
        .map(|mut values| {
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(0.0)
        })
        .collect();
    for (n, value) in values.iter_mut().enumerate() {
        *value = (*value - medians[phase(n)]).max(0.0);
    }
}

/// The autocorrelation of some values.
struct Correlation {
    /// By lag, up to half of the length; 1 at lag 0.
    at: Vec<f64>,
    /// The part of each value that is above the median.
    above: Vec<f64>,
    length: usize,
}

impl Correlation {
    /// `None` if there are too few values, or if all are equal.
    fn of(values: &[f64]) -> Option<Correlation> {
        let length = values.len();
        if length < 2 * CYCLES || values.iter().filter(|value| **value > 0.0).count() < CYCLES {
            return None;
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let median = sorted[length / 2];
        let above = values.iter().map(|value| (value - median).max(0.0));
        let above: Vec<f64> = above.collect();
        let mean = values.iter().sum::<f64>() / length as f64;
        let values: Vec<f64> = values.iter().map(|value| value - mean).collect();
        let variance = values.iter().map(|value| value * value).sum::<f64>() / length as f64;
        if variance <= 1e-9 * (mean * mean) {
            return None;
        }
        let at = (0..=length / 2).map(|lag| {
            let products = values.iter().zip(&values[lag..]).map(|(a, b)| a * b);
            products.sum::<f64>() / (length - lag) as f64 / variance
        });
        Some(Correlation {
            at: at.collect(),
            above,
            length,
        })
    }

    /// The shortest period that is one beyond doubt.
    fn period(&self) -> Option<f64> {
        let longest = self.length / CYCLES;
        let is_peak = |lag: usize| {
            self.at[lag] >= self.at[lag - 1]
                && self.at.get(lag + 1).is_none_or(|n| self.at[lag] > *n)
        };
        let peaks = (2..=longest).filter(|lag| is_peak(*lag));
        let lag = peaks
            .map(|lag| lag as f64)
            .find(|lag| self.is_period(*lag))?;
        // If a period is not a whole number of intervals, several of them may be.
        let part = (2..=6).rev().map(|parts| lag / f64::from(parts));
        let is_part =
            |part: &f64| *part >= 2.0 && part.fract() != 0.0 && self.is_fraction(*part, lag);
        let part = part.filter(|part| part.fract() != 0.0).find(is_part);
        Some(self.refined(part.unwrap_or(lag)))
    }

    fn is_period(&self, lag: f64) -> bool {
        let cycles = self.length as f64 / lag;
        let least = 0.3 + 1.2 / cycles.sqrt();
        let multiples = MULTIPLES.min((self.at.len() as f64 / lag - 0.5) as usize);
        if multiples < 2 {
            return false;
        }
        let (mut high, mut low) = (0.0, 0.0);
        let mut period = lag;
        for n in 1..=multiples {
            let peak = self.peak_near(period * n as f64, lag);
            high += self.at[peak];
            low += self.at[((peak as f64 - lag / 2.0).round() as usize).min(self.at.len() - 1)];
            if lag >= 4.0 {
                period = peak as f64 / n as f64;
            }
        }
        let n = multiples as f64;
        high / n >= least && (high - low) / n >= least
    }

    /// True if the multiples of a part of a period fall on the intervals around them: on one of
    /// two neighbours each time.
    fn is_fraction(&self, part: f64, whole: f64) -> bool {
        let around = |lag: f64| match (lag - lag.round()).abs() < 0.01 {
            true => self.joint(lag.round() as usize),
            false => self.joint(lag.floor() as usize) + self.joint(lag.ceil() as usize),
        };
        let parts = (whole / part).round() as usize;
        let least = 0.8 * self.joint(whole as usize);
        (1..parts).all(|n| around(part * n as f64) >= least)
    }

    /// How much of what is above the median comes again after this lag.
    fn joint(&self, lag: usize) -> f64 {
        let products = self.above.iter().zip(&self.above[lag..]);
        let sum: f64 = products.map(|(a, b)| a * b).sum();
        sum / (self.length - lag) as f64
    }

    /// The period to a part of an interval: its multiples tell.
    fn refined(&self, period: f64) -> f64 {
        let least = self.at[(period.round() as usize).min(self.at.len() - 1)] / 2.0;
        let mut best = period;
        let mut n = 2.0;
        while best * n < self.at.len() as f64 - 1.0 {
            let peak = self.peak_near(best * n, period);
            // A multiple halfway between two intervals is on neither.
            let is_between = period < 4.0 && (best * n - peak as f64).abs() > 0.2;
            if self.at[peak] < least && !is_between {
                break;
            }
            if !is_between {
                best = peak as f64 / n;
            }
            n += 1.0;
        }
        best
    }

    /// The highest place within one interval of this lag. Multiples of a period of few intervals
    /// are too near to each other to look around.
    fn peak_near(&self, lag: f64, period: f64) -> usize {
        let last = self.at.len() - 1;
        let middle = (lag.round() as usize).min(last);
        if period < 4.0 {
            return middle;
        }
        let around = middle.saturating_sub(1)..=(middle + 1).min(last);
        // The middle itself, if others are not higher.
        around.fold(middle, |best, lag| match self.at[lag] > self.at[best] {
            true => lag,
            false => best,
        })
    }
}

#[cfg(test)]
#[path = "period_tests.rs"]
mod tests;
