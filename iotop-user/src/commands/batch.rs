//! Batch mode: samples and prints until it is told to stop.

use std::{io, mem, path::Path, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use bytes::BytesMut;
use jiff::tz::TimeZone;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep};

use crate::{
    cli::Batch,
    collect::{Collector, GATHER},
    host::signals::Ending,
    output::{
        Block, Explain, Form, Outlet, Repeated, Table, Wakes, is_closed_pipe, losses_named,
        missing_intervals, nameless, process_ended,
    },
    sample::{Loss, Sample, Unanswered, Wake},
    view::{RecordedNames, Viewer, sort},
};

/// After a signal, the reader has this time to read what is left.
const PATIENCE: Duration = Duration::from_millis(300);

/// Prints one interval after the other. ^C, SIGTERM, SIGHUP and a closed pipe end it.
/// After a signal, the unfinished interval is still printed, so that the sum of all
/// intervals covers the whole run.
///
/// Sampling never waits for the reader. While the outlet is full, whole intervals are left
/// out and counted.
///
/// # Errors
///
/// A source can no longer be read, the output can't be written, or a signal came while
/// nobody reads it.
pub async fn run(
    mut collector: Collector,
    batch: &Batch,
    notices: Vec<String>,
    outlet: &Outlet,
) -> Result<()> {
    let mut ending = Ending::watch(|| ()).context("waiting for signals")?;
    let sampled = sample(&mut collector, batch, notices, outlet, &mut ending).await;
    let ended = tokio::select! {
        written = outlet.written() => match written {
            Err(error) if !is_closed_pipe(&error) => {
                Err(error).context("writing to standard output")
            }
            _ => sampled,
        },
        () = async { ending.asked().await; sleep(PATIENCE).await } => Err(anyhow!(
            "standard output is blocked, because nobody reads it; intervals that are not \
             written: {}",
            outlet.waiting()
        )),
    };
    if ended.is_ok() {
        ending.finish();
    }
    ended
}

/// Samples until it is to end.
async fn sample(
    collector: &mut Collector,
    batch: &Batch,
    notices: Vec<String>,
    outlet: &Outlet,
    ending: &mut Ending,
) -> Result<()> {
    let mut printer = Printer::new(batch, notices);
    let waker = collector.waker().context("watching the kernel half")?;
    let mut ticks = interval_at(Instant::now() + batch.delay, batch.delay);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut gathering = interval(GATHER);
    let mut left = batch.iterations;
    while left != Some(0) {
        let stop = tokio::select! {
            _ = gathering.tick() => {
                collector.gather();
                continue;
            }
            () = waker.asked() => {
                collector.gather();
                continue;
            }
            _ = ticks.tick() => false,
            () = ending.asked() => true,
            _ = outlet.failed() => break,
        };
        let last = stop || left == Some(1);
        if last {
            collector.ending();
        }
        let sample = collector
            .sample()
            .context("reading the kernel's counters")?;
        let has_room = last || batch.at_end || !outlet.is_full();
        if !has_room {
            collector.repeat_exited();
        }
        if let Some(block) = printer.print(sample, last, has_room)? {
            outlet.put(block);
        }
        if stop {
            break;
        }
        left = left.map(|left| left - 1);
    }
    Ok(())
}

/// Prints samples, one after the other.
pub(super) struct Printer<'a> {
    batch: &'a Batch,
    viewer: Viewer<'a>,
    form: Box<dyn Form>,
    repeated: Repeated,
    /// Number of intervals that were left out since the last one that was printed.
    left_out: u64,
    /// Processes that ended since then.
    ended: Vec<u32>,
    /// Names without an answer since then.
    unanswered: Vec<Unanswered>,
    /// Wake-ups since then.
    wakes: Vec<Wake>,
}

