//! Compares two spans: what grew, what shrank, what is new.

use std::{collections::HashMap, sync::Arc};

use super::{Report, ReportBy, ReportRow};

/// A row has changed if its rate differs by more than this part of the larger rate.
const PART: f64 = 0.1;
/// And by more than this, bytes a day.
const LEAST: f64 = 1e6;

/// How a row's rate has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It wrote nothing before.
    New,
    /// It writes more a day.
    Grew,
    /// It writes less a day.
    Shrank,
    /// It writes nothing any more.
    Gone,
    /// About the same: within 10 %, or within 1 MB a day.
    Same,
    /// One of the rates is not known.
    Unknown,
}

impl Changed {
    /// Its name in the exports.
    pub const fn name(self) -> &'static str {
        match self {
            Changed::New => "new",
            Changed::Grew => "grew",
            Changed::Shrank => "shrank",
            Changed::Gone => "gone",
            Changed::Same => "same",
            Changed::Unknown => "unknown",
        }
    }
}

/// A row of two reports. Rates are in bytes a day.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its name; `None`: its tasks have none.
    pub name: Option<Arc<str>>,
    /// What it wrote a day in the earlier span; `None` if it may be one of the rows that were
    /// too small to be kept, or if no task was traced.
    pub before: Option<f64>,
    /// The same of the later span.
    pub after: Option<f64>,
    /// What became of it.
    pub changed: Changed,
}

/// Two reports side by side.
#[derive(Clone, Debug)]
pub struct Comparison<'a> {
    /// The earlier one.
    pub before: &'a Report,
    /// The later one.
    pub after: &'a Report,
    /// Their rows, those that changed most first.
    pub changes: Vec<Change>,
    /// All written bytes a day, before and after.
    pub total: Change,
}

impl Comparison<'_> {
    /// What the rows are.
    pub fn by(&self) -> ReportBy {
        self.after.by
    }
}

/// Compares two reports of the same kind of rows.
pub fn compare<'a>(before: &'a Report, after: &'a Report) -> Comparison<'a> {
    let index = |report: &'a Report| -> HashMap<&'a Option<Arc<str>>, &'a ReportRow> {
        report.rows.iter().map(|row| (&row.name, row)).collect()
    };
    let (of_before, of_after) = (index(before), index(after));
    let mut names: Vec<_> = of_before.keys().chain(of_after.keys()).copied().collect();
    names.sort();
    names.dedup();
    let mut changes: Vec<Change> = names
        .into_iter()
        .map(|name| {
            let rates = (
                rate(before, of_before.get(name).copied()),
                rate(after, of_after.get(name).copied()),
            );
            Change::of(name.clone(), rates)
        })
        .collect();
    let extent =
        |change: &Change| (change.after.unwrap_or(0.0) - change.before.unwrap_or(0.0)).abs();
    // Rows of the same extent stay in the order of their names.
    changes.sort_by(|a, b| extent(b).total_cmp(&extent(a)));
    let total = |report: &Report| match report.is_untraced() {
        true => None,
        false => report.per_day(report.written()),
    };
    Comparison {
        before,
        after,
        changes,
        total: Change::of(None, (total(before), total(after))),
    }
}

/// What the row wrote a day. Without a row it is 0, unless rows were folded.
fn rate(report: &Report, row: Option<&ReportRow>) -> Option<f64> {
    let written = match row {
        _ if report.is_untraced() => return None,
        Some(row) => row.usage.written(),
        None if report.other.is_nothing() => 0,
        None => return None,
    };
    report.per_day(written)
}

impl Change {
    fn of(name: Option<Arc<str>>, (before, after): (Option<f64>, Option<f64>)) -> Change {
        let changed = match (before, after) {
            (Some(before), Some(after)) => {
                let change = after - before;
                let is_large = change.abs() > (PART * before.max(after)).max(LEAST);
                match is_large {
                    false => Changed::Same,
                    true if before == 0.0 => Changed::New,
                    true if after == 0.0 => Changed::Gone,
                    true if change > 0.0 => Changed::Grew,
                    true => Changed::Shrank,
                }
            }
            _ => Changed::Unknown,
        };
        Change {
            name,
            before,
            after,
            changed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_large_in_proportion_and_by_itself() {
        let mb = 1e6;
        for (before, after, wanted) in [
            (Some(0.0), Some(50.0 * mb), Changed::New),
            (Some(50.0 * mb), Some(0.0), Changed::Gone),
            (Some(50.0 * mb), Some(100.0 * mb), Changed::Grew),
            (Some(100.0 * mb), Some(50.0 * mb), Changed::Shrank),
            (Some(100.0 * mb), Some(105.0 * mb), Changed::Same),
            (Some(0.0), Some(0.5 * mb), Changed::Same),
            (None, Some(50.0 * mb), Changed::Unknown),
            (Some(50.0 * mb), None, Changed::Unknown),
        ] {
            let change = Change::of(None, (before, after));
            assert_eq!(change.changed, wanted, "{before:?} {after:?}");
        }
    }
}
