//! The layers of the plot over time and its buckets.

use std::{borrow::Cow, collections::BTreeMap};

use super::Html;
use crate::report::{
    Clock, Report, Times,
    clock::length_of_at_least,
    shown::{Kind, shown},
};

/// At most this many rows have a colour of their own.
pub(super) const COLOURS: usize = 7;
/// At most this many buckets, so that each is at least two pixels wide.
const BUCKETS: i64 = 400;

/// One layer of the plot.
pub(super) struct Layer {
    pub name: String,
    /// Its class in the style sheet.
    pub class: String,
    /// Its bytes by bucket.
    pub bytes: BTreeMap<i64, u64>,
}

/// Layers and buckets.
pub(super) struct Plot<'a> {
    pub times: &'a Times,
    pub layers: Vec<Layer>,
    /// Milliseconds of a bucket.
    pub length: i64,
    /// Number of the first bucket, and number of buckets.
    pub first: i64,
    pub count: i64,
    /// Start and end of the span on the clock.
    pub span: (i64, i64),
    /// Recorded milliseconds by bucket: with eBPF, and without.
    pub traced: BTreeMap<i64, u64>,
    pub untraced: BTreeMap<i64, u64>,
}

impl<'a> Plot<'a> {
    pub(super) fn of(report: &Report, times: &'a Times) -> Plot<'a> {
        let span = (times.on_clock(report.start), times.on_clock(report.end));
        let rows = shown(report, COLOURS);
        let clocks = rows.iter().map(|row| row.usage.clock.length());
        let interval = i64::try_from(report.span.interval().as_millis()).unwrap_or(i64::MAX);
        let length = clocks
            .chain([
                times.in_no_row.length(),
                times.traced.length(),
                length_of_at_least(interval),
                length_of_at_least((span.1 - span.0) / BUCKETS + 1),
            ])
            .max()
            .unwrap_or(1);
        let by_bucket = |clock: &Clock| -> BTreeMap<i64, u64> {
            let mut clock = clock.clone();
            clock.join_until(length);
            clock.buckets().map(|(at, n)| (at / length, n)).collect()
        };
        let layer = |name: Cow<'_, str>, class: String, clock: &Clock| Layer {
            name: name.into_owned(),
            class,
            bytes: by_bucket(clock),
        };
        let of_rows = rows.iter().enumerate().filter_map(|(n, row)| {
            let name = Cow::Borrowed(&*row.name);
            match row.kind {
                Kind::Row => Some(layer(name, format!("s{n}"), &row.usage.clock)),
                Kind::Other => Some(layer(name, "other".to_owned(), &row.usage.clock)),
                Kind::Unattributed | Kind::Total => None,
            }
        });
        let mut layers: Vec<Layer> = of_rows.collect();
        let none = if report.by.is_of_facts() {
            "place not known"
        } else {
            "no owner"
        };
        layers.push(layer(none.into(), "none".to_owned(), &times.in_no_row));
        layers.retain(|layer| !layer.bytes.is_empty());
        let first = span.0.div_euclid(length);
        let last = (span.1 - 1).max(span.0).div_euclid(length);
        // An interval without a length is in the bucket that begins with it.
        let latest = layers.iter().filter_map(|layer| layer.bytes.keys().last());
        let last = latest.copied().fold(last, i64::max);
        Plot {
            times,
            layers,
            length,
            first,
            count: last - first + 1,
            span,
            traced: by_bucket(&times.traced),
            untraced: by_bucket(&times.untraced),
        }
    }

    /// All bytes of a bucket.
    pub(super) fn sum(&self, bucket: i64) -> u64 {
        self.layers.iter().map(|layer| layer.at(bucket)).sum()
    }

    pub(super) fn buckets(&self) -> impl DoubleEndedIterator<Item = i64> {
        self.first..self.first + self.count
    }

    /// Why it is not known what was written in a bucket, as a class in the style sheet; `None` if
    /// it is known.
    pub(super) fn why_unknown(&self, bucket: i64) -> Option<&'static str> {
        let is_known = self.traced.contains_key(&bucket) || self.sum(bucket) != 0;
        match self.untraced.contains_key(&bucket) {
            _ if is_known => None,
            true => Some("untraced"),
            false => Some("gap"),
        }
    }

    /// The bucket with most bytes: its start, its end and its bytes.
    pub(super) fn largest(&self) -> Option<(i64, i64, u64)> {
        let largest = self
            .buckets()
            .rev()
            .max_by_key(|bucket| self.sum(*bucket))?;
        let (start, end) = self.limits(largest);
        Some((start, end, self.sum(largest))).filter(|(_, _, sum)| *sum != 0)
    }

    /// Start and end of a bucket's part of the span.
    pub(super) fn limits(&self, bucket: i64) -> (i64, i64) {
        let (start, end) = (bucket * self.length, (bucket + 1) * self.length);
        (start.max(self.span.0), end.min(self.span.1))
    }

    /// `15 minutes`.
    pub(super) fn length_said(&self) -> String {
        let units = [(86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute")];
        let fits = |unit: &(i64, &str)| self.length % unit.0 == 0;
        let (unit, name) = units.into_iter().find(fits).unwrap_or((1000, "second"));
        match self.length / unit {
            1 => name.to_owned(),
            n => format!("{n} {name}s"),
        }
    }

    /// From when to when, as far as the buckets tell times apart.
    pub(super) fn time_said(&self, html: &Html, start: i64, end: i64) -> String {
        let [start, end] = [start, end].map(|time| self.times.time(time));
        let format = match self.length {
            ..60_000 => "%T",
            _ => "%H:%M",
        };
        let day = "%a %-d %b";
        let until = match self.length {
            86_400_000.. => format!("{day} {format}"),
            _ => format.to_owned(),
        };
        let from = html.format(start, &format!("{day} {format}"));
        format!("{from} to {}", html.format(end, &until))
    }

    /// Where a time is, in percent of the width.
    pub(super) fn percent(&self, on_clock: i64) -> f64 {
        let start = self.first * self.length;
        let whole = self.count * self.length;
        let percent = (on_clock - start) as f64 * 100.0 / whole as f64;
        percent.clamp(0.0, 100.0)
    }
}

impl Layer {
    pub(super) fn at(&self, bucket: i64) -> u64 {
        self.bytes.get(&bucket).copied().unwrap_or(0)
    }

    pub(super) fn sum(&self) -> u64 {
        self.bytes.values().sum()
    }
}

/// Buckets of which nothing is known: the first one, how many, and why.
pub(super) fn gaps(plot: &Plot<'_>) -> Vec<(i64, i64, &'static str)> {
    let mut gaps: Vec<(i64, i64, &'static str)> = Vec::new();
    for bucket in plot.buckets() {
        let Some(class) = plot.why_unknown(bucket) else {
            continue;
        };
        match gaps
            .last_mut()
            .filter(|last| last.0 + last.1 == bucket && last.2 == class)
        {
            Some(last) => last.1 += 1,
            None => gaps.push((bucket, 1, class)),
        }
    }
    gaps
}
