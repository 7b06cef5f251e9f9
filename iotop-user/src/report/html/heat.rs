//! When bytes are written: a table of days and hours, or of hours and minutes.

use std::{collections::BTreeMap, time::Duration};

use jiff::{Timestamp, ToSpan as _, ZonedDateTime};
use maud::{Markup, html};

use super::{
    Html,
    calendar::{Layout, Place, row_name, when},
    names::value,
    scale::{SHADES, Scale},
};
use crate::{
    output::units::long,
    report::{Clock, Report, Times, words::bytes},
};

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    bytes: u64,
    /// Recorded milliseconds with eBPF, and without.
    traced: u64,
    untraced: u64,
}

impl Cell {
    /// True if it is known how much was written.
    fn is_known(&self) -> bool {
        self.traced != 0 || self.bytes != 0
    }
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
    let scale = Scale::of(cells.values().map(|cell| cell.bytes));
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
    let before_end = last.timestamp().saturating_sub(1.millisecond());
    let before_end = before_end.unwrap_or(report.end).max(report.start);
    let before_end = before_end.to_zoned_datetime(html.zone.clone());
    let last_row = layout.place(&first, &before_end).0;
    let last_row = cells.keys().map(|(row, _)| *row).fold(last_row, i64::max);
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
    let is_known = of_row().any(|(_, cell)| cell.is_known());
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
        let at = at.saturating_add(minutes.minutes());
        let Ok(zoned) = at.to_zoned_datetime(first.time_zone().clone()) else {
            return false;
        };
        let from = zoned.timestamp();
        // A clock that is set forward skips an hour.
        zoned.datetime() != at
            || from >= end
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
    if !cell.is_known() {
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

fn legend(cells: &BTreeMap<Place, Cell>, scale: Scale) -> Markup {
    let has_untraced = cells.values().any(|cell| !cell.is_known());
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
}
