//! Where the axes of a plot have labels.

use std::ops::RangeInclusive;

use jiff::{
    Timestamp, ToSpan as _,
    civil::{Date, DateTime},
    tz::TimeZone,
};

/// The units of bytes, each 1024 times the one before.
const UNITS: [&str; 7] = ["B", "K", "M", "G", "T", "P", "E"];

/// The marks of an axis of bytes, from 0, and the last of them: all are round numbers of one unit.
pub(super) fn of_bytes(largest: u64) -> Vec<(u64, String)> {
    let unit = UNITS.iter().enumerate().rev();
    let mut unit = unit.map(|(power, name)| (1u64 << (10 * power), name));
    let unit = unit.find(|(size, _)| largest >= *size);
    let (size, name) = unit.unwrap_or((1, &"B"));
    let steps = [1, 2, 5, 10, 20, 50, 100, 200, 250];
    let fits = |step: &u64| largest.div_ceil(size).div_ceil(*step) <= 5;
    let step = steps.into_iter().find(fits).unwrap_or(500);
    let marks = 0..=largest.div_ceil(step.saturating_mul(size)).max(1);
    let mark = |n: u64| (size.saturating_mul(n * step), format!("{}{name}", n * step));
    marks.map(mark).collect()
}

/// Milliseconds of the steps between the marks of an axis of time.
const STEPS: [i64; 15] = [
    1_000, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000,
    7_200_000, 10_800_000, 21_600_000, 43_200_000,
];
const DAY: i64 = 86_400_000;

/// A mark of an axis of time.
pub(super) struct Mark {
    pub time: Timestamp,
    pub label: String,
    /// It is left out where there is little room.
    pub is_minor: bool,
}

/// The marks of an axis of time: at most about `most`, at round times of this zone.
pub(super) fn of_time(start: Timestamp, end: Timestamp, zone: &TimeZone, most: i64) -> Vec<Mark> {
    let length = end.as_millisecond() - start.as_millisecond();
    let step = STEPS.into_iter().find(|step| length / step <= most);
    let dates = dates(start, end, zone);
    let times = match step {
        Some(step) => {
            let [from, to] = [(start, -1), (end, 1)].map(|(time, sign)| {
                // The clock may be set forward or back in between.
                let time = time.to_zoned_datetime(zone.clone()).datetime();
                time.saturating_add((3 * sign).hours())
            });
            let day = |date| of_day(date, step, zone, from..=to);
            dates.flat_map(day).collect()
        }
        None => {
            let every = (length / DAY / most + 1) as usize;
            let midnight =
                |date: Date| Some(date.to_zoned_datetime(zone.clone()).ok()?.timestamp());
            dates
                .step_by(every)
                .filter_map(midnight)
                .collect::<Vec<_>>()
        }
    };
    let inside = |time: &Timestamp| (start..=end).contains(time);
    let times: Vec<Timestamp> = times.into_iter().filter(inside).collect();
    let midnights = times
        .iter()
        .filter(|time| is_midnight(**time, zone))
        .count();
    let mark = |(n, time): (usize, Timestamp)| Mark {
        time,
        label: label(time, step, zone),
        is_minor: match step {
            // Without a date, a time of the day does not say when it was.
            Some(_) if midnights != 0 => !is_midnight(time, zone),
            _ => n % 2 == 1,
        },
    };
    times.into_iter().enumerate().map(mark).collect()
}

/// The days from one time to another. At most 4000 are looked at: more is no recording.
fn dates(start: Timestamp, end: Timestamp, zone: &TimeZone) -> impl Iterator<Item = Date> {
    let first = start.to_zoned_datetime(zone.clone()).date();
    let last = end.to_zoned_datetime(zone.clone()).date();
    first
        .series(1.day())
        .take_while(move |date| *date <= last)
        .take(4000)
}

/// The times of a day with this step. Steps are those of the clock, also on the days on which it
/// is set forward or back.
fn of_day(
    date: Date,
    step: i64,
    zone: &TimeZone,
    within: RangeInclusive<DateTime>,
) -> Vec<Timestamp> {
    let time = |ms: i64| {
        let at = date.at(0, 0, 0, 0).checked_add(ms.milliseconds()).ok()?;
        let at = within.contains(&at).then_some(at)?;
        Some(at.to_zoned_datetime(zone.clone()).ok()?.timestamp())
    };
    (0..DAY / step).filter_map(|n| time(n * step)).collect()
}

fn is_midnight(time: Timestamp, zone: &TimeZone) -> bool {
    let time = time.to_zoned_datetime(zone.clone());
    time.hour() == 0 && time.minute() == 0 && time.second() == 0
}

fn label(time: Timestamp, step: Option<i64>, zone: &TimeZone) -> String {
    let format = match step {
        None => "%-d %b",
        _ if is_midnight(time, zone) => "%-d %b",
        Some(..60_000) => "%T",
        Some(_) => "%H:%M",
    };
    let time = time.to_zoned_datetime(zone.clone());
    time.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(start: &str, end: &str, zone: &str) -> Vec<String> {
        let zone = TimeZone::get(zone).expect("a zone");
        let [start, end] = [start, end].map(|time| time.parse().expect("a time"));
        let marks = of_time(start, end, &zone, 8);
        marks.into_iter().map(|mark| mark.label).collect()
    }

    #[test]
    fn marks_of_bytes_are_round_and_reach_above_the_largest() {
        for (largest, wanted) in [
            (0, vec!["0B", "1B"]),
            (3, vec!["0B", "1B", "2B", "3B"]),
            (1023, vec!["0B", "250B", "500B", "750B", "1000B", "1250B"]),
            (1024, vec!["0K", "1K"]),
            (70 << 20, vec!["0M", "20M", "40M", "60M", "80M"]),
            (
                900 << 30,
                vec!["0G", "200G", "400G", "600G", "800G", "1000G"],
            ),
        ] {
            let marks = of_bytes(largest);
            assert!(marks.last().expect("marks").0 >= largest);
            let labels: Vec<&str> = marks.iter().map(|(_, label)| &**label).collect();
            assert_eq!(labels, wanted, "{largest}");
        }
        assert!(of_bytes(u64::MAX).len() < 10);
    }

    #[test]
    fn marks_of_time_are_round_in_the_zone() {
        let day = labels(
            "2026-11-24T05:10:00Z",
            "2026-11-25T05:10:00Z",
            "Asia/Kathmandu",
        );
        assert_eq!(
            day,
            [
                "12:00", "15:00", "18:00", "21:00", "25 Nov", "03:00", "06:00", "09:00"
            ]
        );
        let minute = labels("2026-11-24T05:10:00Z", "2026-11-24T05:10:40Z", "UTC");
        assert_eq!(minute[..2], ["05:10:00", "05:10:05"]);
        let month = labels(
            "2026-10-24T05:10:00Z",
            "2026-11-24T05:10:00Z",
            "Europe/Berlin",
        );
        assert_eq!(month[..2], ["28 Oct", "1 Nov"]);
    }

    #[test]
    fn marks_stay_on_the_clock_when_it_is_set_back() {
        let night = labels(
            "2026-10-24T18:00:00Z",
            "2026-10-25T12:00:00Z",
            "Europe/Berlin",
        );
        assert_eq!(night[..3], ["21:00", "25 Oct", "03:00"]);
        assert_eq!(night.last().expect("marks"), "12:00");
    }
}
