//! `iotop-trace replay`: prints a recording.

use std::{
    collections::HashMap,
    io::{self, BufWriter, Write},
    path::Path,
    sync::Arc,
};

use anyhow::{Context as _, Error, Result, anyhow};

use super::batch::Printer;
use crate::{
    cli::Replay,
    collect::recorded::{ReplayedWakes, as_wanted},
    output::{is_closed_pipe, say},
    record::{Recording, Span},
    sample::Number,
};

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
                flushed => flushed.context("writing to standard output")?,
            }
            match printed {
                0 => Err(nothing(&replay.directory, replay.span, &recording)?),
                _ => Ok(()),
            }
        }
    }
}

/// Prints the samples of the span. Returns their number.
fn print(replay: &Replay, recording: &Recording, out: &mut impl Write) -> Result<u64> {
    let batch = &replay.batch;
    let mut printer = Printer::new(batch, Vec::new());
    let mut samples = recording.samples(replay.span);
    let mut wakes = batch.wanted.wakes.map(ReplayedWakes::new);
    let mut printed = 0;
    let mut next = samples.next().transpose()?;
    while let Some(mut sample) = next.take() {
        let facts = sample.facts.iter().map(|fact| fact.device);
        let devices = sample.devices.iter().map(|(device, _)| *device);
        // Before the next sample, which may have other names.
        let names: HashMap<Number, Arc<str>> = devices
            .chain(facts)
            .map(|device| (device, samples.device_name(device)))
            .collect();
        for (device, _) in &sample.devices {
            printer.know_device(*device, names[device].clone());
        }
        if batch.iterations != Some(printed + 1) {
            next = samples.next().transpose()?;
        }
        // Before anything is taken away: who woke a disk may not be wanted.
        if let Some(wakes) = &mut wakes {
            sample.wakes = wakes.look(&mut sample, next.is_none());
        }
        as_wanted(&mut sample, &batch.wanted, |device| {
            match names.get(&device) {
                Some(name) => name.clone(),
                None => samples.device_name(device),
            }
        });
        if let Some(block) = printer.print(sample, next.is_none(), true)? {
            for message in &block.messages {
                say(message);
            }
            out.write_all(&block.text)?;
        }
        printed += 1;
    }
    for message in samples.skipped().messages() {
        say(&message);
    }
    Ok(printed)
}

/// The error that nothing was recorded in the span.
pub(super) fn nothing(directory: &Path, span: Span, recording: &Recording) -> Result<Error> {
    let directory = directory.display();
    let Some((start, end)) = recording.reach()? else {
        return Ok(anyhow!("{directory} has no interval that can be read"));
    };
    let from = span
        .from
        .map_or("its start".to_owned(), |from| from.to_string());
    let until = span
        .until
        .map_or("its end".to_owned(), |until| until.to_string());
    Ok(anyhow!(
        "{directory} has nothing between {from} and {until}; it reaches from {start} to {end}"
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
    }
}
