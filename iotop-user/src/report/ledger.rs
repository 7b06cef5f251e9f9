//! Adds daily totals to a report, as far as they have its rows.

use std::sync::Arc;

use super::{
    Daily, Gather, ReportBy,
    gather::{PARTS, PartKey, ROWS, RowKey as Name},
    usage::Usage,
};
use crate::{
    record::{Between, Ledger, LedgerKind as Kind, LedgerRow as Row, RowKey, Span},
    sample::{Number, Reason},
};

impl ReportBy {
    /// True if daily totals have such rows.
    pub const fn is_in_ledgers(self) -> bool {
        match self {
            ReportBy::Unit | ReportBy::Container | ReportBy::Command => true,
            ReportBy::Directory | ReportBy::Device => true,
            ReportBy::User | ReportBy::File | ReportBy::Cgroup => false,
        }
    }
}

/// Where a totals' interval lies.
enum Where {
    Inside,
    Outside,
    Partly,
}

fn place(between: Between, span: Span) -> Where {
    let has =
        |end| span.from.is_none_or(|from| end > from) && span.until.is_none_or(|to| end <= to);
    let is_before = span.from.is_some_and(|from| between.end <= from);
    let is_after = span.until.is_some_and(|until| between.first_end > until);
    match (has(between.first_end), has(between.end)) {
        (true, true) => Where::Inside,
        (false, false) if is_before || is_after => Where::Outside,
        _ => Where::Partly,
    }
}

impl Gather {
    /// What is from daily totals so far.
    pub fn daily(&self) -> &Daily {
        &self.span.daily
    }

    /// Says how many bytes of files the samples take.
    pub fn read_bytes(&mut self, bytes: u64) {
        self.span.recorded = bytes;
    }

    /// Adds the totals of a day, if all of its intervals are in this span.
    pub fn feed_ledger(&mut self, ledger: &Ledger, span: Span) {
        let Some(between) = ledger.between else {
            return;
        };
        match place(between, span) {
            Where::Outside => {}
            Where::Partly => drop(self.span.daily.partly.insert(ledger.date)),
            Where::Inside if !self.by.is_in_ledgers() => {
                self.span.daily.without_rows.insert(ledger.date);
            }
            Where::Inside => {
                self.feed_daily_span(ledger, between);
                for (key, row) in &ledger.rows {
                    self.feed_row(ledger, key, row);
                }
            }
        }
    }

    fn feed_daily_span(&mut self, ledger: &Ledger, between: Between) {
        let span = &mut self.span;
        let (start, end) = (between.start, between.end);
        span.between = match span.between {
            Some((first, last)) => Some((first.min(start), last.max(end))),
            None => Some((start, end)),
        };
        span.covered = span.covered.saturating_add(ledger.covered);
        span.samples += ledger.samples;
        span.untraced += ledger.untraced;
        span.lost = span.lost + ledger.lost;
        span.totals = span.totals + ledger.totals;
        // Taken back for what has a row.
        span.read_in_no_row += ledger.totals.read;
        if !self.by.is_of_facts() {
            let stacked = ledger.totals.unattributed[Reason::Stacked];
            span.in_no_row[Reason::Stacked] += stacked;
        }
        span.daily.days.insert(ledger.date);
        span.daily.covered = span.daily.covered.saturating_add(ledger.covered);
        span.daily.samples += ledger.samples;
        if ledger.incomplete || ledger.damaged != 0 || ledger.newer != 0 {
            span.daily.incomplete.insert(ledger.date);
        }
        for (device, name) in &ledger.devices {
            let known = span.devices.entry(*device);
            known.or_insert_with(|| name.clone());
        }
        let others = ledger.rows.iter();
        let others = others.filter(|(key, _)| key.kind == Kind::Other);
        let folded: u64 = others.map(|(_, row)| row.written()).sum();
        if self.by != ReportBy::Device {
            self.rows.lack(folded);
        }
    }

    fn feed_row(&mut self, ledger: &Ledger, key: &RowKey, row: &Row) {
        let of_facts = self.by.is_of_facts();
        let mut usage = usage(key.device, row);
        if of_facts {
            (usage.dirtied, usage.dropped) = (None, None);
            (usage.write_char, usage.write_syscalls) = (None, None);
        }
        match (key.kind, key.reason) {
            // Tasks' counters are known for no place.
            (Kind::Task, _) if of_facts => {}
            (Kind::Unattributed, reason) => {
                self.span.in_no_row[reason.unwrap_or(Reason::Unknown)] += row.without_owner;
            }
            (_, Some(reason)) if !of_facts => {
                self.span.in_no_row[reason] += row.without_owner;
            }
            (Kind::Row, None) if !of_facts && key.command.is_none() => {}
            (Kind::Other, _) if self.by != ReportBy::Device => {
                self.span.read_in_no_row -= row.read;
                self.rows.other().merge(&usage, ROWS.series);
            }
            _ => {
                self.span.read_in_no_row -= row.read;
                let name = self.name(ledger, key);
                self.rows.row(&name).merge(&usage, ROWS.series);
                if of_facts && key.kind == Kind::Row {
                    let part: PartKey = (name, part(key));
                    self.parts.row(&part).merge(&usage, PARTS.series);
                }
            }
        }
    }

    fn name(&self, ledger: &Ledger, key: &RowKey) -> Name {
        match self.by {
            ReportBy::Unit => key.unit.clone(),
            ReportBy::Container => key.container.clone(),
            ReportBy::Command => key.command.clone(),
            ReportBy::Directory => key.directory.clone(),
            ReportBy::Device => key
                .device
                .and_then(|device| ledger.devices.get(&device))
                .cloned(),
            ReportBy::User | ReportBy::File | ReportBy::Cgroup => None,
        }
    }
}

/// Of a directory or a device: the command, or why there is none.
fn part(key: &RowKey) -> Arc<str> {
    match (&key.command, key.reason) {
        (Some(command), _) => command.clone(),
        (None, Some(reason)) => format!("no owner: {}", reason.sentence()).into(),
        (None, None) => "no owner".into(),
    }
}

fn usage(device: Option<Number>, row: &Row) -> Usage {
    let mut usage = Usage {
        exact: row.exact,
        shared: row.shared,
        metadata: row.metadata,
        without_owner: row.without_owner,
        read: row.read,
        bios: row.bios,
        dirtied: row.dirtied,
        dropped: row.dropped,
        write_char: row.write_char,
        write_syscalls: row.write_syscalls,
        ..Usage::default()
    };
    if let Some(device) = device.filter(|_| row.caused() != 0) {
        let on = usage.devices.entry(device).or_default();
        on.data = row.exact + row.shared;
        on.metadata = row.metadata.total();
    }
    usage
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
