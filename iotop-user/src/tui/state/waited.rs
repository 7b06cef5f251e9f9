//! How long a movement's pages were dirty, in a compact form: tens of thousands of
//! movements are kept.

use std::time::Duration;

use crate::sample::{FlushLag, Lag, Lags};

/// A compact [`FlushLag`]. For most files only a page or two is written, and all of
/// them are in one class of lag. That takes 32 bytes instead of 176.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waited {
    /// All pages are in one class.
    Alike {
        /// [`Lag::sum`] in nanoseconds.
        sum: u64,
        /// [`Lag::max`] in nanoseconds.
        max: u64,
        /// [`Lags::tick`] in nanoseconds.
        tick: u32,
        /// How many pages.
        pages: u32,
        /// Their class.
        class: u8,
    },
    /// The pages are in several classes, or a value is too large for [`Waited::Alike`].
    Spread(Box<FlushLag>),
}

const _: () = assert!(size_of::<Option<Waited>>() <= 32);

impl From<FlushLag> for Waited {
    fn from(lag: FlushLag) -> Waited {
        alike(&lag).unwrap_or_else(|| Waited::Spread(Box::new(lag)))
    }
}

/// `None` if a value does not fit its field, or if the pages are in several classes.
fn alike(FlushLag { lag, lags }: &FlushLag) -> Option<Waited> {
    let class = lags.pages.iter().position(|pages| *pages != 0)?;
    let others = &lags.pages[class + 1..];
    if lags.pages[class] != lag.pages || others.iter().any(|pages| *pages != 0) {
        return None;
    }
    Some(Waited::Alike {
        sum: u64::try_from(lag.sum.as_nanos()).ok()?,
        max: u64::try_from(lag.max.as_nanos()).ok()?,
        tick: u32::try_from(lags.tick.as_nanos()).ok()?,
        pages: u32::try_from(lag.pages).ok()?,
        class: u8::try_from(class).ok()?,
    })
}

impl From<&Waited> for FlushLag {
    fn from(waited: &Waited) -> FlushLag {
        match *waited {
            Waited::Spread(ref lag) => **lag,
            Waited::Alike {
                sum,
                max,
                tick,
                pages,
                class,
            } => {
                let mut lags = Lags {
                    tick: Duration::from_nanos(tick.into()),
                    ..Lags::default()
                };
                lags.pages[usize::from(class)] = pages.into();
                FlushLag {
                    lag: Lag {
                        sum: Duration::from_nanos(sum),
                        max: Duration::from_nanos(max),
                        pages: pages.into(),
                    },
                    lags,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_converts_back_unchanged() {
        let of = |classes: &[(usize, u64)], pages, sum| {
            let mut lags = Lags {
                tick: Duration::from_millis(4),
                ..Lags::default()
            };
            for &(class, n) in classes {
                lags.pages[class] = n;
            }
            let max = Duration::from_secs(5);
            FlushLag {
                lag: Lag { sum, max, pages },
                lags,
            }
        };
        let second = Duration::from_secs(1);
        for (lag, small) in [
            (of(&[(3, 9)], 9, second), true),
            (of(&[(3, 9), (4, 1)], 10, second), false),
            (of(&[(3, 9), (4, 1)], 9, second), false),
            (of(&[(3, 9)], 8, second), false),
            (of(&[], 1, second), false),
            (of(&[(14, 1)], 1, Duration::MAX), false),
        ] {
            let waited = Waited::from(lag);
            assert_eq!(matches!(waited, Waited::Alike { .. }), small, "{lag:?}");
            assert_eq!(FlushLag::from(&waited), lag);
        }
    }
}
