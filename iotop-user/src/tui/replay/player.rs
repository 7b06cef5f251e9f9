//! Moves in a recording, and gives the live view's state the samples that it needs there.
//!
//! The rows' graphs, the log and everything else that is of the last minutes is not stored
//! anywhere. When the view goes back, its state starts again some samples earlier. All work is done
//! in short slices, so that keys never wait.

mod work;

use std::{
    collections::HashMap,
    path::Path,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use self::work::is_adding;
use super::{search::Search, sums::Sums};
use crate::{
    collect::{Wanted, wake::Wakes},
    record::{Gap, Position, Timeline, recorder, start},
    sample::{Sample, WakeRule},
    tui::state::{
        app::{App, Moment},
        history,
        replaying::{Doing, Go, SPEEDS, day_and_time},
    },
};

/// How many samples the state needs: those of the rows' graphs.
const NEEDED: usize = history::LENGTH;
/// How often to look for what a recorder has written.
const LOOK: Duration = Duration::from_secs(1);
/// While it plays, no sample stays longer than this many of its own length: a gap may be long.
const LONGEST: u32 = 2;

/// A position in a recording that moves.
#[derive(Debug)]
pub struct Player {
    timeline: Timeline,
    wanted: Wanted,
    /// The sample to show.
    target: Position,
    /// What is left to do for that.
    way: Way,
    /// The end of the sample before the next one on the way, if it is known.
    end: Option<Timestamp>,
    /// The totals belong to the target.
    summed: bool,
    search: Option<Search>,
    sums: Sums,
    wakes: Wakes,
    rule: WakeRule,
    /// When the next sample is due.
    due: Option<Instant>,
    /// What the frames that were decoded add to the machine's graph.
    moments: HashMap<usize, Box<[Moment]>>,
    /// Before this sample, the machine's graph lacks what was recorded.
    graph_from: Option<Position>,
    /// When the first sample of the span began, if that was asked for.
    first: Option<Timestamp>,
    /// Since when the screen waits.
    since: Instant,
}

/// What is left to do to show the target.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// Find the sample that is so many before the target.
    Back(Position, usize),
    /// Add samples, from this one on.
    On(Position),
    /// Nothing.
    There,
}

impl Player {
    /// Starts at this time, or at the first sample. `None` if no sample can be read.
    pub fn start(mut timeline: Timeline, wanted: Wanted, at: Option<Timestamp>) -> Option<Player> {
        let found = at.and_then(|at| timeline.at(at));
        let last = at.and_then(|_| timeline.last());
        let target = found.or(last).or_else(|| timeline.first())?;
        Some(Player {
            timeline,
            wanted,
            target,
            way: Way::Back(target, NEEDED),
            end: None,
            summed: false,
            search: None,
            sums: Sums::default(),
            wakes: Wakes::new(WakeRule::default()),
            rule: WakeRule::default(),
            due: None,
            moments: HashMap::new(),
            graph_from: None,
            first: None,
            since: Instant::now(),
        })
    }

    /// What was left out of the recording so far.
    pub fn skipped(&self) -> Vec<String> {
        self.timeline.skipped().messages()
    }

    /// When the first sample of the span began.
    fn since(&mut self) -> Option<Timestamp> {
        if self.first.is_none() {
            let first = self.timeline.first()?;
            self.first = self.sample(first).as_ref().map(start);
        }
        self.first
    }

    fn time(&mut self, at: Position) -> Option<Timestamp> {
        let decoded = self.timeline.decode(at.frame);
        Some(decoded.samples.get(at.sample)?.time)
    }

    fn sample(&mut self, at: Position) -> Option<Sample> {
        self.timeline
            .decode(at.frame)
            .samples
            .get(at.sample)
            .cloned()
    }

    /// Does what a key asks for.
    pub fn go(&mut self, app: &mut App, go: Go) {
        self.search = None;
        match go {
            Go::By(by) => {
                self.play(app, false);
                match by {
                    0.. => self.forward(app, by.unsigned_abs()),
                    _ => self.back(app, by.unsigned_abs()),
                }
            }
            Go::To(time) => self.seek(app, time),
            Go::First => {
                if let Some(first) = self.timeline.first() {
                    self.set_target(first);
                }
            }
            Go::Last => {
                self.look_for_more(app);
                if let Some(last) = self.timeline.last() {
                    self.set_target(last);
                }
            }
            Go::Spike { forward } => {
                self.play(app, false);
                let search = Search::new(&mut self.timeline, self.target, forward);
                self.search = Some(search);
            }
            Go::Play => {
                let playing = app.replay.as_ref().is_some_and(|replay| replay.playing);
                self.play(app, !playing);
            }
            Go::Faster => {
                self.due = None;
                if let Some(replay) = &mut app.replay {
                    replay.speed = (replay.speed + 1) % SPEEDS.len();
                    let speed = match SPEEDS[replay.speed] {
                        1 => "as it was recorded".to_owned(),
                        n => format!("{n} times as fast as it was recorded"),
                    };
                    app.say(format!("plays {speed}"));
                }
            }
        }
        self.tell(app);
    }

    /// Ends a search. False if there is none.
    pub fn cancel(&mut self, app: &mut App) -> bool {
        let was_searching = self.search.take().is_some();
        self.tell(app);
        was_searching
    }

