//! Files, torn frames, retention, and two recorders.

use std::{
    os::unix::fs::{FileExt as _, PermissionsExt as _, symlink},
    sync::Arc,
    time::Duration,
};

use bytes::BytesMut;
use tempfile::TempDir;

use super::*;
use crate::{
    golden,
    record::{Recording, RecordingError, Skipped, Span, lines},
    sample::Sample,
};

const ALL: Retention = Retention {
    days: 30,
    bytes: 1 << 30,
};

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// The sample with this number: `seq`, ten seconds after the one before.
fn sample(n: u64) -> Sample {
    let mut sample = golden::sample();
    sample.seq = n;
    sample.interval = Duration::from_secs(10);
    sample.time += Duration::from_secs(10 * n);
    sample
}

fn frame(samples: &[Sample]) -> Frame {
    let text = |sample: &Sample| {
        let mut text = BytesMut::new();
        lines(sample, |_| Arc::from("sda"), &mut text).expect("written");
        text
    };
    let mut frame = Frame::begin(&samples[0], &text(&samples[0])).expect("begun");
    for sample in &samples[1..] {
        frame.add(sample, &text(sample)).expect("added");
    }
    frame
}

/// Records frames with these samples each.
fn record(directory: &Path, frames: &[&[u64]]) {
    let mut store = Store::open(directory, ALL).expect("opened");
    for numbers in frames {
        let samples: Vec<Sample> = numbers.iter().map(|n| sample(*n)).collect();
        assert_eq!(store.add(frame(&samples)).expect("added"), Outcome::Written);
    }
}

/// The numbers of the samples that can be read, and what was left out.
fn read(directory: &Path, span: Span) -> (Vec<u64>, Skipped) {
    let recording = Recording::open(directory).expect("opened");
    let mut samples = recording.samples(span);
    let numbers = samples
        .by_ref()
        .map(|sample| sample.expect("read").seq)
        .collect();
    (numbers, samples.skipped().clone())
}

fn only_file(directory: &Path) -> PathBuf {
    let [day] = Day::list(directory).expect("listed")[..] else {
        panic!("several files");
    };
    day::path(directory, day)
}

#[test]
fn what_was_recorded_is_read_and_appended_to() {
    let directory = directory();
    record(directory.path(), &[&[1, 2], &[3]]);
    record(directory.path(), &[&[4]]);
    let (numbers, skipped) = read(directory.path(), Span::default());
    assert_eq!((numbers, skipped), (vec![1, 2, 3, 4], Skipped::default()));
    let recording = Recording::open(directory.path()).expect("opened");
    let first = recording.samples(Span::default()).next().expect("one");
    assert_eq!(first.expect("read").tasks, sample(1).tasks);
}

/// Crash or power cut: a frame may end anywhere.
#[test]
fn a_torn_frame_costs_itself_and_nothing_else() {
    let whole = directory();
    record(whole.path(), &[&[1, 2], &[3]]);
    let two = fs::read(only_file(whole.path())).expect("read");
    record(whole.path(), &[&[4]]);
    let three = fs::read(only_file(whole.path())).expect("read");
    let name = only_file(whole.path())
        .file_name()
        .expect("a name")
        .to_owned();
    let torn = directory();
    let path = torn.path().join(name);
    for length in two.len() + 1..three.len() {
        fs::write(&path, &three[..length]).expect("written");
        let (numbers, skipped) = read(torn.path(), Span::default());
        assert_eq!((numbers, skipped.damaged), (vec![1, 2, 3], 1), "{length}");
        if length % 97 == 0 || length + 1 == three.len() {
            record(torn.path(), &[&[5]]);
            let (numbers, skipped) = read(torn.path(), Span::default());
            assert_eq!(
                (numbers, skipped.damaged),
                (vec![1, 2, 3, 5], 0),
                "{length}"
            );
        }
    }
    // Its length is there, its bytes are not.
    let mut zeros = three.clone();
    zeros[two.len() + 400..].fill(0);
    fs::write(&path, &zeros).expect("written");
    assert_eq!(read(torn.path(), Span::default()).0, [1, 2, 3]);
    record(torn.path(), &[&[6]]);
    let (numbers, skipped) = read(torn.path(), Span::default());
    assert_eq!((numbers, skipped.damaged), (vec![1, 2, 3, 6], 0));
    // The first frame of a file, torn at any byte.
    for length in (1..200).chain([two.len() / 3]) {
        fs::write(&path, &three[..length]).expect("written");
        record(torn.path(), &[&[7]]);
        assert_eq!(
            read(torn.path(), Span::default()),
            (vec![7], Skipped::default())
        );
    }
}

