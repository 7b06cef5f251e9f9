//! Whether a figure stays where it is.

use std::fmt::Write as _;

/// A figure over time: one value for each reading, in order.
pub struct Series {
    pub name: &'static str,
    pub values: Vec<u64>,
    /// By how much the last third may exceed the middle one besides 5 %.
    pub slack: u64,
    /// By what to divide a value to print it, and the name of that unit.
    pub unit: (u64, &'static str),
}

impl Series {
    /// The largest values of the first, the middle and the last third. The first third is the
    /// time in which tables fill up.
    fn thirds(&self) -> [u64; 3] {
        let third = self.values.len() / 3;
        let most = |values: &[u64]| values.iter().copied().max().unwrap_or_default();
        [
            most(&self.values[..third]),
            most(&self.values[third..2 * third]),
            most(&self.values[2 * third..]),
        ]
    }

    /// What is wrong if it grows: the maximum of the last third is more than 5 % and `slack`
    /// above that of the middle third.
    pub fn growth(&self) -> Option<String> {
        let [_, middle, last] = self.thirds();
        let most = middle + middle / 20 + self.slack;
        (last > most).then(|| {
            format!(
                "{} grows: at most {} in the middle third, {} in the last one, and {} is allowed",
                self.name,
                self.shown(middle),
                self.shown(last),
                self.shown(most)
            )
        })
    }

    fn shown(&self, value: u64) -> String {
        let (divisor, unit) = self.unit;
        match divisor {
            1 => format!("{value}{unit}"),
            _ => format!("{:.1}{unit}", value as f64 / divisor as f64),
        }
    }
}

/// The maxima of each third, as a table.
pub fn table(all: &[Series]) -> String {
    let mut text = format!(
        "{:24}{:>14}{:>14}{:>14}\n",
        "most in each third", "first", "middle", "last"
    );
    for series in all {
        let [first, middle, last] = series.thirds().map(|value| series.shown(value));
        // Writing into a string does not fail.
        let _ = writeln!(text, "{:24}{first:>14}{middle:>14}{last:>14}", series.name);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[u64]) -> Series {
        Series {
            name: "heap",
            values: values.to_vec(),
            slack: 10,
            unit: (1, " B"),
        }
    }

    #[test]
    fn what_fills_up_and_then_stays_is_flat_and_what_goes_on_is_not() {
        assert_eq!(series(&[1, 50, 100, 100, 110, 90]).growth(), None);
        assert_eq!(series(&[0, 0, 100, 100, 115, 115]).growth(), None);
        let growth = series(&[0, 0, 100, 100, 116, 100]).growth().expect("grows");
        assert!(
            growth.contains("heap grows: at most 100 B in the middle third, 116 B"),
            "{growth}"
        );
        assert_eq!(series(&[]).growth(), None);
    }

    #[test]
    fn each_third_has_its_maximum() {
        assert_eq!(series(&[1, 2, 4, 3, 5, 6, 9]).thirds(), [2, 4, 9]);
        assert!(table(&[series(&[1, 2, 3])]).ends_with("1 B           2 B           3 B\n"));
    }
}
