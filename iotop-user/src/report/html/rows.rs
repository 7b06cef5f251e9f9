//! The table of the rows, each with its cost, its pattern and its files.

use maud::{Markup, html};

use super::{
    layers::COLOURS,
    names::{capital, known, name, value},
};
use crate::{
    output::units,
    report::{
        Part, Report, ReportBy, ReportRow, Usage,
        rows::PARTS,
        shown::{Kind, Shown, shown},
        words::{bytes, commits, cost, gigabytes, into_file, pattern, percent},
    },
    sample::Reason,
};

/// The details of at most this many rows are on the page.
const DETAILS: usize = 20;
/// At most this many files of each.
const FILES: usize = 10;

pub(super) fn section(report: &Report, most: usize) -> Markup {
    let rows = shown(report, most);
    let of_facts = report.by.is_of_facts();
    let by = report.by.name();
    let heading = if of_facts {
        "Where it was written"
    } else {
        "Who wrote it"
    };
    let stacked = report.span.totals.unattributed[Reason::Stacked];
    html! {
        section aria-labelledby="rows" {
            h2 id="rows" { (heading) }
            p.caption {
                "Each bar is a share of all bytes: solid is data, striped is metadata, grey has "
                "no owner."
            }
            table.rows {
                thead {
                    tr {
                        th scope="col" { (capital(by)) }
                        th scope="col" { @if of_facts { "Written" } @else { "Caused" } }
                        th scope="col" { "Share" }
                        th scope="col" { "Data" }
                        th.wide scope="col" { "Metadata" }
                        th.wide scope="col" {
                            @if of_facts { "No owner" } @else { "Amplification" }
                        }
                        th scope="col" { "Read" }
                        th scope="col" { "GB a day" }
                    }
                }
                @for (n, row) in rows.iter().enumerate() { (entry(report, n, row)) }
            }
            @if stacked != 0 {
                p.dim { (bytes(stacked)) " are copies on lower devices, not in the total." }
            }
        }
    }
}

fn entry(report: &Report, n: usize, shown: &Shown<'_>) -> Markup {
    let usage = &shown.usage;
    let kind = match shown.kind {
        Kind::Row => "row",
        Kind::Other => "other",
        Kind::Unattributed => "unattributed",
        Kind::Total => "total",
    };
    let swatch = match shown.kind {
        Kind::Row if n < COLOURS => format!("s{n}"),
        Kind::Row | Kind::Other => "other".to_owned(),
        Kind::Unattributed => "none".to_owned(),
        Kind::Total => String::new(),
    };
    let share = report.share(usage.written());
    let part = |n: u64| share_of(n, report.written());
    let data = usage.exact + usage.shared;
    let metadata = usage.metadata.total();
    let meta_part = (usage.caused() != 0).then(|| metadata as f64 / usage.caused() as f64);
    html! {
        tbody class=(kind) {
            tr {
                th scope="row" {
                    span class={ "swatch " (swatch) } aria-hidden="true" {}
                    (name(&shown.name))
                    @if shown.kind != Kind::Total {
                        div.bar aria-hidden="true" {
                            span.data style={ "width:" (part(data)) } {}
                            span.metadata style={ "width:" (part(metadata)) } {}
                            span.without style={ "width:" (part(usage.without_owner)) } {}
                        }
                    }
                }
                td.n data-label="Written" { (value(usage.written())) }
                td.n data-label="Share" { (percent(share)) }
                td.n data-label="Data" {
                    @if shown.kind == Kind::Unattributed { "-" } @else { (value(data)) }
                }
                td.n data-label="Metadata" {
                    @if shown.kind == Kind::Unattributed { "-" } @else {
                        (value(metadata)) " " span.dim { (percent(meta_part)) }
                    }
                }
                @if report.by.is_of_facts() {
                    td.n data-label="No owner" { (value(usage.without_owner)) }
                } @else {
                    td.n data-label="Amplification" {
                        (usage.amplification().map_or(units::UNKNOWN.to_owned(), units::ratio))
                    }
                }
                td.n data-label="Read" {
                    @if shown.kind == Kind::Unattributed { "-" } @else { (known(Some(usage.read))) }
                }
                td.n data-label="GB a day" { (gigabytes(report.per_day(usage.written()))) }
            }
            @if let Some(row) = shown.row.filter(|_| n < DETAILS) { (details(report, row)) }
        }
    }
}

fn share_of(n: u64, all: u64) -> String {
    format!("{:.2}%", n as f64 * 100.0 / all.max(1) as f64)
}

/// How a row wrote. Its summary says what asked for the writes.
fn details(report: &Report, row: &ReportRow) -> Markup {
    if row.usage.written() == 0 {
        return html! {};
    }
    let parts = row.parts.partition_point(|part| part.usage.written() != 0);
    let what = match (report.by.is_of_facts(), parts) {
        (true, 1) => "1 command".to_owned(),
        (false, 1) => "1 file".to_owned(),
        // The smaller ones were left out.
        (true, PARTS) => format!("{PARTS} or more commands"),
        (false, PARTS) => format!("{PARTS} or more files"),
        (true, n) => format!("{n} commands"),
        (false, n) => format!("{n} files"),
    };
    html! {
        tr.more {
            td colspan="8" {
                details {
                    summary {
                        @if let Some(pattern) = pattern(&row.usage, &row.periods) {
                            (pattern) " "
                        }
                        span.dim { "(" (what) ")" }
                    }
                    (in_words(report, row))
                    (files(report, row, &row.parts[..parts]))
                }
            }
        }
    }
}

fn in_words(report: &Report, row: &ReportRow) -> Markup {
    let usage = &row.usage;
    html! {
        @if usage.caused() != 0 { p { (cost(usage, report)) } }
        @if usage.shared != 0 {
            p { "Of the data, " (bytes(usage.exact)) " are exact and " (bytes(usage.shared))
                " are estimated." }
        }
        @if report.by == ReportBy::File {
            p { (bytes(usage.written())) " " (into_file(usage, row.size)) }
        }
        @if row.lacks_at_most != 0 {
            p { "Up to " (bytes(row.lacks_at_most)) " more of it is among the others." }
        }
        @if let Some(asked) = commits(&usage.commits) { p { (asked) } }
    }
}

fn files(report: &Report, row: &ReportRow, parts: &[Part]) -> Markup {
    let (named, rest) = parts.split_at(FILES.min(parts.len()));
    let sum: u64 = named.iter().map(|part| part.usage.written()).sum();
    let more = row.usage.written().saturating_sub(sum);
    let share = |usage: &Usage| {
        let all = row.usage.written();
        percent((all != 0).then(|| usage.written() as f64 / all as f64))
    };
    let what = if report.by.is_of_facts() {
        "Command"
    } else {
        "File"
    };
    html! {
        @if !named.is_empty() {
            table.parts {
                thead {
                    tr {
                        th scope="col" { (what) }
                        th scope="col" { "Written" }
                        th scope="col" { "Share" }
                        th.text scope="col" { "How" }
                    }
                }
                tbody {
                    @for part in named {
                        tr {
                            th scope="row" { (name(&part.name)) }
                            td.n { (value(part.usage.written())) }
                            td.n { (share(&part.usage)) }
                            td {
                                (into_file(&part.usage, part.size))
                                @if let Some(pattern) = pattern(&part.usage, &part.periods) {
                                    "; " (pattern)
                                }
                            }
                        }
                    }
                    @if more != 0 && !rest.is_empty() {
                        tr.rest { th scope="row" { "others" } td.n { (value(more)) } td {} td {} }
                    }
                }
            }
        }
    }
}
