//! Screens and keys of a recording.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::BytesMut;
use clap::Parser as _;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::{Timestamp, tz::TimeZone};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{
    cli::{Action, Cli},
    commands::replay::open,
    golden,
    record::{Frame, Retention, Store, lines},
    sample::Sample,
    tui::{
        golden::{PLAIN, USUAL, buffer, check, press, text},
        state::{app::moment, settings::Figures},
    },
    view::{Accumulator, Kept},
};

/// The samples with these numbers, ten seconds each. Numbers 9 to 11 and 22 have a spike, and half
/// an hour passed before number 15.
fn samples(numbers: impl Iterator<Item = u64>) -> Vec<Sample> {
    let sample = |n| {
        let mut sample = match n {
            9..=11 | 22 => golden::spiked(n != 11),
            n if n % 3 == 0 => golden::flushed(),
            _ => golden::sample(),
        };
        let gap = if n < 15 { 0 } else { 1800 };
        let spike = sample.time + Duration::from_secs(if n == 22 { gap + 220 } else { 90 });
        sample.seq = n;
        sample.interval = Duration::from_secs(10);
        sample.time += Duration::from_secs(gap + 10 * n);
        for one in &mut sample.spikes {
            one.start = spike;
        }
        // Each interval has other figures.
        for task in &mut sample.tasks {
            task.stats.read_bytes = task.stats.read_bytes.map(|bytes| bytes + (n << 20));
        }
        sample
    };
    numbers.map(sample).collect()
}

fn store(directory: &Path) -> Store {
    let all = Retention {
        days: 30,
        bytes: 1 << 30,
    };
    Store::open(directory, all).expect("opened")
}

/// Adds frames of six samples each.
fn record(store: &mut Store, samples: &[Sample]) {
    for samples in samples.chunks(6) {
        let line = |sample: &Sample| {
            let mut text = BytesMut::new();
            lines(sample, |_| Arc::from("vdb1"), &mut text).expect("written");
            text
        };
        let mut frame = Frame::begin(&samples[0], &line(&samples[0])).expect("begun");
        for sample in &samples[1..] {
            frame.add(sample, &line(sample)).expect("added");
        }
        store.add(frame).expect("added");
    }
}

fn recorded(numbers: impl Iterator<Item = u64>) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    record(&mut store(directory.path()), &samples(numbers));
    directory
}

/// The view over a recording.
struct View {
    app: App,
    player: Player,
}

impl View {
    fn open(directory: &Path, args: &[&str]) -> View {
        let path = directory.to_str().expect("UTF-8");
        let args = [&["iotop-trace", "replay", path], args].concat();
        let cli = Cli::try_parse_from(args).expect("parsed");
        let config = cli.resolve(|_| None, |_| false, "/nonexistent".as_ref(), true);
        let Action::Replay(mut replay) = config.expect("resolved").action else {
            panic!("no replay");
        };
        let live = replay.live.take().expect("a terminal");
        let (opened, live) = open(&replay, live).expect("opened");
        let settings = crate::tui::with_options(Settings::default(), &live);
        let machine = Surroundings::default();
        let started = start(opened, live, settings, machine, TimeZone::UTC);
        let (mut app, player) = started.expect("samples");
        // The same in all golden files.
        app.replay.as_mut().expect("a recording").directory = "/var/lib/iotop-trace".to_owned();
        let mut view = View { app, player };
        view.settle();
        view
    }

    /// Does all that is left to do.
    fn settle(&mut self) {
        while self.player.has_work(&self.app) {
            self.player.work(&mut self.app);
        }
        assert!(self.player.may_draw(&self.app));
    }

    fn press(&mut self, keys: &str) {
        for key in keys.chars() {
            if let Some(Effect::Go(go)) = press(&mut self.app, &key.to_string()) {
                self.player.go(&mut self.app, go);
            }
            self.settle();
        }
    }

    /// The number of the sample that is shown.
    fn seq(&self) -> u64 {
        self.app.interval.as_ref().expect("a sample").seq
    }

    fn screen(&mut self) -> String {
        text(&buffer(&mut self.app, PLAIN, USUAL))
    }
}

