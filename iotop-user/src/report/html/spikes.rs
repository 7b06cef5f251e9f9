//! The largest spikes, explained as `--explain-writeback` does.

use maud::{Markup, html};

use super::{
    Html,
    names::{capital, cut, name, value},
};
use crate::{
    output::{Entry, Explain, units},
    report::words::bytes,
    sample::Spike,
};

/// A sentence about an owner has its command line. It is cut after this many characters.
const SENTENCE: usize = 240;
/// A main cause is only named.
const CAUSE: usize = 40;

pub(super) fn section(html: &Html, spikes: &[Spike]) -> Markup {
    let explain = Explain::new(html.zone.clone(), Vec::new()).without_offset();
    html! {
        section aria-labelledby="spikes" {
            h2 id="spikes" { "Spikes" }
            @if spikes.is_empty() {
                p { "No spike: no device was written to much more than usual for it." }
            } @else {
                p.caption {
                    "The largest intervals in which a device was written to much more than usual, "
                    "largest first."
                }
                table.rows.spikes {
                    thead {
                        tr {
                            th scope="col" { "Start" }
                            th.text scope="col" { "Device" }
                            th scope="col" { "Written" }
                            th scope="col" { "In" }
                            th scope="col" { "Peak" }
                            th.text scope="col" { "Mostly" }
                        }
                    }
                    @for (n, spike) in spikes.iter().enumerate() {
                        (entry(html, &explain, n, spike))
                    }
                }
            }
        }
    }
}

fn entry(html: &Html, explain: &Explain, n: usize, spike: &Spike) -> Markup {
    let words = explain.spike_words(spike);
    let length = spike.end.duration_since(spike.start).unsigned_abs();
    let mostly = match (words.caused_by.first(), spike.written.owners.first()) {
        (Some(first), _) => format!("{} {}", cause(&first.text), first.share),
        (None, _) => units::UNKNOWN.to_owned(),
    };
    html! {
        tbody.row id={ "spike-" (n + 1) } {
            tr {
                th scope="row" { (html.format(spike.start, "%a %F %T")) }
                td data-label="Device" { (name(&spike.device_name)) }
                td.n data-label="Written" { (value(spike.written.totals.write)) }
                td.n data-label="In" {
                    (units::duration(length)) @if spike.open { " (ongoing)" }
                }
                td.n data-label="Peak" { (units::bytes(spike.peak, false)) "/s" }
                td data-label="Mostly" { bdi { (mostly) } }
            }
            tr.more {
                td colspan="6" {
                    details {
                        summary {
                            (words.usual)
                            @if let Some(first) = words.written_by.first() {
                                "; written by " bdi { (cut(&first.text, CAUSE)) } " " (first.share)
                            }
                        }
                        @if let Some(oldest) = &words.oldest { p { (capital(oldest)) "." } }
                        div.lists {
                            (list("Written by", &words.written_by))
                            (list("Caused by", &words.caused_by))
                        }
                    }
                }
            }
        }
    }
}

/// The name that an owner's sentence begins with: `dd (PID 1200, exited), dirty for 4.8s`.
fn cause(text: &str) -> String {
    let end = text.find(" (").or_else(|| text.find([',', ';']));
    let end = end.unwrap_or(text.len());
    cut(&text[..end], CAUSE)
}

fn list(heading: &str, entries: &[Entry]) -> Markup {
    html! {
        table.parts {
            caption { (heading) }
            tbody {
                @for entry in entries {
                    tr {
                        td.n { (entry.amount) }
                        td.n { (entry.share) }
                        td { bdi { (cut(&entry.text, SENTENCE)) } }
                    }
                    @for (bytes, file) in &entry.files {
                        tr.file { td.n { (bytes) } td {} td { (name(file)) } }
                    }
                }
            }
        }
    }
}

/// Words for the answers at the top: how many spikes, and the largest.
pub(super) fn in_words(html: &Html, spikes: &[Spike]) -> Option<String> {
    let largest = spikes.first()?;
    let size = bytes(largest.written.totals.write);
    let at = html.format(largest.start, "%a %-d %b %T");
    Some(format!("Largest spike: {size} at {at}"))
}
