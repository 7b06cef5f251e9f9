//! What an interval lost, in words: bytes that the figures lack, and names that are missing
//! although every byte is counted.

use crate::sample::{Loss, Lost};

/// The losses that make figures incomplete, if any: `facts 3, tags 1`.
pub fn losses_named(lost: &Lost) -> Option<String> {
    let counts = of_bytes(lost).map(|(loss, n)| format!("{} {n}", loss.name()));
    let counts: Vec<String> = counts.collect();
    (!counts.is_empty()).then(|| counts.join(", "))
}

/// What has no name although its bytes are counted, if anything: `1,548 files without a name;
/// byte counts are complete`. The end is left out if other losses make them incomplete.
pub fn nameless(lost: &Lost) -> Option<String> {
    let missing = lost.parts().filter_map(|(loss, n)| {
        let n = n.filter(|n| *n != 0)?;
        let [one, several, without] = loss.missing_name()?;
        let what = if n == 1 { one } else { several };
        Some(format!("{} {what} without {without}", grouped(n)))
    });
    let missing: Vec<String> = missing.collect();
    let complete = match of_bytes(lost).next() {
        None => "; byte counts are complete",
        Some(_) => "",
    };
    (!missing.is_empty()).then(|| format!("{}{complete}", missing.join(", ")))
}

/// A sentence about the intervals that were not printed or recorded before this one, if any.
pub fn missing_intervals(lost: &Lost) -> Option<String> {
    let missing = match lost[Loss::Intervals]? {
        0 => return None,
        1 => "1 interval is".to_owned(),
        n => format!("{n} intervals are"),
    };
    Some(format!(
        "{missing} missing before this one: the output was blocked, or the recording's disk full"
    ))
}

fn of_bytes(lost: &Lost) -> impl Iterator<Item = (Loss, u64)> {
    // The figures of an interval are complete without the intervals before it.
    let of_bytes = |loss: Loss| loss.missing_name().is_none() && loss != Loss::Intervals;
    let parts = lost.parts().filter(move |(loss, _)| of_bytes(*loss));
    parts.filter_map(|(loss, n)| Some((loss, n.filter(|n| *n != 0)?)))
}

/// `1,548`.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at != 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_names_do_not_make_figures_incomplete() {
        let lost = Lost::from([(Loss::Paths, 1548), (Loss::Flushes, 1)]);
        assert_eq!(losses_named(&lost), None);
        assert_eq!(
            nameless(&lost).as_deref(),
            Some("1 flush without a reason, 1,548 files without a name; byte counts are complete")
        );
        let lost = Lost::from([(Loss::Paths, 2), (Loss::Facts, 3)]);
        assert_eq!(losses_named(&lost).as_deref(), Some("facts 3"));
        assert_eq!(nameless(&lost).as_deref(), Some("2 files without a name"));
        assert_eq!(nameless(&Lost::default()), None);
    }

    #[test]
    fn thousands_are_grouped() {
        for (n, text) in [
            (7, "7"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(n), text);
        }
    }
}
