//! What was written over time, stacked by owner: drawn.

use std::{fmt::Write as _, time::Duration};

use maud::{Markup, html};

use super::{
    Html,
    layers::{Plot, gaps},
    names::{cut, name, value},
    ticks::{self, Mark},
};
use crate::{
    output::units::long,
    report::{
        Report, Times,
        words::{bytes, percent},
    },
};

/// Height of the plot in its own units.
const HEIGHT: u64 = 1000;
/// Names in a bucket's tooltip are not longer. There are many of them.
const NAME: usize = 28;

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

fn tooltip(html: &Html, plot: &Plot<'_>, bucket: i64) -> String {
    let (start, end) = plot.limits(bucket);
    let mut text = plot.time_said(html, start, end);
    if let Some(class) = plot.why_unknown(bucket) {
        let why = match class {
            "untraced" => "recorded without eBPF",
            _ => "not recorded",
        };
        let _ = write!(text, "\n{why}");
        return text;
    }
    let recorded = plot.traced.get(&bucket).copied().unwrap_or(0);
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
