//! The report as one HTML page that needs nothing else: no script, no network, no file beside it.
//!
//! Templates are those of maud, which escapes every text. Plots are drawn as SVG by the same
//! templates: the shapes stretch with the page while the labels stay text of the page, so they can
//! be read at any width, and the colours are those of the page, dark or light.

mod answers;
mod calendar;
mod changes;
mod heat;
mod layers;
mod names;
mod plot;
mod rows;
mod scale;
mod spikes;
mod ticks;

use jiff::{Timestamp, tz::TimeZone};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    Comparison, Report,
    head::{lifetimes, notes, recorded, samples},
    words::{gigabytes, percent, terabytes_a_year},
};
use crate::output::units::long;
use names::value;

const STYLE: &str = include_str!("style.css");

/// Nothing is loaded, and no script is run, whatever a name contains.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// At most this many rows are on the page, so that it stays small.
const ROWS: usize = 100;

/// How a report is printed as HTML.
#[derive(Clone, Debug)]
pub struct Html {
    /// The time zone of times.
    pub zone: TimeZone,
    /// At most this many rows are on the page; the others are added up.
    pub rows: usize,
}

impl Html {
    /// The page of a report.
    pub fn page(&self, report: &Report) -> String {
        let title = format!("Block writes by {}", report.by.name());
        let body = html! {
            header {
                h1 { (title) }
                p.span {
                    (self.span(report.start, report.end)) ": "
                    (long(report.span.covered)) " in " (samples(&report.span)) ", "
                    "on average " (long(report.span.interval())) " long. "
                    (self.zone_said(&[report.start, report.end]))
                }
                @for line in report.span.daily.lines(report.by) { p.note { (line) } }
                @if !report.span.daily.days.is_empty() {
                    p.note { "Daily totals are in the figures and tables, not in the plots: they have no times." }
                }
                @for note in notes(report) { p.note { strong { "! " } (note) } }
                @if !report.is_untraced() {
                    (answers::section(self, report))
                    (totals(report))
                    @if let Some(size) = recorded(report) { p.dim { (size) } }
                    @if let Some(found) = &report.lifetimes { p.dim { (lifetimes(found)) } }
                }
            }
            @if !report.is_untraced() {
                main {
                    @if let Some(times) = &report.times {
                        (plot::section(self, report, times))
                        (heat::section(self, report, times))
                    }
                    (rows::section(report, self.rows.min(ROWS)))
                    @if let Some(times) = &report.times {
                        (spikes::section(self, &times.spikes()))
                    }
                    @if let Some(woken) = &report.woken {
                        section {
                            h2 { "Wake-ups of disks" }
                            p.dim { "The first requests after silence, reads included." }
                            pre { (woken) }
                        }
                    }
                }
            }
            (footer())
        };
        document(&title, body)
    }

    /// The page of a comparison.
    pub fn changes(&self, comparison: &Comparison<'_>) -> String {
        let title = format!("Block writes by {}, compared", comparison.by().name());
        let times = [comparison.before, comparison.after].map(|one| [one.start, one.end]);
        let body = html! {
            header {
                h1 { (title) }
                p.span {
                    "Before: " (self.span(times[0][0], times[0][1])) ". "
                    "After: " (self.span(times[1][0], times[1][1])) ". "
                    (self.zone_said(times.as_flattened()))
                }
                @for (when, one) in [("before", comparison.before), ("after", comparison.after)] {
                    @for note in notes(one) { p.note { strong { "! " } (when) ": " (note) } }
                }
            }
            main { (changes::section(comparison, self.rows.min(ROWS))) }
            (footer())
        };
        document(&title, body)
    }

    fn span(&self, start: Timestamp, end: Timestamp) -> String {
        format!("{} to {}", self.date_time(start), self.date_time(end))
    }

    /// `2026-11-28 06:07:42`, in the zone that the head names.
    fn date_time(&self, time: Timestamp) -> String {
        self.format(time, "%F %T")
    }

    fn format(&self, time: Timestamp, format: &str) -> String {
        let time = time.to_zoned_datetime(self.zone.clone());
        time.strftime(format).to_string()
    }

    /// Which zone the times are in: `All times are those of Europe/Berlin (+01:00).`
    fn zone_said(&self, times: &[Timestamp]) -> String {
        let mut offsets: Vec<String> = times.iter().map(|t| self.format(*t, "%:z")).collect();
        offsets.dedup();
        let offsets = offsets.join(", later ");
        match self.zone.iana_name() {
            Some(name) => format!("All times are local: {name} ({offsets})."),
            None => format!("All times are local ({offsets})."),
        }
    }
}

fn document(title: &str, body: Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "iotop-trace " (env!("CARGO_PKG_VERSION")) };
                // Without it, browsers ask for /favicon.ico.
                link rel="icon" href="data:,";
                title { (title) " - iotop-trace" }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    };
    page.into_string()
}

/// All bytes of the span, by how their owners are known.
fn totals(report: &Report) -> Markup {
    let totals = &report.span.totals;
    let metadata = totals.metadata.total();
    let per_day = report.per_day(totals.write);
    let part = |n: u64| {
        html! { (value(n)) " " span.dim { (percent(report.share(n))) } }
    };
    let facts = [
        ("Written", value(totals.write)),
        ("Data, exact", part(totals.attributed)),
        ("Data, estimated", part(totals.shared - metadata)),
        ("Metadata", part(metadata)),
        ("No owner", part(totals.unattributed.in_total())),
        ("Read", value(totals.read)),
        ("GB a day", html! { (gigabytes(per_day)) }),
        ("TB a year", html! { (terabytes_a_year(per_day)) }),
    ];
    html! {
        dl.totals {
            @for (name, figure) in facts { div { dt { (name) } dd { (figure) } } }
        }
    }
}

fn footer() -> Markup {
    html! {
        footer {
            p {
                "Bytes are charged to the task that made them dirty, whichever task wrote them. "
                "Metadata, and what is called estimated, is charged by estimate. "
                "1K is 1024 bytes and 1M is 1024K; GB and TB are decimal, as drives' "
                "endurance is given. A dash stands for what is not known."
            }
            p { "iotop-trace " (env!("CARGO_PKG_VERSION")) }
        }
    }
}

#[cfg(test)]
mod tests;
