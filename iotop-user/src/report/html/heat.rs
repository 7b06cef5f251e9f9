//! When bytes are written: a table of days and hours, or of hours and minutes.

use std::{collections::BTreeMap, time::Duration};

use jiff::{Timestamp, ToSpan as _, ZonedDateTime, civil::Date};
use maud::{Markup, html};

use super::{Html, names::value};
use crate::report::{
    Clock, Report, Times,
    words::{bytes, long},
};

/// At most this many rows. If there are more days, a row is several of them.
const ROWS: i64 = 92;
/// Shades of a cell with bytes.
const SHADES: u32 = 7;

/// What rows and columns are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// A row is this many days, and a column is an hour of the day.
    Days(i64),
    /// A row is an hour, and a column is five minutes.
    Hours,
}

/// How many bytes each shade stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Scale {
    /// The bytes of the cell with most.
    most: u64,
    /// A shade stands for this many times the bytes of the one before.
    factor: u64,
}

impl Scale {
    /// The finest one that tells nine of ten cells with bytes apart from the least.
    fn of(cells: &BTreeMap<Place, Cell>) -> Scale {
        let mut bytes: Vec<u64> = cells.values().map(|cell| cell.bytes).collect();
        bytes.retain(|n| *n != 0);
        bytes.sort_unstable();
        let most = bytes.last().copied().unwrap_or(0);
        let low = bytes.get(bytes.len() / 10).copied().unwrap_or(1);
        let reaches = |factor: &u64| most / factor.pow(SHADES - 1) <= low;
        let factor = [2, 3, 4, 6, 10].into_iter().find(reaches);
        Scale {
            most,
            factor: factor.unwrap_or(10),
        }
    }

    /// 0 without bytes, else 1 to 7.
    fn shade(self, n: u64) -> u32 {
        match n {
            0 => 0,
            n => SHADES
                .saturating_sub((self.most / n).ilog(self.factor))
                .max(1),
        }
    }

    /// The largest number of bytes with this shade.
    fn up_to(self, shade: u32) -> u64 {
        self.most / self.factor.pow(SHADES - shade)
    }
}

/// A cell: its row, counted from that of the start, and its column.
type Place = (i64, i64);

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    bytes: u64,
    /// Recorded milliseconds with eBPF, and without.
    traced: u64,
    untraced: u64,
}

impl Layout {
    /// The one that fits; `None` if a plot over time shows as much.
    fn of(first: &ZonedDateTime, last: &ZonedDateTime) -> Option<Layout> {
        let length = last.timestamp().duration_since(first.timestamp());
        let days = days(first.date(), last.date()) + 1;
        match length.as_hours() {
            0 => None,
            1..48 => Some(Layout::Hours),
            _ => Some(Layout::Days((days + ROWS - 1) / ROWS)),
        }
    }

    fn columns(self) -> i64 {
        match self {
            Layout::Days(_) => 24,
            Layout::Hours => 12,
        }
    }