#[test]
fn a_recording_opens_in_the_view_and_keys_go_back_and_forth() {
    let directory = recorded(1..=30);
    let mut view = View::open(directory.path(), &[]);
    check("replay", &mut view.app, USUAL);
    assert_eq!(view.seq(), 1);
    view.press(">");
    assert_eq!(view.seq(), 11);
    view.press(",");
    check("replay_forward", &mut view.app, USUAL);
    check("replay_small", &mut view.app, (40, 10));
    let there = view.screen();
    view.press(".>,,<.");
    assert_eq!(view.seq(), 10);
    assert_eq!(view.screen(), there, "however one came there");
    view.press("<");
    assert!(view.screen().contains("1 of 30"));
    view.press(",");
    assert!(view.screen().contains("this is the first sample"));
    view.press(">>>");
    assert_eq!(view.seq(), 30);
    view.press(".");
    check("replay_end", &mut view.app, USUAL);
}

#[test]
fn a_time_is_asked_for_and_a_bad_one_says_why_and_keeps_the_prompt() {
    let directory = recorded(1..=30);
    let mut view = View::open(directory.path(), &[]);
    view.press("g14:14:5");
    check("replay_prompt", &mut view.app, USUAL);
    view.press("5\n");
    assert_eq!(view.seq(), 10, "{}", view.screen());
    view.press("g");
    for (typed, why) in [
        ("soon\n", "not a time"),
        ("13:00\n", "2026-09-21 13:00:00 is not in the recording"),
        ("-2d\n", "is not in the recording"),
    ] {
        view.press(typed);
        assert!(view.screen().contains(why), "{}", view.screen());
        if why == "not a time" {
            check("replay_bad_time", &mut view.app, (100, 24));
        }
        let prompt = view.app.prompt.as_mut().expect("it is kept");
        prompt.text.clear();
    }
    view.press("-30s\n");
    assert_eq!(view.seq(), 7, "before the sample that was shown");
    view.press("gend\n");
    assert_eq!(view.seq(), 30);
    view.press("gstart\n");
    assert_eq!(view.seq(), 1);
    // Nothing was recorded there.
    view.press("g14:30\n");
    assert_eq!(view.seq(), 15);
    let said = view.screen();
    assert!(
        said.contains("nothing was recorded at 2026-09-21 14:30:00"),
        "{said}"
    );
}

#[test]
fn a_gap_is_said_above_the_sample_after_it() {
    let directory = recorded(1..=30);
    let mut view = View::open(directory.path(), &["--at", "2026-09-21T14:45:40Z"]);
    assert_eq!(view.seq(), 15);
    check("replay_gap", &mut view.app, USUAL);
    view.press(".");
    assert!(!view.screen().contains("no samples"));
    view.press(",,");
    assert!(!view.screen().contains("no samples"));
    view.press("a.");
    let screen = view.screen();
    assert!(
        screen.contains("no samples from 2026-09-21 14:15:40 to 14:45:40"),
        "{screen}"
    );
    assert!(
        screen.contains("totals are of 2m30s, 30m00s have no samples"),
        "{screen}"
    );
}

#[test]
fn intervals_that_the_recorder_could_not_write_are_said() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut all = samples(1..=3);
    all[1].system.lost[crate::sample::Loss::Intervals] = Some(3);
    record(&mut store(directory.path()), &all);
    let mut view = View::open(directory.path(), &[]);
    view.press(".");
    assert!(
        view.screen()
            .contains("! 3 intervals are missing before this one")
    );
    view.press(".");
    assert!(!view.screen().contains("missing"));
}

#[test]
fn the_next_and_the_previous_spike_are_found() {
    let directory = recorded(1..=30);
    let mut view = View::open(directory.path(), &[]);
    view.press("e");
    assert_eq!(view.seq(), 9, "its first sample");
    check("replay_spike", &mut view.app, USUAL);
    view.press("e");
    assert_eq!(view.seq(), 22);
    view.press("e");
    assert_eq!(view.seq(), 22);
    assert!(view.screen().contains("there is no later spike"));
    view.press("E");
    assert_eq!(view.seq(), 9, "its first sample");
    view.press("E");
    assert!(view.screen().contains("there is no earlier spike"));
    // From within a spike, that one is not the next one.
    view.press(".e");
    assert_eq!(view.seq(), 22);
    view.press("w");
    assert!(view.screen().contains("SPIKE"), "{}", view.screen());
}

