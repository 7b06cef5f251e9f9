//! `iotop-trace replay`: prints a recording.

use std::{
    borrow::Cow,
    collections::HashMap,
    io::{self, BufWriter, Write},
    path::Path,
    sync::Arc,
};

use anyhow::{Context as _, Error, Result, anyhow, bail};
use jiff::{Timestamp, tz::TimeZone};

use super::{batch::Printer, covered::Covered};
use crate::{
    cli::{Batch, Live, Replay},
    collect::recorded::{ReplayedWakes, as_wanted},
    output::{is_closed_pipe, say},
    record::{Gap, Recording, Span, Timeline, local, start, too_early},
    sample::{Number, Sample},
    tui::replay::Opened,
    view::RecordedNames,
};

/// Why text can't be printed.
const WRITING: &str = "writing to standard output";

/// Prints what was recorded, as if it were happening now. A closed pipe ends it.
///
/// # Errors
///
/// The recording can't be read or has nothing in the span, or the output can't be written.
pub fn run(replay: &Replay) -> Result<()> {
    let recording = Recording::open(&replay.directory)?;
    let mut out = BufWriter::new(io::stdout().lock());
    match print(replay, &recording, &mut out) {
        Err(error) => match error.downcast_ref::<io::Error>() {
            Some(closed) if is_closed_pipe(closed) => Ok(()),
            _ => Err(error),
        },
        Ok(printed) => {
            match out.flush() {
                Err(error) if is_closed_pipe(&error) => return Ok(()),
                flushed => flushed.context(WRITING)?,
            }
            match printed {
                0 => Err(nothing(&replay.directory, replay.span, &recording)?),
                _ => Ok(()),
            }
        }
    }
}

/// The part that is printed.
fn span(replay: &Replay) -> Span {
    match replay.at {
        Some(_) => Span {
            from: replay.at,
            until: None,
        },
        None => replay.span,
    }
}

/// Prints the samples of the span. Returns their number.
fn print(replay: &Replay, recording: &Recording, out: &mut impl Write) -> Result<u64> {
    let span = span(replay);
    let mut names = RecordedNames::default();
    let (batch, _) = with_names(replay, recording, span)?;
    let batch = &*batch;
    let most = match replay.at {
        Some(_) => Some(1),
        None => batch.iterations,
    };
    let zone = TimeZone::system();
    let mut covered = Covered::new(replay.span, Timestamp::now(), zone.clone());
    let mut printer = Printer::new(batch, Vec::new());
    let mut samples = recording.samples(span);
    let mut wakes = batch.wanted.wakes.map(ReplayedWakes::new);
    let (mut printed, mut is_empty) = (0, true);
    let mut next = samples.next().transpose()?;
    if let Some((at, sample)) = replay.at.zip(next.as_ref()) {
        check_contains(sample, at, &replay.directory)?;
    }
    while let Some(mut sample) = next.take() {
        names.add(&sample, samples.device_names());
        printer.know_devices(&names);
        let facts = sample.facts.iter().map(|fact| fact.device);
        let devices = sample.devices.iter().map(|(device, _)| *device);
        // Before the next sample, which may have other names.
        let called: HashMap<Number, Arc<str>> = devices
            .chain(facts)
            .map(|device| (device, samples.device_name(device)))
            .collect();
        let mut notes: Vec<String> = covered.add(&sample).into_iter().collect();
        let time = sample.time;
        if most != Some(printed + 1) {
            next = samples.next().transpose()?;
        }
        let is_last = next.is_none();
        // Before anything is taken away: who woke a disk may not be wanted.
        if let Some(wakes) = &mut wakes {
            sample.wakes = wakes.look(&mut sample, is_last);
        }
        as_wanted(&mut sample, &batch.wanted, |device| {
            match called.get(&device) {
                Some(name) => name.clone(),
                None => samples.device_name(device),
            }
        });
        if is_last && most != Some(printed + 1) {
            notes.extend(covered.finish());
        }
        if batch.at_end {
            notes.clear();
        }
        if batch.view.accumulated && (!batch.at_end || is_last) {
            notes.extend(covered.words());
        }
        let block = printer.print(sample, is_last, true)?;
        for note in notes {
            match printer.tells_gaps() {
                true => {
                    let prefix = match batch.text.time {
                        true => zone.to_datetime(time).strftime("%T ").to_string(),
                        false => String::new(),
                    };
                    writeln!(out, "{prefix}! {note}").context(WRITING)?;
                }
                false => say(&note),
            }
        }
        if let Some(block) = block {
            for message in &block.messages {
                say(message);
            }
            is_empty &= block.text.is_empty();
            out.write_all(&block.text).context(WRITING)?;
        }
        printed += 1;
    }
    for message in samples.skipped().messages() {
        say(&message);
    }
    if printed != 0 && is_empty && batch.explain && batch.only_spikes {
        say(&format!(
            "no spikes in {printed} intervals of {}",
            replay.directory.display()
        ));
    }
    Ok(printed)
}

