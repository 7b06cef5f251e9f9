//! Numbers as one word each, so that every line has the same number of words.

use std::time::Duration;

/// Stands for an unknown value.
pub const UNKNOWN: &str = "-";

/// Bytes with a fitting binary unit: `0B`, `512B`, `1.25K`, `256.00M`; with `kilobytes`
/// always in KiB, and in whole ones where hundredths would not fit into a column.
pub fn bytes(bytes: f64, kilobytes: bool) -> String {
    if kilobytes {
        return match bytes / 1024.0 {
            // 9999.996 would print as 10000.00.
            kib @ ..9999.995 => format!("{kib:.2}K"),
            kib => format!("{kib:.0}K"),
        };
    }
    let mut value = bytes;
    let mut unit = "B";
    for larger in ["K", "M", "G", "T", "P"] {
        // 1023.996 K would print as 1024.00 K.
        if value < 1023.995 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if unit == "B" {
        format!("{value:.0}B")
    } else {
        format!("{value:.2}{unit}")
    }
}

/// A part of an interval in percent.
pub fn percent(part: Duration, whole: Duration) -> String {
    if whole.is_zero() {
        return UNKNOWN.to_owned();
    }
    format!("{:.2}%", part.as_secs_f64() * 100.0 / whole.as_secs_f64())
}

/// How many times as much, in at most six columns: `57.8x`, `1234x`, `268kx`.
pub fn ratio(ratio: f64) -> String {
    match ratio {
        // 99.96 would print as 100.0.
        ..99.95 => format!("{ratio:.1}x"),
        ..99_999.5 => format!("{ratio:.0}x"),
        ..999_500.0 => format!("{:.0}kx", ratio / 1e3),
        ..999.5e6 => format!("{:.0}Mx", ratio / 1e6),
        _ => format!("{:.0}Gx", ratio / 1e9),
    }
}

/// How long something took: `120ms`, `4.8s`, `3m05s`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        1..60 => format!("{:.1}s", duration.as_secs_f64()),
        _ => format!("{}m{:02}s", seconds / 60, seconds % 60),
    }
}

/// Seconds, minutes, hours or days: `5.0 s`, `5m00s`, `24h00m`, `30.0 days`.
pub fn long(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    // 119.96 would print as 120.0 s.
    if seconds < 119.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match whole {
        0..7200 => format!("{}m{:02}s", whole / 60, whole % 60),
        7200..172_800 => {
            let minutes = (whole + 30) / 60;
            format!("{}h{:02}m", minutes / 60, minutes % 60)
        }
        _ => format!("{:.1} days", seconds / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_find_their_unit() {
        for (n, text) in [
            (0.0, "0B"),
            (1023.0, "1023B"),
            (1024.0, "1.00K"),
            (268_435_456.0, "256.00M"),
            (1_048_575.0, "1.00M"),
            (3.5 * 1024f64.powi(4), "3.50T"),
        ] {
            assert_eq!(bytes(n, false), text);
        }
        assert_eq!(bytes(1_048_576.0, true), "1024.00K");
        assert_eq!(bytes(9_999.996 * 1024.0, true), "10000K");
        assert_eq!(bytes(268_435_456.0, true), "262144K");
    }

    #[test]
    fn a_ratio_takes_six_columns_at_most() {
        for (n, text) in [
            (0.0, "0.0x"),
            (57.8, "57.8x"),
            (99.96, "100x"),
            (32768.0, "32768x"),
            (99_999.7, "100kx"),
            (999_999.0, "1Mx"),
            (268_435_456.0, "268Mx"),
            (12e9, "12Gx"),
        ] {
            assert_eq!(ratio(n), text);
        }
    }

    #[test]
    fn durations_and_percentages_are_one_word() {
        assert_eq!(duration(Duration::from_millis(120)), "120ms");
        assert_eq!(duration(Duration::from_millis(4812)), "4.8s");
        assert_eq!(duration(Duration::from_secs(185)), "3m05s");
        let half = percent(Duration::from_millis(250), Duration::from_millis(500));
        assert_eq!(half, "50.00%");
        assert_eq!(percent(Duration::ZERO, Duration::ZERO), "-");
    }

    #[test]
    fn long_times_are_readable() {
        for (seconds, text) in [
            (5.0, "5.0 s"),
            (119.96, "2m00s"),
            (300.0, "5m00s"),
            (3599.7, "60m00s"),
            (86_400.0, "24h00m"),
            (86_399.0, "24h00m"),
            (30.0 * 86_400.0, "30.0 days"),
        ] {
            assert_eq!(long(Duration::from_secs_f64(seconds)), text);
        }
    }
}