    fn play(&mut self, app: &mut App, playing: bool) {
        self.due = None;
        if let Some(replay) = &mut app.replay {
            replay.playing = playing;
        }
    }

    fn forward(&mut self, app: &mut App, by: u64) {
        let mut at = self.target;
        for _ in 0..by {
            let next = self.timeline.next(at);
            let next = next.or_else(|| {
                self.look_for_more(app);
                self.timeline.next(at)
            });
            match next {
                Some(next) => at = next,
                None => break,
            }
        }
        if at == self.target {
            app.say(match self.has_recorder() {
                true => "this is the newest sample; the recorder writes about once a minute",
                false => "this is the last sample",
            });
        }
        self.set_target(at);
    }

    fn back(&mut self, app: &mut App, by: u64) {
        let by = usize::try_from(by).unwrap_or(usize::MAX);
        let at = self.timeline.back(self.target, by);
        if at == self.target {
            app.say("this is the first sample");
        }
        self.set_target(at);
    }

    fn seek(&mut self, app: &mut App, time: Timestamp) {
        let found = self.timeline.at(time);
        let Some(at) = found.or_else(|| self.timeline.last()) else {
            return;
        };
        self.set_target(at);
        self.say_where(app, Some(time));
    }

    /// Says that the target is not the interval at this time, unless it is.
    pub fn say_where(&mut self, app: &mut App, time: Option<Timestamp>) {
        let Some((time, sample)) = time.zip(self.sample(self.target)) else {
            return;
        };
        let words = |time| day_and_time(time, &app.zone);
        if sample.time < time {
            let end = words(sample.time);
            app.say(format!(
                "nothing is recorded after {end}; this is the last sample"
            ));
        } else if let Some(gap) = Gap::before(&sample, time) {
            let (time, until) = (words(time), words(gap.until));
            app.say(format!(
                "nothing was recorded at {time}; this is the next interval, from {until}"
            ));
        }
    }

    fn set_target(&mut self, at: Position) {
        if at == self.target && self.way == Way::There {
            return;
        }
        if self.is_settled() {
            self.since = Instant::now();
        }
        // The samples between here and there are few: go on with them.
        let here = match self.way {
            Way::There => self.timeline.next(self.target),
            Way::On(next) => Some(next),
            Way::Back(..) => None,
        };
        let is_near = |here: &Position| {
            let [here, there] = [*here, at].map(|at| self.timeline.number(at));
            there >= here && there - here < NEEDED as u64
        };
        self.way = match here.filter(is_near) {
            Some(here) => Way::On(here),
            None => Way::Back(at, NEEDED),
        };
        self.target = at;
        self.summed = false;
        self.due = None;
    }

    fn look_for_more(&mut self, app: &mut App) -> bool {
        match self.timeline.refresh() {
            Ok(more) => more,
            Err(error) => {
                app.say(crate::causes::with_causes(&error));
                false
            }
        }
    }

    fn has_recorder(&self) -> bool {
        recorder(self.timeline.directory(), Path::new("/proc")).is_some()
    }

    /// When the next sample is due.
    fn next_due(&mut self, app: &App) -> Instant {
        let next = self.timeline.next(self.target);
        let next = next.and_then(|next| self.sample(next));
        let wait = next.zip(app.now()).map(|(next, now)| {
            let wait = next.time.duration_since(now).unsigned_abs();
            let speed = app.replay.as_ref().map_or(0, |replay| replay.speed);
            wait.min(next.interval * LONGEST) / SPEEDS[speed]
        });
        Instant::now() + wait.unwrap_or(LOOK)
    }

    /// When to call [`Player::tick`].
    pub fn due(&self, app: &App) -> Option<Instant> {
        self.due.filter(|_| is_playing(app))
    }

    /// Shows the next sample.
    pub fn tick(&mut self, app: &mut App) {
        self.due = None;
        let next = self.timeline.next(self.target).or_else(|| {
            self.look_for_more(app);
            self.timeline.next(self.target)
        });
        match next {
            Some(next) => self.set_target(next),
            None if self.has_recorder() => {}
            None => {
                self.play(app, false);
                app.say("this is the last sample");
            }
        }
        self.tell(app);
    }

    /// Tells the state where it is in the recording.
    fn tell(&mut self, app: &mut App) {
        let searching = self.search.as_ref().map(|search| search.frame());
        let searching = searching.and_then(|frame| self.timeline.start_of(frame));
        let is_last = self.timeline.is_last(self.target);
        let target_time = self.time(self.target);
        let doing = match self.way {
            Way::There if searching.is_some() => searching.map(Doing::Searching),
            Way::There if !self.summed || is_adding(app) => Some(Doing::Adding(
                self.sums.percent(&self.timeline, self.target),
            )),
            Way::There => (is_playing(app) && is_last).then_some(Doing::Waiting),
            _ => target_time.map(Doing::Going),
        };
        if let Some(replay) = &mut app.replay {
            replay.doing = doing;
            replay.samples = self.timeline.samples();
            replay.reach = self.timeline.reach();
        }
    }
}

fn is_playing(app: &App) -> bool {
    app.replay.as_ref().is_some_and(|replay| replay.playing)
}