/// What the live view shows of a recording, and how.
///
/// # Errors
///
/// The recording can't be read or has nothing in the span, or lacks a user or a device.
pub fn open(replay: &Replay, mut live: Live) -> Result<(Opened, Live)> {
    let recording = Recording::open(&replay.directory)?;
    let timeline = Timeline::of(&recording, replay.span)?;
    if timeline.frames() == 0 {
        return Err(nothing(&replay.directory, replay.span, &recording)?);
    }
    let (batch, names) = with_names(replay, &recording, replay.span)?;
    live.uids.clone_from(&batch.wanted.uids);
    live.device.clone_from(&batch.view.device);
    let at = replay.at;
    let opened = Opened {
        timeline,
        at,
        names,
    };
    Ok((opened, live))
}

/// How to print, with the numbers that users and devices have in the recording, and the names in
/// it. It is read until they are found.
fn with_names<'a>(
    replay: &'a Replay,
    recording: &Recording,
    span: Span,
) -> Result<(Cow<'a, Batch>, RecordedNames)> {
    let mut names = RecordedNames::default();
    let batch = &replay.batch;
    let on = batch.view.device.as_ref();
    let devices = on.map_or(&[][..], |device| &device.wanted);
    if replay.users.is_empty() && devices.is_empty() {
        return Ok((Cow::Borrowed(batch), names));
    }
    let mut samples = recording.samples(span);
    loop {
        let next = samples.next().transpose()?;
        if let Some(sample) = &next {
            names.add(sample, samples.device_names());
        }
        let found = (names.uids(&replay.users), names.devices(devices));
        match (found, &next) {
            ((Ok(uids), Ok(device)), _) => {
                let mut batch = batch.clone();
                batch.wanted.uids = uids;
                if on.is_some() {
                    batch.text.device = Some(device.name.clone());
                    batch.view.device = Some(device);
                }
                return Ok((Cow::Owned(batch), names));
            }
            // Then there is nothing to print, which is said.
            (_, None) if samples.is_empty() => return Ok((Cow::Borrowed(batch), names)),
            ((Err(missing), _) | (_, Err(missing)), None) => bail!(missing),
            (_, Some(_)) => {}
        }
    }
}

/// Whether the interval at a time was recorded.
fn check_contains(sample: &Sample, at: Timestamp, directory: &Path) -> Result<()> {
    match Gap::before(sample, at) {
        None => Ok(()),
        Some(_) => bail!(
            "{} has no interval at {}; the next one is from {} to {}",
            directory.display(),
            local(at),
            local(start(sample)),
            local(sample.time)
        ),
    }
}

