//! How long pages were dirty before they were submitted: mean, maximum, distribution.

use std::{ops::Add, time::Duration};

use iotop_common::LAGS;

/// Time from dirtying to submission: sum and maximum over some pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lag {
    /// Sum over the pages.
    pub sum: Duration,
    /// The longest time.
    pub max: Duration,
    /// Number of pages, at least one.
    pub pages: u64,
}

impl Lag {
    /// Mean over the pages.
    pub fn avg(&self) -> Duration {
        let nanos = self.sum.as_nanos() / u128::from(self.pages.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl Add for Lag {
    type Output = Lag;

    /// Both sets of pages together.
    fn add(self, other: Lag) -> Lag {
        Lag {
            sum: self.sum.saturating_add(other.sum),
            max: self.max.max(other.max),
            pages: self.pages.saturating_add(other.pages),
        }
    }
}

/// A histogram of how long pages had been dirty. The classes are powers of two
/// ([`iotop_common::lag_class`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lags {
    /// The unit of the classes.
    pub tick: Duration,
    /// Number of pages in each class.
    pub pages: [u64; LAGS],
}

impl Lags {
    /// An estimate of the time that this part of the pages did not exceed: 0.5 gives the
    /// median. Within a class, times are assumed to be evenly spread.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let all: u64 = self.pages.iter().sum();
        if all == 0 {
            return None;
        }
        let mut rank = part * all as f64;
        for (class, &pages) in self.pages.iter().enumerate() {
            if rank <= pages as f64 {
                // Class n covers 2^(n-1) to 2^n ticks: it is as wide as its lower bound.
                let lowest = f64::from(1u32 << class) / 2.0;
                let ticks = lowest + lowest * rank / pages.max(1) as f64;
                return Some(match class {
                    0 => Duration::ZERO,
                    _ => self.tick.mul_f64(ticks),
                });
            }
            rank -= pages as f64;
        }
        None
    }

    /// A time that this part of the pages did not exceed for certain: the upper end of the
    /// class that the quantile is in. The last class has none.
    pub fn bound(&self, part: f64) -> Option<Duration> {
        let all: u64 = self.pages.iter().sum();
        let mut rank = part * all as f64;
        let class = self.pages.iter().position(|&pages| {
            let is_here = pages != 0 && rank <= pages as f64;
            rank -= pages as f64;
            is_here
        });
        let class = class.filter(|&class| class != LAGS - 1)?;
        Some(self.tick * (1u32 << class))
    }
}

impl Add for Lags {
    type Output = Lags;

    /// Both sets of pages together.
    fn add(self, other: Lags) -> Lags {
        Lags {
            tick: self.tick.max(other.tick),
            pages: std::array::from_fn(|class| self.pages[class] + other.pages[class]),
        }
    }
}

/// How long the pages of a flush, or of one owner's part of it, had been dirty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlushLag {
    /// Mean and maximum.
    pub lag: Lag,
    /// The distribution.
    pub lags: Lags,
}

impl FlushLag {
    /// The median: half of the pages had been dirty for this long or less.
    pub fn p50(&self) -> Option<Duration> {
        self.quantile(0.5)
    }

    /// 99 of 100 pages had been dirty for this long or less.
    pub fn p99(&self) -> Option<Duration> {
        self.quantile(0.99)
    }

    /// Half of the pages, and 99 of 100, had certainly been dirty for this long or less. `None`
    /// where that says no more than the maximum does.
    pub fn bounds(&self) -> [Option<Duration>; 2] {
        [0.5, 0.99].map(|part| self.lags.bound(part).filter(|bound| *bound < self.lag.max))
    }

    fn quantile(&self, part: f64) -> Option<Duration> {
        Some(self.lags.quantile(part)?.min(self.lag.max))
    }
}

impl Add for FlushLag {
    type Output = FlushLag;

    /// Both sets of pages together.
    fn add(self, other: FlushLag) -> FlushLag {
        FlushLag {
            lag: self.lag + other.lag,
            lags: self.lags + other.lags,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(10);

    fn lags(pages: &[(usize, u64)]) -> Lags {
        let mut lags = Lags {
            tick: TICK,
            ..Lags::default()
        };
        for &(class, n) in pages {
            lags.pages[class] = n;
        }
        lags
    }

    #[test]
    fn the_median_lies_in_the_class_of_the_middle_page() {
        // 90 pages from 4 to 8 ticks, 10 from 256 to 512.
        let lags = lags(&[(3, 90), (9, 10)]);
        let median = lags.quantile(0.5).expect("pages");
        assert!(median > 4 * TICK && median < 8 * TICK, "{median:?}");
        let late = lags.quantile(0.99).expect("pages");
        assert!(late > 256 * TICK && late < 512 * TICK, "{late:?}");
    }

    #[test]
    fn less_than_a_tick_counts_as_0() {
        assert_eq!(lags(&[(0, 99), (2, 1)]).quantile(0.5), Some(Duration::ZERO));
    }

    #[test]
    fn a_quantile_is_never_above_the_maximum() {
        let lag = FlushLag {
            lag: Lag {
                sum: 5 * TICK,
                max: 5 * TICK,
                pages: 1,
            },
            lags: lags(&[(3, 1)]),
        };
        assert_eq!(lag.p99(), Some(5 * TICK));
    }

    #[test]
    fn a_bound_is_the_upper_end_of_the_class_and_never_below_the_quantile() {
        let lags = lags(&[(0, 10), (3, 80), (9, 10)]);
        assert_eq!(lags.bound(0.05), Some(TICK));
        assert_eq!(lags.bound(0.5), Some(8 * TICK));
        assert_eq!(lags.bound(0.99), Some(512 * TICK));
        for part in [0.05, 0.5, 0.9, 0.99, 1.0] {
            assert!(lags.bound(part) >= lags.quantile(part), "{part}");
        }
    }

    #[test]
    fn without_pages_there_is_no_quantile() {
        assert_eq!(lags(&[]).quantile(0.5), None);
        assert_eq!(lags(&[]).bound(0.5), None);
        assert!(lags(&[(LAGS - 1, 1)]).quantile(1.0).is_some());
    }
}
