//! What a player does to show a sample: in short slices, the most urgent first.

use std::time::{Duration, Instant};

use super::{Player, Way, is_playing};
use crate::{
    collect::{recorded::as_wanted, wake::Wakes},
    record::{Gap, Position},
    sample::WakeRule,
    tui::{
        replay::search::Found,
        state::{
            app::{App, Past, moment},
            settings::Figures,
        },
    },
};

/// How many intervals the machine's graph gets, if it has room for them.
const GRAPH: usize = 240;
/// How long to work before the next look at keys.
const SLICE: Duration = Duration::from_millis(25);
/// How long the old screen stays before an unfinished one is drawn.
const PATIENCE: Duration = Duration::from_millis(200);

impl Player {
    /// Whether the target is on the screen.
    pub(super) fn is_settled(&self) -> bool {
        self.way == Way::There && self.summed
    }

    /// Whether the state is one to be drawn.
    pub fn may_draw(&self, app: &App) -> bool {
        self.is_settled() || app.shown.is_some() && self.since.elapsed() > PATIENCE
    }

    /// Whether there is something to do before anything else happens.
    pub fn has_work(&self, app: &App) -> bool {
        !self.is_settled()
            || self.search.is_some()
            || is_adding(app)
            || self.graph_from.is_some()
            || self.due.is_none() && is_playing(app)
    }

    /// Works for a moment.
    pub fn work(&mut self, app: &mut App) {
        let begin = Instant::now();
        while self.has_work(app) && begin.elapsed() < SLICE {
            self.step(app);
        }
        self.tell(app);
    }

    fn step(&mut self, app: &mut App) {
        match self.way {
            Way::Back(from, left) => {
                let before = self.timeline.previous(from).filter(|_| left > 1);
                match before {
                    Some(before) => self.way = Way::Back(before, left - 1),
                    None => self.begin(app, from),
                }
            }
            Way::On(at) => {
                self.add(app, at);
                self.way = match self.timeline.next(at).filter(|_| at < self.target) {
                    Some(next) => Way::On(next),
                    None => Way::There,
                };
            }
            Way::There if !self.summed || is_adding(app) => self.sum(app),
            Way::There if self.search.is_some() => self.search(app),
            Way::There if self.graph_from.is_some() => self.look_back(app),
            Way::There => self.due = Some(self.next_due(app)),
        }
    }

    /// Starts again with this sample.
    fn begin(&mut self, app: &mut App, at: Position) {
        app.forget();
        self.end = None;
        let interval = self.sample(at).map(|sample| sample.interval);
        // Intervals can't show a shorter silence.
        self.rule.idle = WakeRule::default().idle.max(interval.unwrap_or_default());
        app.idle = self.rule.idle;
        self.wakes = Wakes::new(self.rule);
        self.graph_from = Some(at);
        self.way = Way::On(at);
    }

    /// Adds a sample to the state.
    fn add(&mut self, app: &mut App, at: Position) {
        let decoded = self.timeline.decode(at.frame);
        let moments = decoded.samples.iter().map(moment);
        self.moments
            .entry(at.frame)
            .or_insert_with(|| moments.collect());
        let Some(sample) = decoded.samples.get(at.sample) else {
            return;
        };
        let mut sample = sample.clone();
        if let Some(replay) = &mut app.replay {
            replay.gap = self.end.and_then(|end| Gap::before(&sample, end));
            replay.number = self.timeline.number(at);
        }
        self.end = Some(sample.time);
        // They are not recorded, but follow from what is.
        sample.wakes = self.wakes.look(&sample, false, |_| {});
        let name = |device| {
            let known = decoded.names.get(&device).cloned();
            known.unwrap_or_else(|| format!("{}:{}", device.0, device.1).into())
        };
        as_wanted(&mut sample, &self.wanted, name);
        app.know(&sample, &decoded.names);
        app.totals = None;
        app.sample(sample);
    }

    /// Adds up totals if they are shown.
    fn sum(&mut self, app: &mut App) {
        if app.settings.figures == Figures::Rates {
            self.summed = true;
            return;
        }
        let Some(total) = self.sums.step(&mut self.timeline, self.target) else {
            return;
        };
        let since = self.since();
        app.totals = since.map(|since| (since, None, total));
        app.show(Past::Kept);
        self.summed = true;
    }

    fn search(&mut self, app: &mut App) {
        let Some(search) = &mut self.search else {
            return;
        };
        match search.step(&mut self.timeline) {
            Found::NotYet => {}
            Found::At(at) => {
                self.search = None;
                self.set_target(at);
            }
            Found::Nothing => {
                app.say(match search.is_forward() {
                    true => "there is no later spike in the recording",
                    false => "there is no earlier spike in the recording",
                });
                self.search = None;
            }
        }
    }

    /// Adds to the left of the machine's graph what one more frame has.
    fn look_back(&mut self, app: &mut App) {
        let Some(from) = self.graph_from.take() else {
            return;
        };
        if app.history.len() >= GRAPH {
            return;
        }
        let (frame, until) = match (from.sample, from.frame.checked_sub(1)) {
            (0, None) => return,
            (0, Some(before)) => (before, usize::MAX),
            (until, _) => (from.frame, until),
        };
        let moments = self.moments.entry(frame).or_insert_with(|| {
            let decoded = self.timeline.decode(frame);
            decoded.samples.iter().map(moment).collect()
        });
        for moment in moments.iter().take(until).rev() {
            app.history.push_front(*moment);
        }
        self.graph_from = Some(Position { frame, sample: 0 });
    }
}

/// Whether totals are to be shown but not there.
pub(super) fn is_adding(app: &App) -> bool {
    app.settings.figures != Figures::Rates && app.totals.is_none()
}