impl<'a> Printer<'a> {
    pub(super) fn new(batch: &'a Batch, notices: Vec<String>) -> Printer<'a> {
        let zone = TimeZone::system();
        let form: Box<dyn Form> = match batch.export {
            Some(export) => export.form(batch.view.by, batch.fields.as_deref()),
            None if batch.explain || batch.explain_wakes => {
                let mut explain = Explain::new(zone.clone(), notices);
                explain.wakes = batch.explain_wakes.then(|| Wakes::new(zone));
                explain.only_wakes = !batch.explain;
                explain.only_spikes = batch.only_spikes;
                explain.full_command = batch.text.full_lines;
                Box::new(explain)
            }
            None => Box::new(Table::new(batch.text.clone(), zone, notices)),
        };
        Printer {
            batch,
            viewer: Viewer::new(&batch.wanted, &batch.view, Path::new("/sys")),
            form,
            repeated: Repeated::default(),
            left_out: 0,
            ended: Vec::new(),
            unanswered: Vec::new(),
            wakes: Vec::new(),
        }
    }

    /// The names that devices had when the next sample was recorded.
    pub(super) fn know_devices(&mut self, recorded: &RecordedNames) {
        self.viewer.know_devices(recorded);
    }

    /// Whether the lines for the machine have a place for a sentence about the recording.
    pub(super) fn tells_gaps(&self) -> bool {
        self.batch.export.is_none() && self.form.tells_losses()
    }

    /// Messages about the interval for which the form has no place.
    fn messages(&self, sample: &Sample) -> Vec<String> {
        let ended = sample.ended.iter().filter(|_| !self.form.tells_ends());
        let mut messages: Vec<String> = ended.map(|pid| process_ended(*pid)).collect();
        messages.extend(sample.unanswered.iter().map(ToString::to_string));
        if !self.form.tells_losses() {
            let Sample { seq, system, .. } = sample;
            let missing = missing_intervals(&system.lost);
            messages.extend(missing.map(|missing| format!("interval {seq}: {missing}")));
            let lost = losses_named(&system.lost);
            messages.extend(
                lost.map(|lost| {
                    format!("lost in interval {seq}: {lost}; its figures are incomplete")
                }),
            );
            let names = nameless(&system.lost);
            messages.extend(names.map(|names| format!("in interval {seq}: {names}")));
        }
        messages
    }

    /// Formats an interval. Without room it only adds it to the totals.
    pub(super) fn print(
        &mut self,
        mut sample: Sample,
        last: bool,
        has_room: bool,
    ) -> io::Result<Option<Block>> {
        // What is left out here comes with the next interval that has room.
        self.ended.append(&mut sample.ended);
        self.unanswered.append(&mut sample.unanswered);
        self.wakes.append(&mut sample.wakes);
        let left_out = match has_room {
            true => mem::take(&mut self.left_out),
            false => 0,
        };
        // A recording may lack intervals too.
        let missing = sample.system.lost[Loss::Intervals].unwrap_or(0);
        sample.system.lost[Loss::Intervals] = Some(missing + left_out);
        if !has_room {
            self.left_out += 1;
            self.viewer.of(sample);
            return Ok(None);
        }
        sample.ended = mem::take(&mut self.ended);
        sample.unanswered = mem::take(&mut self.unanswered);
        sample.wakes = mem::take(&mut self.wakes);
        let messages = self.messages(&sample);
        let sample = self.viewer.of(sample);
        let mut text = BytesMut::new();
        if self.batch.at_end && !last {
            return Ok((!messages.is_empty()).then_some(Block { text, messages }));
        }
        let mut rows = sort::rows(&sample);
        // Totals are whole in each interval, and the first rows are few.
        if !self.batch.view.accumulated && self.batch.top.is_none() {
            self.repeated.take_out(&sample, &mut rows);
        }
        match (&self.batch.sort, self.batch.top) {
            (Some(sort), _) => sort::by_key(&mut rows, sort),
            (None, None) if !self.form.is_for_people() => {}
            (None, _) => sort::by_weight(&mut rows),
        }
        rows.truncate(self.batch.top.unwrap_or(usize::MAX));
        self.form.print(&sample, &rows, last, &mut text)?;
        Ok(Some(Block { text, messages }))
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

    fn batch(args: &[&str]) -> Batch {
        let cli = Cli::try_parse_from(["iotop-trace"].iter().chain(args)).expect("parsed");
        let config = cli.resolve(|_| None, |_| false, "/nonexistent".as_ref(), false);
        let Action::Batch(batch) = config.expect("resolved").action else {
            panic!("no batch");
        };
        *batch
    }

    /// What is printed for an interval that lost facts, after one that had no room and in which
    /// process 900 ended, and the messages beside it.
    fn printed(args: &[&str]) -> (String, Vec<String>) {
        let batch = batch(args);
        let mut printer = Printer::new(&batch, Vec::new());
        let mut sample = golden::sample();
        sample.ended.push(900);
        let none = printer.print(sample, false, false);
        assert!(none.expect("formatted").is_none(), "{args:?}");
        let mut sample = golden::sample();
        sample.system.lost[Loss::Facts] = Some(3);
        let block = printer.print(sample, false, true).expect("formatted");
        let Block { text, messages } = block.expect("there is room");
        let text = String::from_utf8(text.to_vec()).expect("text");
        (text, messages)
    }

    #[test]
    fn every_form_reports_losses_and_intervals_without_room() {
        for args in [
            &["-b"][..],
            &["-b", "-qq"],
            &["-b", "--explain-writeback"],
            &["-b", "-o", "--explain-writeback"],
        ] {
            let (text, messages) = printed(args);
            assert!(text.contains("ost: facts 3;"), "{args:?}: {text}");
            let missing = "1 interval is missing before this one";
            assert!(text.contains(missing), "{args:?}: {text}");
            let messages = messages.concat();
            assert!(!messages.contains("facts") && !messages.contains("missing"));
        }
        let (text, _) = printed(&["--export", "ndjson"]);
        assert!(
            text.contains(r#""facts":3"#) && text.contains(r#""intervals":1"#),
            "{text}"
        );
        for args in [&["-b", "-qqq"][..], &["--export", "csv"]] {
            let (_, messages) = printed(args);
            let [_, missing, lost] = &messages[..] else {
                panic!("no place for them in the lines: {args:?}: {messages:?}");
            };
            assert!(missing.contains("1 interval is missing"), "{missing}");
            assert!(lost.contains("facts 3"), "{lost}");
        }
    }

    #[test]
    fn an_interval_without_room_is_counted_once_and_part_of_totals() {
        let batch = batch(&["-a", "--export", "ndjson"]);
        let mut printer = Printer::new(&batch, Vec::new());
        let mut printed = |has_room| {
            let block = printer.print(golden::sample(), false, has_room);
            let text = block.expect("formatted")?.text.to_vec();
            let line = text.split(|byte| *byte == b'\n').next()?;
            serde_json::from_slice::<serde_json::Value>(line).ok()
        };
        let first = printed(true).expect("a line");
        assert_eq!(first["lost"]["intervals"], 0);
        for _ in 0..2 {
            assert!(printed(false).is_none());
        }
        for n in [4, 5] {
            let line = printed(true).expect("a line");
            assert_eq!(line["lost"]["intervals"], 2);
            let wrote = |line: &serde_json::Value| line["block_write_bytes"].as_u64();
            assert_eq!(wrote(&line), wrote(&first).map(|bytes| n * bytes));
        }
    }

    #[test]
    fn a_wake_up_in_an_interval_without_room_comes_with_the_next_one() {
        for args in [
            &["-b", "--explain-wakeups"][..],
            &["--export", "ndjson", "--explain-wakeups"],
        ] {
            let batch = batch(args);
            let mut printer = Printer::new(&batch, Vec::new());
            let none = printer.print(golden::woken(&[0]), false, false);
            assert!(none.expect("formatted").is_none(), "{args:?}");
            let block = printer.print(golden::woken(&[]), true, true);
            let text = block.expect("formatted").expect("there is room").text;
            let text = String::from_utf8(text.to_vec()).expect("text");
            assert!(text.contains("nginx.service"), "{text}");
            if batch.export.is_none() {
                assert!(text.contains("sda: woken 2 times in"), "{text}");
            }
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
    fn a_name_without_an_answer_is_said_once_beside_every_form() {
        for args in [&["-b"][..], &["--export", "ndjson"]] {
            let batch = batch(args);
            let mut printer = Printer::new(&batch, Vec::new());
            let mut sample = golden::sample();
            sample.unanswered.push(Unanswered::User(1000));
            // Without room it waits for the next interval.
            assert!(
                printer
                    .print(sample, false, false)
                    .expect("formatted")
                    .is_none()
            );
            let mut said = || {
                let block = printer.print(golden::sample(), false, true);
                block.expect("formatted").expect("there is room").messages
            };
            let messages = said().concat();
            assert!(messages.contains("getent passwd 1000"), "{messages}");
            assert!(!said().concat().contains("getent"));
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
