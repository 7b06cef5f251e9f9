//! The table of a comparison.

use maud::{Markup, html};

use super::names::{capital, name};
use crate::{
    output::{grouped, units::UNKNOWN},
    report::{Change, Changed, Comparison, words::gigabytes},
};

pub(super) fn section(comparison: &Comparison<'_>, most: usize) -> Markup {
    let by = comparison.by().name();
    let changed = |change: &&Change| change.changed != Changed::Same;
    let rows: Vec<&Change> = comparison.changes.iter().filter(changed).collect();
    let more = rows.len().saturating_sub(most);
    html! {
        table.rows.changes {
            caption { "GB a day, those that changed most first" }
            thead {
                tr {
                    th scope="col" { (capital(by)) }
                    th scope="col" { "Before" }
                    th scope="col" { "After" }
                    th scope="col" { "Change" }
                    th.text scope="col" { "What" }
                }
            }
            @for change in rows.iter().take(most) {
                @match &change.name {
                    Some(text) => (line(change, "row", name(text))),
                    None => (line(change, "row", html! { "(no " (by) ")" })),
                }
            }
            (line(&comparison.total, "total", html! { "total" }))
        }
        @if more != 0 { p { "and " (grouped(more as u64)) " others changed" } }
    }
}

fn line(change: &Change, kind: &str, name: Markup) -> Markup {
    let by = match (change.before, change.after) {
        (Some(before), Some(after)) => {
            let sign = if after < before { "-" } else { "+" };
            format!("{sign}{}", gigabytes(Some((after - before).abs())))
        }
        _ => UNKNOWN.to_owned(),
    };
    html! {
        tbody class=(kind) {
            tr {
                th scope="row" { (name) }
                td.n data-label="Before" { (gigabytes(change.before)) }
                td.n data-label="After" { (gigabytes(change.after)) }
                td.n data-label="Change" { (by) }
                td data-label="What" {
                    span class={ "what " (change.changed.name()) } { (change.changed.name()) }
                }
            }
        }
    }
}
