//! The rows of a report that are shown: the largest ones, the sum of the others, what has no
//! owner, and the total.

use std::borrow::Cow;

use super::{Report, ReportBy, ReportRow, Room, Usage};
use crate::{escape::escape, output::grouped};

/// What a row that is shown stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A row of the report.
    Row,
    /// The sum of rows that are not shown.
    Other,
    /// Bytes that are in no row.
    Unattributed,
    /// All bytes.
    Total,
}

/// A row that is shown.
pub(super) struct Shown<'a> {
    pub kind: Kind,
    /// Its name, in which nothing can harm a terminal.
    pub name: String,
    pub usage: Cow<'a, Usage>,
    /// The row, if it is one.
    pub row: Option<&'a ReportRow>,
}

impl Shown<'_> {
    fn sum(kind: Kind, name: String, usage: Usage) -> Shown<'static> {
        Shown {
            kind,
            name,
            usage: Cow::Owned(usage),
            row: None,
        }
    }
}

/// At most `most` rows. The written bytes of all but the total add up to the total's.
pub(super) fn shown(report: &Report, most: usize) -> Vec<Shown<'_>> {
    let (named, rest) = report.rows.split_at(most.min(report.rows.len()));
    let named = named.iter().map(|row| Shown {
        kind: Kind::Row,
        name: row_name(report.by, row),
        usage: Cow::Borrowed(&row.usage),
        row: Some(row),
    });
    let mut shown: Vec<Shown<'_>> = named.collect();
    let mut others = report.other.clone();
    for row in rest {
        let room = Room {
            recent: 0,
            buckets: 1,
        };
        others.merge(&row.usage, room);
    }
    if !others.is_nothing() {
        let more = if report.other.is_nothing() {
            ""
        } else {
            "more than "
        };
        let name = match rest.len() {
            1 if more.is_empty() => "and 1 other".to_owned(),
            n => format!("and {more}{} others", grouped(n as u64)),
        };
        shown.push(Shown::sum(Kind::Other, name, others));
    }
    for (reason, n) in report.in_no_row() {
        let usage = Usage {
            without_owner: n,
            ..Usage::default()
        };
        let name = format!("no owner: {}", reason.sentence());
        shown.push(Shown::sum(Kind::Unattributed, name, usage));
    }
    let totals = &report.span.totals;
    let total = Usage {
        exact: totals.attributed,
        shared: totals.shared - totals.metadata.total(),
        metadata: totals.metadata,
        without_owner: totals.unattributed.in_total(),
        read: totals.read,
        ..Usage::default()
    };
    shown.push(Shown::sum(Kind::Total, "total".to_owned(), total));
    shown
}

pub(super) fn row_name(by: ReportBy, row: &ReportRow) -> String {
    match &row.name {
        Some(name) => escape(name).into_owned(),
        None => format!("(no {})", by.name()),
    }
}
