//! How long pages had been dirty, in words.

use super::units;
use crate::sample::FlushLag;

/// `17ms on average, p50 <= 32ms, p99 <= 64ms, max 70ms`. The times of single pages are only
/// known to a power of two, so the percentiles are bounds. One that says no more than the
/// maximum is left out.
pub(crate) fn dirty_for(lag: &FlushLag) -> String {
    let max = units::duration(lag.lag.max);
    // Pages are dated by a coarse clock.
    let tick = lag.lags.tick;
    if lag.lag.max < tick {
        return format!("less than {}", units::duration(tick));
    }
    if lag.lag.pages <= 1 {
        return max;
    }
    let mean = match lag.lag.avg() {
        mean if mean < tick => format!("less than {}", units::duration(tick)),
        mean => units::duration(mean),
    };
    let [p50, p99] = lag.bounds();
    let bounds = [("p50", p50.filter(|_| p50 != p99)), ("p99", p99)];
    let bounds = bounds
        .into_iter()
        .filter_map(|(name, bound)| Some(format!(", {name} <= {}", units::duration(bound?))));
    let bounds: String = bounds.collect();
    format!("{mean} on average{bounds}, max {max}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use iotop_common::LAGS;

    use super::*;
    use crate::sample::{Lag, Lags};

    const TICK: Duration = Duration::from_millis(16);

    fn said(pages: &[(usize, u64)], avg: u32, max: u32) -> String {
        let mut lags = Lags {
            tick: TICK,
            pages: [0; LAGS],
        };
        for &(class, n) in pages {
            lags.pages[class] = n;
        }
        let pages = lags.pages.iter().sum();
        let lag = Lag {
            sum: avg * TICK * pages as u32,
            max: max * TICK,
            pages,
        };
        dirty_for(&FlushLag { lag, lags })
    }

    #[test]
    fn percentiles_are_bounds_that_do_not_contradict_mean_and_maximum() {
        // 950 ms on average: the middle page is somewhere in the class from 512 to 1024 ms.
        assert_eq!(
            said(&[(6, 90), (7, 9), (9, 1)], 59, 300),
            "944ms on average, p50 <= 1.0s, p99 <= 2.0s, max 4.8s"
        );
        assert_eq!(said(&[(6, 100)], 59, 60), "944ms on average, max 960ms");
    }

    #[test]
    fn what_is_shorter_than_the_clock_is_not_0() {
        assert_eq!(said(&[(0, 100)], 0, 0), "less than 16ms");
        assert_eq!(
            said(&[(0, 99), (2, 1)], 0, 3),
            "less than 16ms on average, p99 <= 16ms, max 48ms"
        );
    }

    #[test]
    fn one_page_has_one_time() {
        assert_eq!(said(&[(3, 1)], 5, 5), "80ms");
    }
}