/// The error that nothing was recorded in the span.
pub(crate) fn nothing(directory: &Path, span: Span, recording: &Recording) -> Result<Error> {
    let ledgers = recording.ledgers()?;
    let days = ledgers.days.keys();
    let totals = days.clone().next().zip(days.last()).map(|(first, last)| {
        format!("; there are daily totals of {first} to {last} (UTC), which `report` adds up where they are wholly in the span")
    });
    let totals = totals.unwrap_or_default();
    let Some((start, end)) = recording.reach()? else {
        let directory_name = directory.display();
        return Ok(match too_early(directory) {
            Some(error) if totals.is_empty() => error.into(),
            _ => anyhow!("{directory_name} has no interval that can be read{totals}"),
        });
    };
    let from = span.from.map_or("its start".to_owned(), local);
    let until = span.until.map_or("its end".to_owned(), local);
    Ok(anyhow!(
        "{} has nothing between {from} and {until}; it reaches from {} to {}{totals}",
        directory.display(),
        local(start),
        local(end)
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser as _;
    use tempfile::TempDir;

    use super::*;
    use crate::{
        cli::{Action, Cli},
        commands::record::Recorder,
        golden,
        record::{Frame, Retention, Store, lines},
        sample::Sample,
    };

    /// Intervals with flushes, a spike that goes on and then ends, exited tasks and losses.
    fn samples() -> Vec<Sample> {
        let samples = [
            golden::sample(),
            golden::journaled(),
            golden::spiked(true),
            golden::spiked(false),
            golden::without_ebpf(),
            golden::flushed(),
        ];
        let numbered = samples.into_iter().zip(1..).map(|(mut sample, seq)| {
            sample.seq = seq;
            sample.time += Duration::from_secs(10 * seq) + Duration::from_nanos(123 * seq);
            sample.interval = Duration::from_nanos(9_999_999_999 + seq);
            sample.for_others = Default::default();
            // This machine has no such user.
            if let Some(task) = sample.tasks.iter_mut().find(|task| task.tid == 901) {
                (task.user, task.uid) = (Some("recorded-user".into()), Some(70001));
            }
            sample
        });
        numbered.collect()
    }

    fn recorded() -> TempDir {
        recorded_of(samples())
    }

    fn recorded_of(samples: Vec<Sample>) -> TempDir {
        let directory = tempfile::tempdir().expect("a directory");
        let all = Retention {
            days: 30,
            bytes: 1 << 30,
        };
        let store = Store::open(directory.path(), all).expect("opened");
        let mut recorder = Recorder::new(store);
        for sample in samples {
            recorder.record(sample).expect("recorded");
        }
        recorder.finish().expect("written");
        directory
    }

    fn replay(directory: &Path, args: &[&str]) -> Replay {
        let directory = directory.to_str().expect("UTF-8");
        let args = [&["iotop-trace", "replay", directory], args].concat();
        let cli = Cli::try_parse_from(args).expect("parsed");
        let uid = |_: &str| Some(0);
        let config = cli.resolve(uid, |_| false, "/nonexistent".as_ref(), false);
        match config.expect("resolved").action {
            Action::Replay(replay) => *replay,
            other => panic!("{other:?}"),
        }
    }

    /// What a run prints that gathers these samples.
    fn live(replay: &Replay) -> String {
        live_of(replay, samples())
    }

    fn live_of(replay: &Replay, samples: Vec<Sample>) -> String {
        let batch = &replay.batch;
        let mut printer = Printer::new(batch, Vec::new());
        let mut names = crate::host::devices::DeviceNames::new(Path::new("/sys"));
        let last = samples.len() - 1;
        let mut text = Vec::new();
        for (n, mut sample) in samples.into_iter().enumerate() {
            as_wanted(&mut sample, &batch.wanted, |device| names.name(device));
            let block = printer.print(sample, n == last, true).expect("formatted");
            text.extend(block.map(|block| block.text).unwrap_or_default());
        }
        String::from_utf8(text).expect("UTF-8")
    }

    /// A recording has everything that a run shows, to the byte.
    #[test]
    fn live_and_replayed_output_are_identical() {
        let directory = recorded();
        for args in [
            &["-b"][..],
            &["-b", "-o", "-t", "-k"],
            &["-b", "-a"],
            &["-b", "-P"],
            &["-b", "-P", "-a", "-o"],
            &["-a", "--final"],
            &["--explain-writeback"],
            &["--explain-writeback", "-o"],
            &["--export", "csv"],
            &["--export", "csv", "-a", "-P"],
            &["--export", "ndjson"],
            &["--export", "ndjson", "-a"],
            &["--export", "ndjson", "--explain-writeback"],
            &["--group-by", "command"],
            &["--group-by", "parents", "--export", "ndjson"],
            &["--group-by", "user", "-a"],
            &["--group-by", "device", "--export", "csv"],
            &["--group-by", "file", "-a", "--export", "ndjson"],
            &["-p", "900", "--export", "csv"],
            &["--filter", "dd", "-b"],
            &["--top", "2", "-s", "caused"],
        ] {
            let replay = replay(directory.path(), args);
            let recording = Recording::open(directory.path()).expect("opened");
            let mut text = Vec::new();
            let printed = print(&replay, &recording, &mut text).expect("printed");
            assert_eq!(printed, 6, "{args:?}");
            let text = String::from_utf8(text).expect("UTF-8");
            assert!(!text.is_empty(), "{args:?}");
            assert_eq!(text, live(&replay), "{args:?}");
        }
    }

    /// Who wakes a disk, and how regularly, is found again from what was recorded.
    #[test]
    fn live_and_replayed_wake_ups_are_identical() {
        // The database reads and a flusher writes nginx's line, eight times.
        let mut samples = golden::silent_and_woken(&[0, 3], 8);
        for sample in &mut samples {
            sample.for_others = Default::default();
        }
        let directory = recorded_of(samples.clone());
        for (args, named) in [
            (&["--explain-wakeups"][..], "one of these 2 made the first"),
            (
                &["--explain-wakeups", "--explain-writeback"],
                "woken 8 times",
            ),
            (&["--explain-wakeups", "--export", "ndjson"], "\"wake\""),
        ] {
            let replay = replay(directory.path(), args);
            let recording = Recording::open(directory.path()).expect("opened");
            let mut text = Vec::new();
            print(&replay, &recording, &mut text).expect("printed");
            let text = String::from_utf8(text).expect("UTF-8");
            assert!(text.contains(named), "{text}");
            assert_eq!(text, live_of(&replay, samples.clone()), "{args:?}");
        }
        let rarely = replay(directory.path(), &["--explain-wakeups", "--idle", "100000"]);
        let recording = Recording::open(directory.path()).expect("opened");
        let mut text = Vec::new();
        print(&rarely, &recording, &mut text).expect("printed");
        let text = String::from_utf8(text).expect("UTF-8");
        assert!(!text.contains("woken after"), "{text}");
    }

    /// A recording may come from another machine.
    #[test]
    fn devices_have_the_names_that_they_had() {
        let directory = tempfile::tempdir().expect("a directory");
        let all = Retention {
            days: 30,
            bytes: 1 << 30,
        };
        let mut store = Store::open(directory.path(), all).expect("opened");
        let sample = golden::sample();
        let mut text = bytes::BytesMut::new();
        lines(&sample, |_| "elsewhere".into(), &mut text).expect("written");
        store
            .add(Frame::begin(&sample, &text).expect("begun"))
            .expect("added");
        let replay = replay(directory.path(), &["--group-by", "device"]);
        let recording = Recording::open(directory.path()).expect("opened");
        let mut text = Vec::new();
        print(&replay, &recording, &mut text).expect("printed");
        let text = String::from_utf8(text).expect("UTF-8");
        assert!(text.contains("elsewhere"), "{text}");
    }

    /// The text, or the error.
    fn printed(directory: &Path, args: &[&str]) -> Result<String, String> {
        let replay = replay(directory, args);
        let recording = Recording::open(directory).expect("opened");
        let mut text = Vec::new();
        match print(&replay, &recording, &mut text) {
            Ok(_) => Ok(String::from_utf8(text).expect("UTF-8")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn users_and_devices_are_looked_up_in_the_recording() {
        let directory = recorded();
        let rows = |args: &[&str]| {
            let args = [&["-n", "1", "-b", "-qqq"], args].concat();
            printed(directory.path(), &args).map(|text| text.lines().count())
        };
        assert_eq!(rows(&["-u", "recorded-user"]), Ok(1));
        assert_eq!(rows(&["-u", "70001"]), Ok(1));
        assert_eq!(rows(&["-u", "root"]), Ok(5));
        let error = rows(&["-u", "mallory"]).expect_err("unknown");
        assert!(error.contains("no user \"mallory\"; it has"), "{error}");
        let all = rows(&["--device", "8:1"]).expect("there");
        assert_eq!(rows(&["--device", "sda"]), Ok(all), "its partition");
        let error = rows(&["--device", "sdz"]).expect_err("unknown");
        assert!(error.contains("no device \"sdz\"; it has"), "{error}");
    }

    #[test]
    fn at_prints_the_interval_that_contains_the_time() {
        let directory = recorded();
        let recording = Recording::open(directory.path()).expect("opened");
        let (first, _) = recording.reach().expect("read").expect("some");
        let at = |seconds: f64| {
            let at = first + jiff::SignedDuration::from_secs_f64(seconds);
            let args = ["--export", "ndjson", "--at", &at.to_string()];
            printed(directory.path(), &args).map(|text| {
                let line = text.lines().next().expect("a line");
                let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
                line["seq"].as_u64().expect("a number")
            })
        };
        assert_eq!([1.0, 9.0, 11.0, 55.0].map(at), [1, 1, 2, 6].map(Ok));
        let error = at(-600.0).expect_err("nothing there");
        assert!(error.contains("has no interval at 2026-"), "{error}");
    }

    /// Two samples, half an hour, and two more.
    fn with_a_gap() -> TempDir {
        let directory = tempfile::tempdir().expect("a directory");
        let all = Retention {
            days: 30,
            bytes: 1 << 30,
        };
        let store = Store::open(directory.path(), all).expect("opened");
        let mut recorder = Recorder::new(store);
        for (mut sample, after) in samples().into_iter().zip([0, 0, 1800, 1800]) {
            sample.time += Duration::from_secs(after);
            recorder.record(sample).expect("recorded");
        }
        recorder.finish().expect("written");
        directory
    }

    #[test]
    fn gaps_are_said_between_the_blocks_and_of_the_totals() {
        let directory = with_a_gap();
        let said = |args: &[&str]| {
            let text = printed(directory.path(), args).expect("printed");
            let notes = text.lines().filter(|line| line.contains("no samples"));
            (notes.map(str::to_owned).collect::<Vec<_>>(), text)
        };
        for args in [&["-b"][..], &["--explain-writeback"]] {
            let (notes, text) = said(args);
            assert_eq!(notes.len(), 1, "{text}");
            assert!(
                notes[0].starts_with("! no samples from 2026-09-21 "),
                "{text}"
            );
            assert!(notes[0].ends_with("(30m00s)"), "{text}");
        }
        let (notes, text) = said(&["-b", "-t"]);
        assert!(notes[0].contains(" ! no samples"), "{text}");
        let (notes, text) = said(&["-a", "--final"]);
        assert_eq!(notes.len(), 1, "{text}");
        assert!(
            notes[0].contains("the totals are of 40.0 s: 30m00s"),
            "{text}"
        );
        // Two blocks have a gap before them, and one follows it directly.
        assert_eq!(said(&["-a", "-b"]).0.len(), 3);
        for args in [&["--export", "ndjson"][..], &["-b", "-qqq"]] {
            assert!(said(args).0.is_empty(), "beside the lines");
        }
    }

    #[test]
    fn a_number_of_intervals_ends_it_and_a_span_without_any_says_what_there_is() {
        let directory = recorded();
        let recording = Recording::open(directory.path()).expect("opened");
        let two = replay(directory.path(), &["-n", "2", "--export", "ndjson"]);
        let mut text = Vec::new();
        assert_eq!(print(&two, &recording, &mut text).expect("printed"), 2);
        let empty = replay(directory.path(), &["--until", "2001-01-01"]);
        let said = run(&empty).expect_err("nothing").to_string();
        assert!(said.contains("reaches from 2026-"), "{said}");
        assert!(
            !said.contains(":20.") && !said.contains(":20Z"),
            "local, without fractions: {said}"
        );
    }
}
