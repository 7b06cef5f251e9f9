//! Forward and back, over damaged frames and while a recorder writes.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt as _,
    time::Duration,
};

use bytes::BytesMut;
use tempfile::TempDir;

use super::*;
use crate::{
    golden,
    record::{Frame, Retention, Store, lines},
};

/// The sample with this number: `n`, ten seconds after the one before.
fn sample(n: u64) -> Sample {
    let mut sample = match n {
        20 => golden::spiked(true),
        _ => golden::sample(),
    };
    sample.seq = n;
    sample.interval = Duration::from_secs(10);
    sample.time += Duration::from_secs(10 * n);
    sample
}

fn store(directory: &Path) -> Store {
    let all = Retention {
        days: 30,
        bytes: 1 << 30,
    };
    Store::open(directory, all).expect("opened")
}

/// Adds a frame with these samples.
fn add(store: &mut Store, numbers: std::ops::RangeInclusive<u64>) {
    let line = |sample: &Sample| {
        let mut text = BytesMut::new();
        lines(sample, |_| Arc::from("vdb1"), &mut text).expect("written");
        text
    };
    let mut samples = numbers.map(sample);
    let first = samples.next().expect("one");
    let mut frame = Frame::begin(&first, &line(&first)).expect("begun");
    for sample in samples {
        frame.add(&sample, &line(&sample)).expect("added");
    }
    store.add(frame).expect("added");
}

/// Frames of six samples each.
fn recorded(frames: u64) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = store(directory.path());
    for n in 0..frames {
        add(&mut store, 6 * n + 1..=6 * n + 6);
    }
    directory
}

fn timeline(directory: &Path, span: Span) -> Timeline {
    let recording = Recording::open(directory).expect("opened");
    Timeline::of(&recording, span).expect("read")
}

fn seq(timeline: &mut Timeline, at: Option<Position>) -> Option<u64> {
    let at = at?;
    Some(timeline.decode(at.frame).samples.get(at.sample)?.seq)
}

/// All samples from the first to the last, and back again.
fn both_ways(timeline: &mut Timeline) -> [Vec<u64>; 2] {
    let (mut on, mut back) = (Vec::new(), Vec::new());
    let mut at = timeline.first();
    while let Some(now) = at {
        on.extend(seq(timeline, at));
        assert_eq!(timeline.number(now), on.len() as u64);
        at = timeline.next(now);
    }
    let mut at = timeline.last();
    while let Some(now) = at {
        back.extend(seq(timeline, at));
        at = timeline.previous(now);
    }
    back.reverse();
    [on, back]
}

#[test]
fn samples_are_the_same_forward_and_back_and_few_stay_decoded() {
    let directory = recorded(40);
    let mut timeline = timeline(directory.path(), Span::default());
    assert_eq!(timeline.samples(), 240);
    let all: Vec<u64> = (1..=240).collect();
    assert_eq!(both_ways(&mut timeline), [all.clone(), all]);
    assert_eq!(timeline.decoded.len(), DECODED);
    let last = timeline.last().expect("some");
    let before = timeline.back(last, 100);
    assert_eq!(seq(&mut timeline, Some(before)), Some(140));
    let first = timeline.back(before, 1000);
    assert_eq!(seq(&mut timeline, Some(first)), Some(1));
    assert!(timeline.is_last(last) && !timeline.is_last(before));
}

#[test]
fn a_span_has_the_samples_that_a_replay_prints() {
    let directory = recorded(4);
    let time = |n: u64| Some(sample(n).time);
    let span = Span {
        from: time(3),
        until: time(15),
    };
    let mut timeline = timeline(directory.path(), span);
    assert_eq!(timeline.samples(), 12, "known before they are read");
    let recording = Recording::open(directory.path()).expect("opened");
    let printed = recording.samples(span).map(|one| one.expect("read").seq);
    let printed: Vec<u64> = printed.collect();
    assert_eq!(both_ways(&mut timeline), [printed.clone(), printed]);
}

#[test]
fn a_time_has_the_sample_that_ends_then_or_later() {
    let directory = recorded(3);
    let mut timeline = timeline(directory.path(), Span::default());
    let after = |seconds| sample(7).time + jiff::SignedDuration::from_secs(seconds);
    for (seconds, wanted) in [(-9, 7), (0, 7), (1, 8), (-1000, 1)] {
        let at = timeline.at(after(seconds));
        assert_eq!(seq(&mut timeline, at), Some(wanted), "{seconds}");
    }
    assert_eq!(timeline.at(after(1000)), None);
}

#[test]
fn a_damaged_frame_costs_itself_and_is_counted_once() {
    let directory = recorded(4);
    let whole = timeline(directory.path(), Span::default());
    let second = whole.frames[1];
    let file = fs::read_dir(directory.path()).expect("read");
    let mut files = file.filter_map(|file| Some(file.ok()?.path()));
    let path = files.find(|path| path.extension().is_some_and(|end| end == "zst"));
    let file = OpenOptions::new().write(true).open(path.expect("a file"));
    let at = second.at + second.length / 2;
    file.expect("opened")
        .write_all_at(&[0; 64], at)
        .expect("written");
    let mut timeline = timeline(directory.path(), Span::default());
    let left: Vec<u64> = (1..=6).chain(13..=24).collect();
    for _ in 0..2 {
        assert_eq!(both_ways(&mut timeline), [left.clone(), left.clone()]);
    }
    assert_eq!(timeline.samples(), 18);
    assert_eq!(timeline.skipped().damaged, 1);
}

#[test]
fn what_is_recorded_meanwhile_is_added() {
    let directory = recorded(1);
    let mut timeline = timeline(directory.path(), Span::default());
    assert!(!timeline.refresh().expect("read"));
    let mut store = store(directory.path());
    add(&mut store, 7..=9);
    assert!(timeline.refresh().expect("read"));
    assert!(!timeline.refresh().expect("read"));
    let all: Vec<u64> = (1..=9).collect();
    assert_eq!(both_ways(&mut timeline), [all.clone(), all]);
    // Its file is removed, because it is old.
    for file in fs::read_dir(directory.path()).expect("read") {
        fs::remove_file(file.expect("read").path()).expect("removed");
    }
    timeline.decoded.clear();
    assert!(both_ways(&mut timeline).concat().is_empty());
}

#[test]
fn a_frame_with_a_spike_is_known_without_its_samples() {
    let directory = recorded(5);
    let timeline = timeline(directory.path(), Span::default());
    let with: Vec<usize> = (0..6).filter(|n| timeline.may_have_spike(*n)).collect();
    assert_eq!(with, [3], "sample 20");
}