    fn place(self, first: &ZonedDateTime, time: &ZonedDateTime) -> Place {
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

    fn column(self, n: i64) -> String {
        match self {
            Layout::Days(_) => format!("{n:02}"),
            Layout::Hours => format!(":{:02}", n * 5),
        }
    }

    /// The start of a row.
    fn start(self, first: &ZonedDateTime, row: i64) -> Option<jiff::civil::DateTime> {
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

pub(super) fn section(html: &Html, report: &Report, times: &Times) -> Markup {
    let [first, last] = [report.start, report.end].map(|t| t.to_zoned_datetime(html.zone.clone()));
    // Longer buckets are in no hour of the day.
    let is_fine = times.written.length() <= 3_600_000;
    let Some(layout) = Layout::of(&first, &last).filter(|_| is_fine) else {
        return html! {};
    };
    let cells = cells(html, times, layout, &first);
    let most = cells
        .iter()
        .max_by_key(|(place, cell)| (cell.bytes, std::cmp::Reverse(**place)));
    let busiest = most.map_or((0, 0), |(place, _)| *place);
    let scale = Scale::of(&cells);
    let (rows, heading) = match layout {
        Layout::Days(1) => (
            "Each row is a day, each column an hour of it",
            "By day and hour",
        ),
        Layout::Days(_) => (
            "Each row is several days, each column an hour of them",
            "By hour of the day",
        ),
        Layout::Hours => (
            "Each row is an hour, each column five minutes of it",
            "By hour and minute",
        ),
    };
    let last_row = layout.place(&first, &last).0;
    html! {
        section aria-labelledby="heat" {
            h2 id="heat" { (heading) }
            p.caption {
                (rows) ". Each shade stands for " (scale.factor)
                " times as much as the one before. Most: " (bytes(scale.most)) ", " (when(layout, &first, busiest)) "."
            }
            div.scroll role="region" aria-label=(heading) tabindex="0" {
                table class={ "heat c" (layout.columns()) } {
                    thead {
                        tr {
                            th scope="col" { span.hidden { "from" } }
                            @for column in 0..layout.columns() {
                                th scope="col" { (layout.column(column)) }
                            }
                            th scope="col" { "sum" }
                        }
                    }
                    tbody {
                        @for row in 0..=last_row { (line(&cells, layout, &first, row, scale, (report.start, report.end))) }
                    }
                }
            }
            (legend(&cells, scale))
        }
    }
}

fn cells(
    html: &Html,
    times: &Times,
    layout: Layout,
    first: &ZonedDateTime,
) -> BTreeMap<Place, Cell> {
    let mut cells: BTreeMap<Place, Cell> = BTreeMap::new();
    let mut add = |clock: &Clock, count: fn(&mut Cell, u64)| {
        for (at, n) in clock.buckets() {
            let time = times.time(at).to_zoned_datetime(html.zone.clone());
            // The first bucket may begin before the span.
            let time = if time.timestamp() < first.timestamp() {
                first.clone()
            } else {
                time
            };
            count(cells.entry(layout.place(first, &time)).or_default(), n);
        }
    };
    add(&times.written, |cell, n| cell.bytes += n);
    add(&times.traced, |cell, n| cell.traced += n);
    add(&times.untraced, |cell, n| cell.untraced += n);
    cells
}

fn line(
    cells: &BTreeMap<Place, Cell>,
    layout: Layout,
    first: &ZonedDateTime,
    row: i64,
    scale: Scale,
    (start, end): (Timestamp, Timestamp),
) -> Markup {
    let of_row = || cells.range((row, 0)..(row + 1, 0));
    let sum: u64 = of_row().map(|(_, cell)| cell.bytes).sum();
    let is_known = of_row().any(|(_, cell)| cell.traced != 0);
    let outside = |column: i64| {
        let minutes = match layout {
            Layout::Days(1) => column * 60,
            Layout::Days(_) => return false,
            Layout::Hours => column * 5,
        };
        let length = if layout == Layout::Hours { 5 } else { 60 };
        let Some(at) = layout.start(first, row) else {
            return false;
        };
        let zoned = at
            .saturating_add(minutes.minutes())
            .to_zoned_datetime(first.time_zone().clone());
        let Ok(zoned) = zoned else { return false };
        let from = zoned.timestamp();
        from >= end
            || from
                .saturating_add(length.minutes())
                .is_ok_and(|to| to <= start)
    };
    html! {
        tr {
            th scope="row" { (row_name(layout, first, row)) }
            @for column in 0..layout.columns() {
                @match cells.get(&(row, column)) {
                    Some(cell) => (known(*cell, layout, first, (row, column), scale)),
                    None if outside(column) => td {},
                    None => td.gap title={ (when(layout, first, (row, column))) ": not recorded" } { "-" },
                }
            }
            td.sum { @if is_known { (value(sum)) } @else { "-" } }
        }
    }
}

fn known(cell: Cell, layout: Layout, first: &ZonedDateTime, place: Place, scale: Scale) -> Markup {
    let when = when(layout, first, place);
    if cell.traced == 0 {
        return html! { td.untraced title={ (when) ": recorded without eBPF" } { "-" } };
    }
    let minutes = match layout {
        Layout::Days(of) => 60 * of,
        Layout::Hours => 5,
    };
    let partly = cell.traced * 100 < minutes.unsigned_abs() * 60_000 * 99;
    html! {
        td class={ "h" (scale.shade(cell.bytes)) } title={
            (when) ": " (bytes(cell.bytes))
            @if partly { "; recorded " (long(Duration::from_millis(cell.traced))) " of it" }
        } {
            data value=(cell.bytes) { (short(cell.bytes)) }
        }
    }
}

/// A number of bytes in at most four characters.
fn short(n: u64) -> String {
    let mut value = n as f64;
    let mut unit = "";
    for larger in ["K", "M", "G", "T", "P", "E"] {
        if value < 999.5 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    match value {
        _ if n < 1000 => n.to_string(),
        ..9.95 => format!("{value:.1}{unit}"),
        _ => format!("{value:.0}{unit}"),
    }
}

fn row_name(layout: Layout, first: &ZonedDateTime, row: i64) -> String {
    let format = match layout {
        Layout::Days(1) => "%a %-d %b",
        Layout::Days(_) => "%-d %b %Y",
        Layout::Hours => "%a %H:00",
    };
    let start = layout.start(first, row);
    start.map_or(String::new(), |start| start.strftime(format).to_string())
}

/// The time of a cell in words.
fn when(layout: Layout, first: &ZonedDateTime, (row, column): Place) -> String {
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

fn legend(cells: &BTreeMap<Place, Cell>, scale: Scale) -> Markup {
    let has_untraced = cells.values().any(|cell| cell.traced == 0);
    html! {
        ul.legend {
            li { span.swatch.h0 {} "0B" }
            @for shade in 1..=SHADES {
                @let most = scale.up_to(shade);
                @if most != 0 {
                    li { span class={ "swatch h" (shade) } {} "up to " (bytes(most)) }
                }
            }
            li { span.swatch.gap {} "not recorded" }
            @if has_untraced { li { span.swatch.untraced {} "recorded without eBPF" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_numbers_have_at_most_four_characters() {
        for (n, wanted) in [
            (0, "0"),
            (999, "999"),
            (1000, "1.0K"),
            (1024 * 1000, "1.0M"),
            (10_188, "9.9K"),
            (10_189, "10K"),
            (u64::MAX, "16E"),
        ] {
            assert_eq!(short(n), wanted, "{n}");
            assert!(wanted.len() <= 4);
        }
    }

    fn scale(bytes: &[u64]) -> Scale {
        let cell = |bytes: u64| Cell {
            bytes,
            ..Cell::default()
        };
        let cells = bytes.iter().enumerate();
        Scale::of(
            &cells
                .map(|(n, bytes)| ((0, n as i64), cell(*bytes)))
                .collect(),
        )
    }

    #[test]
    fn only_nothing_has_the_shade_of_nothing() {
        let most = 1 << 30;
        let scale = scale(&[0, most, most >> 1, most >> 2, most >> 3]);
        assert_eq!(scale.factor, 2);
        let shades = [0, 1, most >> 2, (most >> 1) + 1, most].map(|n| scale.shade(n));
        assert_eq!(shades, [0, 1, 5, 7, 7]);
        for shade in 1..=SHADES {
            assert_eq!(scale.shade(scale.up_to(shade)), shade);
        }
    }

    #[test]
    fn a_scale_is_coarser_if_little_and_much_is_far_apart() {
        let few: Vec<u64> = [1 << 20; 50].into_iter().chain([1 << 40]).collect();
        assert_eq!(scale(&few).factor, 10);
        assert_eq!(scale(&[0, 0]), Scale { most: 0, factor: 2 });
    }
}
