//! A ratio of two measurements, over all turns.

use std::fmt;

use serde::Serialize;

use super::median;

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    pub median: f64,
    pub lowest: f64,
    pub highest: f64,
}

impl Ratio {
    /// None if no ratio is a number.
    pub fn of(ratios: impl Iterator<Item = f64>) -> Option<Ratio> {
        let ratios: Vec<f64> = ratios.filter(|ratio| ratio.is_finite()).collect();
        (!ratios.is_empty()).then(|| Ratio {
            median: median(ratios.iter().copied()),
            lowest: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            highest: ratios.iter().copied().fold(0.0, f64::max),
        })
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ratio {
            median,
            lowest,
            highest,
        } = self;
        f.pad(&format!("{median:.3} ({lowest:.2}-{highest:.2})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_that_is_no_number_is_left_out() {
        let expected = Ratio {
            median: 2.0,
            lowest: 1.0,
            highest: 3.0,
        };
        let ratios = [3.0, f64::NAN, 1.0, f64::INFINITY];
        assert_eq!(Ratio::of(ratios.into_iter()), Some(expected));
        assert_eq!(Ratio::of(std::iter::empty()), None);
        assert_eq!(expected.to_string(), "2.000 (1.00-3.00)");
    }
}