#[test]
fn a_search_is_shown_while_it_goes_on_and_esc_ends_it() {
    let directory = recorded((1..=8).chain(12..=21).chain(30..=200));
    let mut view = View::open(directory.path(), &[]);
    let go = press(&mut view.app, "e");
    let Some(Effect::Go(go)) = go else {
        panic!("{go:?}");
    };
    view.player.go(&mut view.app, go);
    let screen = view.screen();
    assert!(
        screen.contains("searching... 2026-09-21 14:13:20"),
        "{screen}"
    );
    assert!(view.player.cancel(&mut view.app));
    assert!(view.screen().contains(" paused "));
    assert_eq!(view.seq(), 1);
}

/// The state as if only these samples were ever added.
fn only(directory: &Path, from: u64, to: u64) -> View {
    let at = samples(from..=from)[0].time - Duration::from_secs(5);
    let mut view = View::open(directory, &["--since", &at.to_string()]);
    for _ in from..to {
        view.press(".");
    }
    view
}

#[test]
fn the_graphs_of_rows_have_sixty_intervals_wherever_one_goes() {
    let directory = recorded(1..=150);
    let mut view = View::open(directory.path(), &[]);
    view.press("gend\n<<<<");
    assert_eq!(view.seq(), 110);
    let mut direct = only(directory.path(), 51, 110);
    assert_eq!(direct.seq(), 110);
    let graphs = |view: &View| {
        let shown = view.app.shown.as_ref().expect("rows");
        let rows = shown.rows.iter();
        let graph = |row| shown.history(row, &view.app.histories, view.app.graph(), 60);
        rows.map(graph).collect::<Vec<_>>()
    };
    assert_eq!(graphs(&view), graphs(&direct));
    assert!(graphs(&view).iter().any(|graph| graph.len() == 60));
    // The machine's graph goes further back, and no further than the sample that is shown.
    let written = view.app.history.iter().map(|moment| moment.write);
    let all = samples(1..=110);
    let wanted = all.iter().map(|sample| moment(sample).write);
    assert_eq!(written.collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
    let rows = |view: &mut View| {
        let screen = view.screen();
        let rows = screen.lines().skip_while(|line| !line.contains("COMMAND"));
        rows.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(rows(&mut view), rows(&mut direct));
}

/// The totals of the samples with these numbers.
fn totals(to: u64) -> Sample {
    let mut sum = Accumulator::new(Kept::All);
    let mut last = None;
    for mut sample in samples(1..=to) {
        sum.add(&mut sample);
        last = Some(sample);
    }
    last.expect("some")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn totals_are_those_since_the_start_of_the_span(keys in "[,.<>]{1,12}") {
        let directory = recorded(1..=40);
        let mut view = View::open(directory.path(), &["-a"]);
        view.press(">>");
        for key in keys.chars() {
            view.press(&key.to_string());
            let (since, _, sum) = view.app.totals.clone().expect("added up");
            let wanted = totals(view.seq());
            prop_assert_eq!(since, crate::record::start(&samples(1..=1)[0]));
            prop_assert_eq!(sum.interval, wanted.interval);
            prop_assert_eq!(&sum.system, &wanted.system);
            let figures = |sample: &Sample| {
                let tasks = sample.tasks.iter();
                let mut tasks: Vec<_> = tasks.map(|task| (task.tid, task.stats, task.block)).collect();
                tasks.sort_by_key(|(tid, ..)| *tid);
                tasks
            };
            prop_assert_eq!(figures(&sum), figures(&wanted));
        }
    }
}

#[test]
fn totals_are_turned_on_and_off_by_their_key() {
    let directory = recorded(1..=30);
    let mut view = View::open(directory.path(), &[]);
    view.press(">a");
    assert_eq!(view.app.settings.figures, Figures::Totals);
    check("replay_totals", &mut view.app, USUAL);
    view.press("a");
    let both = view.screen();
    assert!(both.contains("totals since 2026-09-21 14:13:20"), "{both}");
    view.press("a");
    assert!(!view.screen().contains("totals since"));
}

#[test]
fn a_recording_plays_and_follows_what_is_still_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = store(directory.path());
    record(&mut store, &samples(1..=6));
    let mut view = View::open(directory.path(), &[]);
    view.press("v ");
    assert!(view.screen().contains(" playing 10x "), "{}", view.screen());
    for n in 2..=6 {
        let wait = view.player.due(&view.app).expect("it plays") - Instant::now();
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
        view.player.tick(&mut view.app);
        view.settle();
        assert_eq!(view.seq(), n);
    }
    view.player.tick(&mut view.app);
    view.settle();
    assert!(
        view.screen().contains(" playing, at the end "),
        "{}",
        view.screen()
    );
    record(&mut store, &samples(7..=12));
    view.player.tick(&mut view.app);
    view.settle();
    assert_eq!(view.seq(), 7);
    assert!(view.screen().contains("7 of 12"));
    record(&mut store, &samples(13..=14));
    view.press(">");
    assert_eq!(view.seq(), 14, "going forward finds them too");
    assert!(view.screen().contains(" paused "));
    view.press(".");
    assert!(
        view.screen()
            .contains("the recorder writes about once a minute")
    );
    drop(store);
    view.press(" ");
    view.player.tick(&mut view.app);
    assert!(view.screen().contains("this is the last sample"));
    assert!(view.screen().contains(" paused "));
}

#[test]
fn keys_that_need_the_running_machine_are_refused() {
    let directory = recorded(1..=3);
    let mut view = View::open(directory.path(), &[]);
    let ctrl_t = KeyEvent::new(KeyCode::Char('t'), KeyModifiers::CONTROL);
    for key in ["i", "D"] {
        view.press(key);
        assert!(view.screen().contains("this is a recording"), "{key}");
        assert!(view.app.prompt.is_none(), "{key}");
        view.press(".");
    }
    view.app.key(ctrl_t);
    assert!(view.screen().contains("this is a recording"));
    view.press("?");
    check("replay_help", &mut view.app, (100, 60));
}

#[test]
fn users_and_devices_are_those_of_the_recording() {
    let directory = recorded(1..=3);
    let mut view = View::open(directory.path(), &["--device", "vdb1"]);
    assert!(view.screen().contains("on vdb1"), "{}", view.screen());
    view.press("d");
    view.app.prompt.as_mut().expect("a prompt").text.clear();
    view.press("sdz\n");
    assert!(
        view.screen()
            .contains("the recording has no device \"sdz\"")
    );
    view.app.prompt.as_mut().expect("a prompt").text.clear();
    view.press("\nupostgres\n");
    assert!(view.app.prompt.is_none(), "{}", view.screen());
    assert_eq!(view.app.scope.uids, [0]);
    view.press("u");
    view.app.prompt.as_mut().expect("a prompt").text.clear();
    view.press("mallory\n");
    assert!(
        view.screen()
            .contains("the recording has no user \"mallory\"")
    );
    // By device: the name that it had.
    let mut view = View::open(directory.path(), &[]);
    view.press("bbbbbbbb");
    assert!(view.screen().contains("vdb1"), "{}", view.screen());
}

#[test]
fn the_wake_ups_of_disks_follow_from_what_is_recorded() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut all = samples(1..=12);
    for sample in &mut all[3..9] {
        sample.facts.clear();
        sample.flushes.clear();
        let disk = &mut sample.disks[0];
        (disk.read, disk.write, disk.busy) = (0, 0, Duration::ZERO);
    }
    record(&mut store(directory.path()), &all);
    let mut view = View::open(directory.path(), &[]);
    view.press(">z");
    let screen = view.screen();
    assert!(
        screen.contains("sda") && screen.contains("1m00s to 1m20s"),
        "{screen}"
    );
}

#[test]
fn a_time_after_the_end_opens_the_last_sample_and_says_so() {
    let directory = recorded(1..=3);
    let mut view = View::open(directory.path(), &["--at", "2026-10-01"]);
    assert_eq!(view.seq(), 3);
    let end: Timestamp = view.app.now().expect("shown");
    let end = crate::tui::state::replaying::day_and_time(end, &TimeZone::UTC);
    assert!(
        view.screen()
            .contains(&format!("nothing is recorded after {end}"))
    );
}