#[test]
fn a_damaged_frame_in_the_middle_costs_itself_and_nothing_else() {
    let directory = directory();
    record(directory.path(), &[&[1]]);
    let first = fs::metadata(only_file(directory.path()))
        .expect("there")
        .len();
    record(directory.path(), &[&[2], &[3]]);
    let path = only_file(directory.path());
    let whole = fs::read(&path).expect("read");
    // In the head, in the entry, and in the lines of the second.
    for at in [0, 5, 12, 30, 400] {
        let file = File::options().write(true).open(&path).expect("opened");
        file.write_all_at(b"\xff\xff", first + at).expect("written");
        let (numbers, skipped) = read(directory.path(), Span::default());
        assert_eq!((numbers, skipped.damaged), (vec![1, 3], 1), "{at}");
        fs::write(&path, &whole).expect("written");
    }
}

#[test]
fn each_interval_is_in_one_of_two_spans_that_follow_each_other() {
    let directory = directory();
    record(directory.path(), &[&[1, 2, 3], &[4, 5, 6]]);
    let at = |seconds: u64| Some(golden::sample().time + Duration::from_secs(seconds));
    let between = |from, until| read(directory.path(), Span { from, until }).0;
    assert_eq!(between(at(20), None), [3, 4, 5, 6]);
    assert_eq!(between(at(25), at(45)), [3, 4]);
    assert_eq!(between(None, at(25)), [1, 2]);
    assert_eq!(between(at(25), None), [3, 4, 5, 6]);
    assert_eq!(between(None, at(10)), [1]);
    assert_eq!(between(at(60), None), [0; 0]);
    assert_eq!(between(None, at(0)), [0; 0]);
}

/// Regression: the owner of the directory above could put one of his own in its place.
#[test]
fn a_directory_below_one_that_others_can_write_is_refused() {
    let above = directory();
    fs::set_permissions(above.path(), fs::Permissions::from_mode(0o777)).expect("changed");
    let below = above.path().join("recording");
    let refused = Store::open(&below, ALL).expect_err("not safe").to_string();
    assert!(
        refused.contains("put another directory in its place"),
        "{refused}"
    );
}

/// Regression: a pipe with the name of a day's file was waited for.
#[test]
fn only_regular_files_are_read() {
    let directory = directory();
    let pipe = directory.path().join("2026-11-28.ndjson.zst");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("started").success());
    let recording = Recording::open(directory.path()).expect("opened");
    let error = recording.samples(Span::default()).next().expect("a result");
    let error = format!("{:#}", anyhow::Error::from(error.expect_err("a pipe")));
    assert!(error.contains("not a regular file"), "{error}");
}

#[test]
fn a_second_recorder_is_refused_with_the_pid_of_the_first() {
    let directory = directory();
    let first = Store::open(directory.path(), ALL).expect("opened");
    let refused = Store::open(directory.path(), ALL)
        .expect_err("refused")
        .to_string();
    let pid = format!("process {}", std::process::id());
    assert!(refused.contains(&pid), "{refused}");
    drop(first);
    Store::open(directory.path(), ALL).expect("opened");
}

#[test]
fn a_link_is_not_followed_and_a_directory_of_others_is_refused() {
    let parent = directory();
    let (directory, target) = (
        parent.path().join("recording"),
        parent.path().join("target"),
    );
    fs::write(&target, "precious").expect("written");
    DirBuilder::new()
        .mode(0o700)
        .create(&directory)
        .expect("made");
    let lock = directory.join(LOCK);
    symlink(&target, &lock).expect("linked");
    Store::open(&directory, ALL).expect_err("a link");
    fs::remove_file(&lock).expect("removed");
    let mut store = Store::open(&directory, ALL).expect("opened");
    let day = day::path(&directory, Day::of(sample(1).time));
    symlink(&target, day).expect("linked");
    store.prepare(sample(1).time).expect_err("a link");
    drop(store);
    assert_eq!(fs::read(&target).expect("read"), b"precious");
    let all_may_write = fs::Permissions::from_mode(0o777);
    fs::set_permissions(&directory, all_may_write).expect("changed");
    let refused = Store::open(&directory, ALL).expect_err("refused");
    assert!(matches!(refused, StoreError::NotOurs(_)), "{refused}");
}

