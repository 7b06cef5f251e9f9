//! Sizes, ages and times on the command line.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

use crate::record::Span;

/// A number of days: `30d`, `2w` or `30`.
pub fn days(text: &str) -> Result<u32, String> {
    let wrong = || "not a number of days, such as 30d, 2w or 30".to_owned();
    let (number, unit) = match text.strip_suffix(['d', 'D']) {
        Some(number) => (number, 1),
        None => text
            .strip_suffix(['w', 'W'])
            .map_or((text, 1), |number| (number, 7)),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(wrong)
}

/// The least size: eight files of some minutes.
const LEAST: u64 = 1 << 20;

/// A size: `2G`, `500M`, or bytes.
pub fn size(text: &str) -> Result<u64, String> {
    let wrong = || "not a size, such as 2G or 500M".to_owned();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text[digits.len()..]
        .trim_end_matches(['b', 'B'])
        .trim_end_matches('i')
    {
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        "t" | "T" => 1 << 40,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let size = number.checked_mul(unit).ok_or_else(wrong)?;
    match size < LEAST {
        true => Err("a recording needs at least 1M".to_owned()),
        false => Ok(size),
    }
}

/// What is compared with what.
#[derive(Clone, Debug, PartialEq)]
pub enum Side {
    /// A part of the recording.
    Span(Span),
    /// Another recording, all of it.
    Recording(PathBuf),
}

/// A day (`yesterday`, `2026-11-28`), a span (`TIME..TIME`), or the directory of a recording.
pub fn side(text: &str) -> Result<Side, String> {
    side_at(text, Timestamp::now(), &TimeZone::system())
}

fn side_at(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Side, String> {
    if text.contains('/') {
        return Ok(Side::Recording(text.into()));
    }
    let at = |text: &str| moment_at(text, now, zone);
    let (from, until) = match text.split_once("..") {
        Some((from, until)) => (at(from)?, at(until)?),
        None => {
            let wrong = || {
                format!(
                    "not a day, a span or a directory: {text}, but yesterday, 2026-11-28, \
                     TIME..TIME or /var/lib/iotop-trace would be"
                )
            };
            let day = day(text, now, zone).ok_or_else(wrong)?;
            let begin = |day| begin_of(day, zone).ok_or_else(wrong);
            let next = day.tomorrow().map_err(|_| wrong())?;
            (begin(day)?, begin(next)?)
        }
    };
    match from < until {
        true => Ok(Side::Span(Span {
            from: Some(from),
            until: Some(until),
        })),
        false => Err(format!("{text} ends before it starts")),
    }
}

fn begin_of(day: civil::Date, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_timestamp(day.to_datetime(civil::Time::midnight()))
        .ok()
}

/// `today`, `yesterday` or a date.
fn day(text: &str, now: Timestamp, zone: &TimeZone) -> Option<civil::Date> {
    let today = zone.to_datetime(now).date();
    match text {
        "today" => Some(today),
        "yesterday" => today.yesterday().ok(),
        date if date.len() == "2026-11-28".len() => date.parse().ok(),
        _ => None,
    }
}

/// A time: a day (`today`, `yesterday`), how long ago (`-6h`), a time of today, a date or both, or
/// RFC 3339. A day is its begin.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    moment_at(text, Timestamp::now(), &TimeZone::system())
}

/// The same, if it were `now` in this zone.
pub fn moment_at(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, String> {
    let wrong = || {
        "not a time, such as yesterday, -6h, 14:30, 2026-11-28 or 2026-11-28T14:30:00Z".to_owned()
    };
    if let Some(ago) = text.strip_prefix('-') {
        if !ago.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(wrong());
        }
        let ago = match ago.ends_with(['d', 'w']) {
            true => SignedDuration::from_hours(24 * i64::from(days(ago)?)),
            false => ago.parse().map_err(|_| wrong())?,
        };
        return now.checked_sub(ago).map_err(|_| wrong());
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Some(day) = day(text, now, zone) {
        return begin_of(day, zone).ok_or_else(wrong);
    }
    let today = zone.to_datetime(now).date();
    let time = match text.contains('-') {
        // With or without a time of day.
        true => text.parse::<civil::DateTime>(),
        false => text
            .parse()
            .map(|time: civil::Time| today.to_datetime(time)),
    };
    zone.to_timestamp(time.map_err(|_| wrong())?)
        .map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_spans_are_compared() {
        let zone = TimeZone::get("Europe/Berlin").expect("known");
        let now: Timestamp = "2026-11-28T12:00:00Z".parse().expect("a time");
        let span = |text: &str| match side_at(text, now, &zone) {
            Ok(Side::Span(Span { from, until })) => Ok([from, until].map(|time| {
                let time = time.expect("given");
                time.to_string()
            })),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        };
        let wanted = ["2026-11-26T23:00:00Z", "2026-11-27T23:00:00Z"].map(str::to_owned);
        assert_eq!(span("yesterday"), Ok(wanted.clone()));
        assert_eq!(span("2026-11-27"), Ok(wanted.clone()));
        assert_eq!(span("yesterday..today"), Ok(wanted));
        let hours = ["2026-11-28T06:00:00Z", "2026-11-28T11:00:00Z"].map(str::to_owned);
        assert_eq!(span("-6h..12:00"), Ok(hours));
        // The day on which clocks are set back has 25 hours.
        let long = ["2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"].map(str::to_owned);
        assert_eq!(span("2026-10-25"), Ok(long));
        for text in ["", "today..yesterday", "-1h", "12:00", "x..y", "tomorrow"] {
            assert!(span(text).is_err(), "{text}");
        }
        let directory = side_at("./old", now, &zone);
        assert_eq!(directory, Ok(Side::Recording("./old".into())));
    }

    #[test]
    fn sizes_and_days_have_units() {
        for (text, wanted) in [("2G", 2 << 30), ("500M", 500 << 20), ("1048576", 1 << 20)] {
            assert_eq!(size(text), Ok(wanted), "{text}");
        }
        assert_eq!(size("3GiB"), Ok(3 << 30));
        for text in ["", "G", "2X", "-1G", "1K", "99999999999T", "1.5G"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(
            (days("30d"), days("2w"), days("7")),
            (Ok(30), Ok(14), Ok(7))
        );
        for text in ["", "d", "-1d", "x", "99999999999"] {
            assert!(days(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_may_be_given_in_many_ways() {
        let now: Timestamp = "2026-11-28T15:00:00Z".parse().expect("a time");
        let read = |text| moment_at(text, now, &TimeZone::UTC).map(|time| time.to_string());
        for (text, wanted) in [
            ("-6h", "2026-11-28T09:00:00Z"),
            ("-1h30m", "2026-11-28T13:30:00Z"),
            ("-1d", "2026-11-27T15:00:00Z"),
            ("-2w", "2026-11-14T15:00:00Z"),
            ("yesterday", "2026-11-27T00:00:00Z"),
            ("14:30", "2026-11-28T14:30:00Z"),
            ("2026-11-27", "2026-11-27T00:00:00Z"),
            ("2026-11-27 08:15", "2026-11-27T08:15:00Z"),
            ("2026-11-27T08:15:00+01:00", "2026-11-27T07:15:00Z"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(wanted), "{text}");
        }
        for text in ["", "soon", "-", "--6h", "25:00", "2026-13-01"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
