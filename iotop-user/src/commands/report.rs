//! `iotop-trace report`: who wrote most in a recording.

use std::{
    io::{self, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use bytes::BytesMut;
use jiff::tz::TimeZone;

use super::{export, replay::nothing, woken::Woken};
use crate::{
    cli::{self, Side, SpanFormat},
    host::smart,
    output::{is_closed_pipe, say},
    record::{Recording, Span},
    report::{
        Gather, Html, Report, Text, changes_csv, changes_ndjson, changes_text, compare, csv,
        file_size, ndjson,
    },
};

/// Prints the report. A closed pipe ends it.
///
/// # Errors
///
/// A recording can't be read or has nothing in the span, or the output can't be written.
pub fn run(wanted: &cli::Report) -> Result<()> {
    if wanted.format.is_file() {
        return export::run(wanted);
    }
    let printed = match &wanted.compare {
        None => one(wanted)?,
        Some(sides) => change(wanted, sides)?,
    };
    let mut out = io::stdout().lock();
    match out.write_all(&printed).and_then(|()| out.flush()) {
        Err(error) if !is_closed_pipe(&error) => Err(error).context("writing to standard output"),
        _ => Ok(()),
    }
}

fn one(wanted: &cli::Report) -> Result<Vec<u8>> {
    let mut report = gather(wanted, &wanted.directory, wanted.span)?;
    report.look_up_sizes(file_size);
    let smartctl = smart::program();
    report.look_up_lifetimes(Path::new("/sys"), |drive| smart::ask(smartctl?, drive));
    Ok(match wanted.format {
        SpanFormat::Text => text(wanted).format(&report).into_bytes(),
        SpanFormat::Html => html(wanted).page(&report).into_bytes(),
        SpanFormat::Csv => csv(&report)?,
        SpanFormat::Ndjson => {
            let mut buffer = BytesMut::new();
            ndjson(&report, &mut buffer)?;
            buffer.to_vec()
        }
        // `run` writes these.
        SpanFormat::Parquet | SpanFormat::Perfetto => Vec::new(),
    })
}

fn change(wanted: &cli::Report, (before, after): &(Side, Side)) -> Result<Vec<u8>> {
    let of = |side: &Side| match side {
        Side::Span(span) => gather(wanted, &wanted.directory, *span),
        Side::Recording(directory) => gather(wanted, directory, Span::default()),
    };
    let (before, after) = (of(before)?, of(after)?);
    let changes = compare(&before, &after);
    Ok(match wanted.format {
        SpanFormat::Text => changes_text(&text(wanted), &changes).into_bytes(),
        SpanFormat::Html => html(wanted).changes(&changes).into_bytes(),
        SpanFormat::Csv => changes_csv(&changes)?,
        SpanFormat::Ndjson => {
            let mut buffer = BytesMut::new();
            changes_ndjson(&changes, &mut buffer)?;
            buffer.to_vec()
        }
        // The command line refuses them.
        SpanFormat::Parquet | SpanFormat::Perfetto => Vec::new(),
    })
}

fn text(wanted: &cli::Report) -> Text {
    Text {
        zone: TimeZone::system(),
        rows: wanted.top,
        ..Text::default()
    }
}

fn html(wanted: &cli::Report) -> Html {
    Html {
        zone: TimeZone::system(),
        rows: wanted.top,
    }
}

/// Adds up the samples of a span.
pub(super) fn gather(wanted: &cli::Report, directory: &Path, span: Span) -> Result<Report> {
    let recording = Recording::open(directory)?;
    let ledgers = recording.ledgers()?;
    let mut gather = Gather::new(wanted.by, Path::new("/sys"));
    if wanted.format == SpanFormat::Html {
        gather = gather.with_times(TimeZone::system());
    }
    for ledger in ledgers.days.values() {
        gather.feed_ledger(ledger, span);
    }
    let mut woken = wanted.wakes.map(Woken::new);
    let mut samples = recording.samples_but(&ledgers, span);
    while let Some(sample) = samples.next().transpose()? {
        for (device, _) in &sample.devices {
            gather.know_device(*device, samples.device_name(*device));
        }
        gather.feed(&sample);
        if let Some(woken) = &mut woken {
            woken.add(sample);
        }
    }
    for message in ledgers
        .messages()
        .iter()
        .chain(&samples.skipped().messages())
    {
        say(message);
    }
    gather.read_bytes(samples.recorded());
    let daily = gather.daily().lines(wanted.by);
    let report = gather.finish();
    // Text and page have them in their heads.
    let has_head =
        matches!(wanted.format, SpanFormat::Text | SpanFormat::Html) && wanted.compare.is_none();
    if !has_head || report.is_none() {
        daily.iter().for_each(|line| say(line));
    }
    match report {
        Some(report) => Ok(Report {
            woken: woken.map(Woken::finish),
            ..report
        }),
        None => Err(nothing(directory, span, &recording)?),
    }
}
