//! Rows and columns of the table of days and hours.

use jiff::{ToSpan as _, ZonedDateTime, civil::Date};

/// At most this many rows. If there are more days, a row is several of them.
const ROWS: i64 = 92;

/// What rows and columns are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// A row is this many days, and a column is an hour of the day.
    Days(i64),
    /// A row is an hour, and a column is five minutes.
    Hours,
}

/// A cell: its row, counted from that of the start, and its column.
pub(super) type Place = (i64, i64);

impl Layout {
    /// The one that fits; `None` if a plot over time shows as much.
    pub(super) fn of(first: &ZonedDateTime, last: &ZonedDateTime) -> Option<Layout> {
        let length = last.timestamp().duration_since(first.timestamp());
        let days = days(first.date(), last.date()) + 1;
        match length.as_hours() {
            0 => None,
            1..48 => Some(Layout::Hours),
            _ => Some(Layout::Days((days + ROWS - 1) / ROWS)),
        }
    }

    pub(super) fn columns(self) -> i64 {
        match self {
            Layout::Days(_) => 24,
            Layout::Hours => 12,
        }
    }

    pub(super) fn place(self, first: &ZonedDateTime, time: &ZonedDateTime) -> Place {
        let days = days(first.date(), time.date());
        let hour = i64::from(time.hour());
        match self {
            Layout::Days(of) => (days.div_euclid(of), hour),
            Layout::Hours => (
                days * 24 + hour - i64::from(first.hour()),
                i64::from(time.minute()) / 5,
            ),
        }
    }

    pub(super) fn column(self, n: i64) -> String {
        match self {
            Layout::Days(_) => format!("{n:02}"),
            Layout::Hours => format!(":{:02}", n * 5),
        }
    }

    /// The start of a row.
    pub(super) fn start(self, first: &ZonedDateTime, row: i64) -> Option<jiff::civil::DateTime> {
        let hour = i64::from(first.hour());
        match self {
            Layout::Days(of) => {
                let date = first.date().checked_add((row * of).days()).ok()?;
                Some(date.at(0, 0, 0, 0))
            }
            Layout::Hours => first
                .date()
                .at(0, 0, 0, 0)
                .checked_add((row + hour).hours())
                .ok(),
        }
    }
}

fn days(first: Date, last: Date) -> i64 {
    last.duration_since(first).as_hours() / 24
}

pub(super) fn row_name(layout: Layout, first: &ZonedDateTime, row: i64) -> String {
    let format = match layout {
        Layout::Days(1) => "%a %-d %b",
        Layout::Days(_) => "%-d %b %Y",
        Layout::Hours => "%a %H:00",
    };
    let start = layout.start(first, row);
    start.map_or(String::new(), |start| start.strftime(format).to_string())
}

/// The time of a cell in words.
pub(super) fn when(layout: Layout, first: &ZonedDateTime, (row, column): Place) -> String {
    let Some(start) = layout.start(first, row) else {
        return String::new();
    };
    match layout {
        Layout::Days(1) => format!("{} {column:02}:00", start.strftime("%a %-d %b")),
        Layout::Days(of) => {
            format!(
                "{of} days from {}, {column:02}:00",
                start.strftime("%-d %b %Y")
            )
        }
        Layout::Hours => format!("{}:{:02}", start.strftime("%a %-d %b %H"), column * 5),
    }
}
