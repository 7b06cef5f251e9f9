//! A comparison as text.

use std::fmt::Write as _;

use super::{Change, Changed, Comparison, Report, Text, words::gigabytes};
use crate::{
    escape::escape,
    output::{grouped, units::UNKNOWN},
};

/// A comparison as text: at most `text.rows` of the rows that changed.
pub fn changes_text(text: &Text, comparison: &Comparison) -> String {
    let mut lines = String::new();
    let span =
        |report: &Report| format!("{} to {}", text.time(report.start), text.time(report.end));
    let _ = writeln!(
        lines,
        "Block writes by {}, GB/day\nBEFORE {}\nAFTER  {}\n\n{:>9} {:>9} {:>9}  {:<8} {}",
        comparison.by().name(),
        span(comparison.before),
        span(comparison.after),
        "BEFORE",
        "AFTER",
        "CHANGE",
        "",
        comparison.by().name().to_uppercase(),
    );
    let mut line = |change: &Change, word: &str, name: &str| {
        let by = match (change.before, change.after) {
            (Some(before), Some(after)) => {
                let sign = if after < before { "-" } else { "+" };
                format!("{sign}{}", gigabytes(Some((after - before).abs())))
            }
            _ => UNKNOWN.to_owned(),
        };
        let _ = writeln!(
            lines,
            "{:>9} {:>9} {by:>9}  {word:<8} {name}",
            gigabytes(change.before),
            gigabytes(change.after),
        );
    };
    let changed = |change: &&Change| change.changed != Changed::Same;
    let rows = comparison.changes.iter().filter(changed);
    for change in rows.clone().take(text.rows) {
        let name = match &change.name {
            Some(name) => escape(name).into_owned(),
            None => format!("(no {})", comparison.by().name()),
        };
        line(change, change.changed.name(), &name);
    }
    line(&comparison.total, comparison.total.changed.name(), "total");
    let more = rows.count().saturating_sub(text.rows);
    if more != 0 {
        let _ = writeln!(lines, "and {} others changed", grouped(more as u64));
    }
    lines
}