#[test]
fn the_oldest_files_go_by_age() {
    let directory = directory();
    const DAY: u64 = 8640;
    record(directory.path(), &[&[0], &[DAY], &[2 * DAY]]);
    let kept = Retention { days: 1, ..ALL };
    let mut store = Store::open(directory.path(), kept).expect("opened");
    store.add(frame(&[sample(2 * DAY + 1)])).expect("added");
    let (numbers, _) = read(directory.path(), Span::default());
    assert_eq!(numbers, [DAY, 2 * DAY, 2 * DAY + 1]);
}

#[test]
fn the_oldest_files_go_by_size_and_a_day_with_much_has_several() {
    let directory = directory();
    let length = frame(&[sample(1)]).finish().expect("finished").len() as u64;
    // Eight files of a frame each or a little more.
    let kept = Retention {
        days: 30,
        bytes: 8 * length + 80,
    };
    let mut store = Store::open(directory.path(), kept).expect("opened");
    for n in 1..=40 {
        store.add(frame(&[sample(n)])).expect("added");
        let files = Day::list(directory.path()).expect("listed").into_iter();
        let lengths = files.map(|day| day::path(directory.path(), day).metadata());
        let all: u64 = lengths.map(|file| file.expect("there").len()).sum();
        assert!(all <= kept.bytes + length, "{all}");
    }
    let (numbers, skipped) = read(directory.path(), Span::default());
    assert_eq!(skipped, Skipped::default());
    assert_eq!(*numbers.last().expect("some"), 40);
    assert!(numbers.len() >= 6 && numbers.is_sorted(), "{numbers:?}");
}

#[test]
fn a_foreign_file_is_left_alone_and_named() {
    let directory = directory();
    record(directory.path(), &[&[1]]);
    let path = only_file(directory.path());
    let gzip = b"\x1f\x8b\x08\x00 something else entirely";
    fs::write(&path, gzip).expect("written");
    record(directory.path(), &[&[2]]);
    assert_eq!(fs::read(&path).expect("read"), gzip);
    let (numbers, skipped) = read(directory.path(), Span::default());
    assert_eq!((numbers, &skipped.foreign), (vec![2], &vec![path]));
    assert!(skipped.messages()[0].contains("is not a recording"));
}

#[test]
fn a_newer_file_is_left_alone_and_said() {
    let directory = directory();
    record(directory.path(), &[&[1]]);
    let path = only_file(directory.path());
    let mut bytes = fs::read(&path).expect("read");
    let version = br#"{"iotop_trace":1"#;
    let at = bytes
        .windows(version.len())
        .position(|part| part == version);
    bytes[at.expect("an entry") + version.len() - 1] = b'9';
    fs::write(&path, &bytes).expect("written");
    record(directory.path(), &[&[2]]);
    assert_eq!(fs::read(&path).expect("read"), bytes);
    let (numbers, skipped) = read(directory.path(), Span::default());
    assert_eq!((numbers, skipped.newer), (vec![2], 1));
    assert!(skipped.messages()[0].contains("newer iotop-trace"));
}

#[test]
fn a_directory_without_recordings_says_how_to_make_them() {
    let directory = directory();
    for path in [directory.path(), Path::new("/nonexistent")] {
        let empty = Recording::open(path).expect_err("empty");
        assert!(empty.to_string().contains("iotop-trace record"), "{empty}");
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    let unreadable = Recording::open(file.path());
    assert!(matches!(unreadable, Err(RecordingError::Directory { .. })));
}

/// A clock that is set back, and a second start: times and numbers begin again.
#[test]
fn samples_come_in_the_order_in_which_they_were_recorded() {
    let directory = directory();
    record(directory.path(), &[&[5, 6], &[2]]);
    assert_eq!(read(directory.path(), Span::default()).0, [5, 6, 2]);
}

mod ledgers;
