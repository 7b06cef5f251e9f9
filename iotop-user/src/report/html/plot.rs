//! What was written over time, stacked by owner.

use std::{borrow::Cow, collections::BTreeMap, fmt::Write as _, time::Duration};

use maud::{Markup, html};

use super::{
    Html,
    names::{cut, name, value},
    ticks::{self, Mark},
};
use crate::report::{
    Clock, Report, Times,
    clock::length_of_at_least,
    shown::{Kind, shown},
    words::{bytes, long, percent},
};

/// At most this many rows have a colour of their own.
pub(super) const COLOURS: usize = 7;
/// At most this many buckets, so that each is at least two pixels wide.
const BUCKETS: i64 = 400;
/// Height of the plot in its own units.
const HEIGHT: u64 = 1000;
/// Names in a bucket's tooltip are not longer. There are many of them.
const NAME: usize = 28;

/// One layer of the plot.
struct Layer {
    name: String,
    /// Its class in the style sheet.
    class: String,
    /// Its bytes by bucket.
    bytes: BTreeMap<i64, u64>,
}

/// Layers and buckets.
pub(super) struct Plot<'a> {
    times: &'a Times,
    layers: Vec<Layer>,
    /// Milliseconds of a bucket.
    length: i64,
    /// Number of the first bucket, and number of buckets.
    first: i64,
    count: i64,
    /// Start and end of the span on the clock.
    span: (i64, i64),
    /// Recorded milliseconds by bucket: with eBPF, and without.
    traced: BTreeMap<i64, u64>,
    untraced: BTreeMap<i64, u64>,
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
    fn sum(&self, bucket: i64) -> u64 {
        self.layers.iter().map(|layer| layer.at(bucket)).sum()
    }

    fn buckets(&self) -> impl DoubleEndedIterator<Item = i64> {
        self.first..self.first + self.count
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
    fn limits(&self, bucket: i64) -> (i64, i64) {
        let (start, end) = (bucket * self.length, (bucket + 1) * self.length);
        (start.max(self.span.0), end.min(self.span.1))
    }

    /// `15 minutes`.
    fn length_said(&self) -> String {
        let units = [(86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute")];
        let fits = |unit: &(i64, &str)| self.length % unit.0 == 0;
        let (unit, name) = units.into_iter().find(fits).unwrap_or((1000, "second"));
        match self.length / unit {
            1 => name.to_owned(),
            n => format!("{n} {name}s"),
        }
    }

    /// From when to when, as far as the buckets tell times apart.
    pub(super) fn from_to(&self, html: &Html, start: i64, end: i64) -> String {
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
    fn percent(&self, on_clock: i64) -> f64 {
        let start = self.first * self.length;
        let whole = self.count * self.length;
        let percent = (on_clock - start) as f64 * 100.0 / whole as f64;
        percent.clamp(0.0, 100.0)
    }
}

impl Layer {
    fn at(&self, bucket: i64) -> u64 {
        self.bytes.get(&bucket).copied().unwrap_or(0)
    }

    fn sum(&self) -> u64 {
        self.bytes.values().sum()
    }
}

pub(super) fn section(html: &Html, report: &Report, times: &Times) -> Markup {
    let plot = Plot::of(report, times);
    let most = plot.largest().map_or(0, |(_, _, bytes)| bytes);
    let marks = ticks::of_bytes(most);
    let top = marks.last().map_or(1, |(n, _)| *n).max(1);
    html! {
        section aria-labelledby="over-time" {
            h2 id="over-time" { "Written over time" }
            figure.plot {
                figcaption { "Bytes in each " (plot.length_said()) ", by " (report.by.name()) "." }
                div.frame {
                    div.y aria-hidden="true" {
                        @for (n, text) in &marks {
                            span style={ "bottom:" (format!("{:.2}", *n as f64 * 100.0 / top as f64)) "%" } {
                                (text)
                            }
                        }
                    }
                    div.area { (unknown(&plot)) (picture(html, report, &plot, &marks, top)) (spikes(html, &plot)) }
                    div.x aria-hidden="true" {
                        @for mark in ticks::of_time(report.start, report.end, &html.zone, 8) {
                            (label(&plot, &mark))
                        }
                    }
                }
                (legend(report, &plot))
            }
        }
    }
}

fn label(plot: &Plot<'_>, mark: &Mark) -> Markup {
    let at = plot.percent(plot.times.on_clock(mark.time));
    // One at the right edge would be cut.
    html! {
        span.minor[mark.is_minor].last[at > 96.0] style={ "left:" (format!("{at:.2}")) "%" } {
            (mark.label)
        }
    }
}

fn picture(
    html: &Html,
    report: &Report,
    plot: &Plot<'_>,
    marks: &[(u64, String)],
    top: u64,
) -> Markup {
    let y = |n: u64| HEIGHT - (u128::from(n) * u128::from(HEIGHT) / u128::from(top)) as u64;
    let mut grid = String::new();
    for (n, _) in marks {
        let _ = write!(grid, "M0 {}H{}", y(*n), plot.count);
    }
    html! {
        svg viewBox={ "0 0 " (plot.count) " " (HEIGHT) } preserveAspectRatio="none" role="img"
            aria-label=(in_words(html, report, plot)) {
            path.grid d=(grid) {}
            // The sum of all layers first: each lower one is painted over it.
            @for (n, layer) in plot.layers.iter().enumerate().rev() {
                path class=(layer.class) d=(outline(plot, n, y)) {}
            }
            @for bucket in plot.buckets() {
                @let sum = plot.sum(bucket);
                rect.hit x=(bucket - plot.first) y="0" width="1" height=(HEIGHT) data-bytes=(sum) {
                    title { (tooltip(html, plot, bucket)) }
                }
            }
        }
    }
}

/// The outline of the sum of a layer and those below it.
fn outline(plot: &Plot<'_>, layer: usize, y: impl Fn(u64) -> u64) -> String {
    let layers = &plot.layers[..=layer];
    let mut path = format!("M0 {HEIGHT}");
    let mut at = HEIGHT;
    let mut run = 0;
    for bucket in plot.buckets() {
        let next = y(layers.iter().map(|layer| layer.at(bucket)).sum());
        if next != at {
            if run != 0 {
                let _ = write!(path, "h{run}");
            }
            let _ = write!(path, "V{next}");
            (at, run) = (next, 0);
        }
        run += 1;
    }
    let _ = write!(path, "h{run}V{HEIGHT}z");
    path
}

/// The backgrounds of the buckets of which nothing is known.
fn unknown(plot: &Plot<'_>) -> Markup {
    let part = |buckets: i64| format!("{:.2}%", buckets as f64 * 100.0 / plot.count as f64);
    html! {
        @for (first, count, class) in gaps(plot) {
            div class={ "unknown " (class) } style={
                "left:" (part(first - plot.first)) ";width:" (part(count))
            } {}
        }
    }
}

/// Buckets of which nothing is known: the first one, how many, and why.
fn gaps(plot: &Plot<'_>) -> Vec<(i64, i64, &'static str)> {
    let mut gaps: Vec<(i64, i64, &'static str)> = Vec::new();
    for bucket in plot.buckets() {
        let class = match (
            plot.traced.contains_key(&bucket),
            plot.untraced.contains_key(&bucket),
        ) {
            (true, _) => continue,
            (false, true) => "untraced",
            (false, false) => "gap",
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

fn tooltip(html: &Html, plot: &Plot<'_>, bucket: i64) -> String {
    let (start, end) = plot.limits(bucket);
    let mut text = plot.from_to(html, start, end);
    let recorded = plot.traced.get(&bucket).copied().unwrap_or(0);
    if recorded == 0 {
        let why = match plot.untraced.contains_key(&bucket) {
            true => "recorded without eBPF",
            false => "not recorded",
        };
        let _ = write!(text, "\n{why}");
        return text;
    }
    let _ = write!(text, "\n{} in all", bytes(plot.sum(bucket)));
    // A part of a millisecond is missing at the edges of intervals.
    if recorded * 100 < (end - start).unsigned_abs() * 99 {
        let _ = write!(
            text,
            "; recorded {} of it",
            long(Duration::from_millis(recorded))
        );
    }
    let mut parts: Vec<(u64, &str)> = plot
        .layers
        .iter()
        .map(|layer| (layer.at(bucket), &*layer.name))
        .filter(|(n, _)| *n != 0)
        .collect();
    parts.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
    for (n, name) in parts.iter().take(3) {
        let _ = write!(text, "\n{} {}", bytes(*n), cut(name, NAME));
    }
    text
}

/// What the picture shows, for those who do not see it.
fn in_words(html: &Html, report: &Report, plot: &Plot<'_>) -> String {
    let mut text = format!("Bytes written over time, stacked by {}.", report.by.name());
    if let Some((start, end, most)) = plot.largest() {
        let [from, to] = [start, end].map(|time| html.date_time(plot.times.time(time)));
        let _ = write!(
            text,
            " Most were written from {from} to {to}: {}.",
            bytes(most)
        );
    }
    for layer in &plot.layers {
        let peak = plot.buckets().rev().max_by_key(|bucket| layer.at(*bucket));
        let Some(peak) = peak else { continue };
        let at = html.date_time(plot.times.time(plot.limits(peak).0));
        let _ = write!(
            text,
            " {}: {}, most at {at}.",
            cut(&layer.name, NAME),
            bytes(layer.sum())
        );
    }
    text
}

/// A mark above the plot for each of the largest spikes, but not where one is already.
fn spikes(html: &Html, plot: &Plot<'_>) -> Markup {
    let mut marks: Vec<(usize, f64, String)> = Vec::new();
    for (n, spike) in plot.times.spikes().iter().enumerate() {
        let at = plot.percent(plot.times.on_clock(spike.start));
        if marks.iter().all(|(_, other, _)| (other - at).abs() > 1.0) {
            let size = bytes(spike.written.totals.write);
            let said = format!("Spike: {size} at {}", html.date_time(spike.start));
            marks.push((n + 1, at, said));
        }
    }
    html! {
        @for (n, at, said) in marks {
            a.mark href={ "#spike-" (n) } style={ "left:" (format!("{at:.2}")) "%" }
                title=(said) aria-label=(said) {}
        }
    }
}

fn legend(report: &Report, plot: &Plot<'_>) -> Markup {
    let gaps = gaps(plot);
    let has = |class: &str| gaps.iter().any(|gap| gap.2 == class);
    html! {
        ul.legend {
            @for layer in &plot.layers {
                li {
                    span class={ "swatch " (layer.class) } aria-hidden="true" {}
                    (name(&layer.name)) " "
                    span.dim { (value(layer.sum())) " " (percent(report.share(layer.sum()))) }
                }
            }
            @if has("gap") { li { span.swatch.gap {} "not recorded" } }
            @if has("untraced") { li { span.swatch.untraced {} "recorded without eBPF" } }
            @if !plot.times.spikes().is_empty() { li { span.mark {} "spike, explained below" } }
        }
    }
}
