//! The batch mode: sample, print, until told to stop.

use std::{
    io::{self, Write},
    time::Duration,
};

use anyhow::{Context as _, Result};
use bytes::BytesMut;
use jiff::tz::TimeZone;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval, interval_at},
};

use crate::{
    cli::{Batch, Export},
    collect::{Accumulator, Collector, Sample},
    output::{Table, is_closed_pipe, ndjson},
};

/// How often the tasks that exited are taken in: the kernel half has room for
/// fourteen thousand.
const GATHER: Duration = Duration::from_millis(500);

/// Prints an interval after the other. ^C, SIGTERM and a closed pipe end it;
/// after a signal what the unfinished interval holds is still printed, so that
/// the sum of all intervals is what happened while we ran.
///
/// # Errors
///
/// A source can't be read any more, or the output can't be written.
pub async fn run(
    mut collector: Collector,
    batch: &Batch,
    notices: Vec<String>,
    out: &mut impl Write,
) -> Result<()> {
    let mut printer = Printer::new(batch, notices);
    let mut ticks = interval_at(Instant::now() + batch.delay, batch.delay);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut interrupt = signal(SignalKind::interrupt()).context("waiting for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("waiting for SIGTERM")?;
    let mut gathering = interval(GATHER);
    let mut left = batch.iterations;
    while left != Some(0) {
        let stop = tokio::select! {
            _ = gathering.tick() => {
                collector.gather();
                continue;
            }
            _ = ticks.tick() => false,
            _ = interrupt.recv() => true,
            _ = terminate.recv() => true,
        };
        let sample = collector
            .sample()
            .context("reading the kernel's counters")?;
        match printer.print(sample, out) {
            Err(error) if is_closed_pipe(&error) => break,
            printed => printed.context("writing to standard output")?,
        }
        if stop {
            break;
        }
        left = left.map(|left| left - 1);
    }
    Ok(())
}

struct Printer<'a> {
    batch: &'a Batch,
    accumulator: Option<Accumulator>,
    table: Table,
}

impl<'a> Printer<'a> {
    fn new(batch: &'a Batch, notices: Vec<String>) -> Printer<'a> {
        Printer {
            batch,
            accumulator: batch.accumulated.then(Accumulator::default),
            table: Table::new(batch.text, TimeZone::system(), notices),
        }
    }

    /// Whole lines in one write, so that whoever reads never sees half of one.
    fn print(&mut self, mut sample: Sample, out: &mut impl Write) -> io::Result<()> {
        if let Some(accumulator) = &mut self.accumulator {
            accumulator.add(&mut sample);
        }
        match self.batch.export {
            Some(Export::Ndjson) => {
                let mut buffer = BytesMut::new();
                ndjson(&sample, &mut buffer)?;
                out.write_all(&buffer)?;
            }
            None => out.write_all(self.table.format(&sample).as_bytes())?,
        }
        out.flush()
    }
}
