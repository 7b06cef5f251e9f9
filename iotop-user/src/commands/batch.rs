//! Batch mode: samples and prints until it is told to stop.

use std::{
    io::{self, Write},
    path::Path,
};

use anyhow::{Context as _, Result};
use bytes::BytesMut;
use jiff::tz::TimeZone;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval, interval_at},
};

use crate::{
    cli::Batch,
    collect::{Collector, GATHER},
    output::{Explain, Form, Table, is_closed_pipe, losses_named, process_ended, say},
    sample::Sample,
    view::{Viewer, sort},
};

/// Prints one interval after the other. ^C, SIGTERM and a closed pipe end it. After a
/// signal, the unfinished interval is still printed, so that the sum of all intervals
/// covers the whole run.
///
/// # Errors
///
/// A source can no longer be read, or the output can't be written.
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
        let last = stop || left == Some(1);
        if last {
            collector.ending();
        }
        let sample = collector
            .sample()
            .context("reading the kernel's counters")?;
        match printer.print(sample, last, out) {
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
    viewer: Viewer<'a>,
    form: Box<dyn Form>,
}

impl<'a> Printer<'a> {
    fn new(batch: &'a Batch, notices: Vec<String>) -> Printer<'a> {
        let zone = TimeZone::system();
        let form: Box<dyn Form> = match batch.export {
            Some(export) => export.form(batch.view.by, batch.fields.as_deref()),
            None if batch.explain => Box::new(Explain::new(zone, notices, batch.only_spikes)),
            None => Box::new(Table::new(batch.text.clone(), zone, notices)),
        };
        Printer {
            batch,
            viewer: Viewer::new(&batch.wanted, &batch.view, Path::new("/sys")),
            form,
        }
    }

    /// Messages about the interval for which the form has no place.
    fn messages(&self, sample: &Sample) -> Vec<String> {
        let ended = sample.ended.iter().filter(|_| !self.form.tells_ends());
        let mut messages: Vec<String> = ended.map(|pid| process_ended(*pid)).collect();
        let lost = losses_named(&sample.system.lost).filter(|_| !self.form.tells_losses());
        messages.extend(lost.map(|lost| {
            let seq = sample.seq;
            format!("lost in interval {seq}: {lost}; its figures are incomplete")
        }));
        messages
    }

    /// Writes all lines at once, so that a reader never sees half of a line.
    fn print(&mut self, sample: Sample, last: bool, out: &mut impl Write) -> io::Result<()> {
        for message in self.messages(&sample) {
            say(&message);
        }
        let sample = self.viewer.of(sample);
        if self.batch.at_end && !last {
            return Ok(());
        }
        let mut rows = sort::rows(&sample);
        match (&self.batch.sort, self.batch.top) {
            (Some(sort), _) => sort::by_key(&mut rows, sort),
            (None, None) if !self.form.is_for_people() => {}
            (None, _) => sort::by_weight(&mut rows),
        }
        rows.truncate(self.batch.top.unwrap_or(usize::MAX));
        let mut buffer = BytesMut::new();
        self.form.print(&sample, &rows, last, &mut buffer)?;
        out.write_all(&buffer)?;
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::{
        cli::{Action, Cli},
        golden,
        sample::Loss,
    };

    /// What is printed for an interval with losses in which process 900 ends, and the messages
    /// beside it.
    fn printed(args: &[&str]) -> (String, Vec<String>) {
        let cli = Cli::try_parse_from(["iotop-trace"].iter().chain(args)).expect("parsed");
        let config = cli.resolve(|_| None, |_| false, "/nonexistent".as_ref(), false);
        let Action::Batch(batch) = config.expect("resolved").action else {
            panic!("no batch");
        };
        let mut sample = golden::sample();
        sample.system.lost[Loss::Facts] = Some(3);
        sample.ended.push(900);
        let mut printer = Printer::new(&batch, Vec::new());
        let said = printer.messages(&sample);
        let mut out = Vec::new();
        printer.print(sample, false, &mut out).expect("printed");
        (String::from_utf8(out).expect("text"), said)
    }

    #[test]
    fn every_form_reports_losses() {
        for args in [
            &["-b"][..],
            &["-b", "-qq"],
            &["-b", "--explain-writeback"],
            &["-b", "-o", "--explain-writeback"],
        ] {
            let (text, said) = printed(args);
            assert!(text.contains("ost: facts 3;"), "{args:?}: {text}");
            assert!(!said.concat().contains("facts"), "{args:?}: {said:?}");
        }
        let (text, _) = printed(&["--export", "ndjson"]);
        assert!(text.contains(r#""facts":3"#), "{text}");
        for args in [&["-b", "-qqq"][..], &["--export", "csv"]] {
            let (_, said) = printed(args);
            assert!(said.concat().contains("facts 3"), "{args:?}: {said:?}");
        }
    }

    #[test]
    fn top_takes_the_largest_rows_in_every_form() {
        let lines = |args: &[&str]| {
            let (text, _) = printed(args);
            let rows = text
                .lines()
                .filter(|line| line.contains("/srv/x") || line.contains("900"));
            rows.count()
        };
        for args in [&["-b", "-qqq"][..], &["--export", "csv"]] {
            let all = printed(args).0.lines().count();
            let (text, _) = printed(&[args, &["--top", "2"]].concat());
            assert_eq!(text.lines().count(), all - 4, "{text}");
            assert_eq!(lines(&[args, &["--top", "2"]].concat()), 2, "{text}");
        }
    }

    #[test]
    fn every_form_says_that_a_chosen_process_has_ended() {
        for args in [&["-b"][..], &["-b", "-qq"]] {
            let (text, said) = printed(args);
            assert!(text.contains("! process 900 has ended"), "{args:?}: {text}");
            assert!(!said.concat().contains("900"), "{args:?}: {said:?}");
        }
        for format in ["csv", "ndjson"] {
            let (_, said) = printed(&["--export", format]);
            assert!(said.concat().contains("process 900 has ended"), "{said:?}");
        }
        let (_, said) = printed(&["-b", "-qqq"]);
        assert!(said.concat().contains("process 900 has ended"), "{said:?}");
    }
}
