//! What the head of a report says beside its figures.

use std::time::Duration;

use super::{
    Lifetime, Report, Span,
    words::{bytes, gigabytes, part},
};
use crate::{
    escape::escape,
    output::{grouped, losses_named, nameless, units::long},
};

/// `1 sample`, `1,200 samples`.
pub(super) fn samples(span: &Span) -> String {
    match span.samples {
        1 => "1 sample".to_owned(),
        n => format!("{} samples", grouped(n)),
    }
}

/// What the figures lack: time that was not recorded, and what was lost.
pub(super) fn notes(report: &Report) -> Vec<String> {
    let span = &report.span;
    let mut notes = Vec::new();
    let whole = report.end.duration_since(report.start).as_secs_f64();
    let covered = span.covered.as_secs_f64();
    if covered < 0.99 * whole {
        let missing = long(Duration::from_secs_f64(whole - covered));
        notes.push(format!(
            "Not recorded: {missing} of this span; rates are of the rest"
        ));
    }
    if span.untraced != 0 {
        notes.push(format!(
            "Recorded without eBPF: {} of {}; what caused writes is not known there",
            grouped(span.untraced),
            samples(span),
        ));
    }
    if let Some(lost) = losses_named(&span.lost) {
        notes.push(format!("Lost: {lost}"));
    }
    notes.extend(nameless(&span.lost));
    notes
}

/// How much room the recording took. That of daily totals is not known.
pub(super) fn recorded(report: &Report) -> Option<String> {
    let span = &report.span;
    let is_known = span.recorded != 0 && span.daily.days.is_empty();
    is_known.then(|| {
        let (size, all) = (bytes(span.recorded), span.totals.write);
        match span.recorded < all {
            true => {
                let of = part(span.recorded, all);
                format!("Recorded in {size}: {of} of what was written")
            }
            false => format!("Recorded in {size}"),
        }
    })
}

/// What has been counted since file systems and drives were made, in one line.
pub(super) fn lifetimes(found: &[Lifetime]) -> String {
    let counters = found.iter().map(|one| match one {
        Lifetime::FileSystem {
            device,
            file_system,
            written,
        } => {
            let written = gigabytes(Some(*written as f64));
            let device = escape(device);
            format!("{file_system} on {device} has written {written} GB since it was made")
        }
        Lifetime::Drive {
            device,
            written,
            percent,
        } => {
            let written = written.map(|bytes| {
                let written = gigabytes(Some(bytes as f64));
                format!("has been written {written} GB in its life")
            });
            let used = percent.map(|percent| format!("has used up to {percent}% of its life"));
            let counters: Vec<String> = written.into_iter().chain(used).collect();
            format!("{} {}", escape(device), counters.join(" and "))
        }
    });
    let counters: Vec<String> = counters.collect();
    let has_drive = found
        .iter()
        .any(|one| matches!(one, Lifetime::Drive { .. }));
    let drives = match has_drive {
        true => "",
        false => {
            "the drives' own counters are not known (root's smartctl, of smartmontools, asks for them)"
        }
    };
    let parts = [counters.join(", "), drives.to_owned()];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("Lifetime: {}", parts.join("; "))
}
