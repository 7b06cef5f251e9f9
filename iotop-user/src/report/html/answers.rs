//! The three answers at the top: who wrote, when, and why.

use maud::{Markup, html};

use super::{
    Html,
    layers::Plot,
    names::{name, value},
    spikes,
};
use crate::report::{
    Report, Usage,
    shown::{Kind, shown},
    words::{bytes, percent, reasons},
};

/// At most this many rows are named.
const NAMED: usize = 3;

pub(super) fn section(html: &Html, report: &Report) -> Markup {
    html! {
        div.answers {
            div { h2 { @if report.by.is_of_facts() { "Where" } @else { "Who" } } (who(report)) }
            div { h2 { "When" } (when(html, report)) }
            div { h2 { "Why" } (why(report)) }
        }
    }
}

fn who(report: &Report) -> Markup {
    let rows = shown(report, NAMED);
    let rows = rows.iter().filter(|row| row.kind != Kind::Total);
    html! {
        ol.plain {
            @for row in rows.filter(|row| row.usage.written() != 0) {
                li {
                    span.n { (percent(report.share(row.usage.written()))) } " "
                    (name(&row.name))
                }
            }
        }
    }
}

fn when(html: &Html, report: &Report) -> Markup {
    let Some(times) = &report.times else {
        return html! {};
    };
    let plot = Plot::of(report, times);
    let spikes = times.spikes();
    html! {
        ul.plain {
            @match plot.largest() {
                None => li { "Nothing was written." },
                Some((start, end, n)) => li {
                    "Most: " (value(n)) " ("
                    (percent(report.share(n))) ") from "
                    (plot.time_said(html, start, end))
                },
            }
            @match spikes::in_words(html, &spikes) {
                Some(words) => li { a href="#spikes" { (words) } },
                None => li { "No spike" },
            }
        }
    }
}

fn why(report: &Report) -> Markup {
    let mut all = Usage::default();
    let usages = report
        .rows
        .iter()
        .map(|row| &row.usage)
        .chain([&report.other]);
    for (reason, n) in usages.flat_map(|usage| &usage.reasons) {
        all.count_reason(reason, *n);
    }
    let asked: u64 = all.reasons.values().sum();
    // Bytes without an owner have no reason that is counted, for example.
    let of_known = match asked < report.written() - report.written() / 100 {
        true => format!(
            ", of the {} of which it is known",
            percent(report.share(asked)).trim()
        ),
        false => String::new(),
    };
    let metadata = report.span.totals.metadata;
    let kinds = [
        (metadata.journal, "journal"),
        (metadata.home, "metadata in its place"),
        (metadata.tree, "trees"),
    ];
    let kinds = kinds.iter().filter(|(n, _)| *n != 0);
    let kinds: Vec<String> = kinds
        .map(|(n, what)| format!("{} {what}", bytes(*n)))
        .collect();
    html! {
        ul.plain {
            @match reasons(&all) {
                Some(reasons) => li { "Asked for by " (reasons) (of_known) },
                None => li { "It is not known what asked for the writes." },
            }
            @if !kinds.is_empty() {
                li {
                    (percent(report.share(metadata.total()))) " is metadata: " (kinds.join(", "))
                }
            }
        }
    }
}
