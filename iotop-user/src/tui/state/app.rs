//! The live view's state, and what a sample does to it. Drawing only reads it.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};

use super::{
    busy::Busy,
    columns::{self, Known},
    detail::{Detail, Target, detail},
    gone::Gone,
    history::Histories,
    lately::Lately,
    log::{Entry, Log},
    pages::{Page, Place},
    places::Places,
    prompt::Prompt,
    recent::Recent,
    replaying::{Go, Replaying},
    rows::{RowKey, Scope, Show},
    settings::{Figures, Graph, Settings},
    shown::Shown,
    wakes::{WakeLog, Woken},
};
use crate::{
    host::{Notice, devices::DeviceNames, helper::Helper, identity::Users, io_max::IoMax},
    output::process_ended,
    sample::{Lost, Number, Sample, Task, WakeRule},
    tui::sampler::Request,
    view::{Accumulator, Kept, Row, sort},
};

/// Number of intervals kept for the machine's graph.
const HISTORY: usize = 600;

/// What the whole machine wrote in one interval: a point of the machine's graph.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    /// How long it was.
    pub length: Duration,
    /// Bytes written per second.
    pub write: u64,
    /// The part of `write` that has an owner.
    pub owned: u64,
}

/// Intervals that are not shown yet. They pile up while the screen is frozen.
#[derive(Debug, Default)]
struct Held {
    interval: Option<Arc<Sample>>,
    moments: Vec<Moment>,
    entries: usize,
    wakes: usize,
}

/// What to do with the rows' histories when the rows are rebuilt.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::tui) enum Past {
    /// Keep them: same rows, same interval.
    Kept,
    /// Append a point: one more interval.
    Longer,
    /// Rebuild them: other rows, or several new intervals.
    Other,
    /// Rebuild them: rows of the same kind in another part of the machine.
    Rescoped,
}

/// What a key asks the main loop to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Effect {
    /// Send a request to the collector.
    Ask(Request),
    /// Redraw the whole screen.
    Redraw,
    /// Stop the process, as job control does.
    Suspend,
    /// Go elsewhere in the recording.
    Go(Go),
    /// End the program.
    Quit,
}

/// What is missing on this machine, and where the configuration file is.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// What is missing and why.
    pub notices: Vec<Notice>,
    /// The tasks' numbers are valid in our own /proc: we are not in a PID namespace
    /// other than the first.
    pub own_pids: bool,
    /// Path of the configuration file.
    pub settings_path: Option<PathBuf>,
    /// The process that reads and writes it, and knows the users.
    pub helper: Option<Arc<Helper>>,
}

/// The state of the live view.
pub struct App {
    /// How things are shown.
    pub settings: Settings,
    /// Which tasks and devices are shown.
    pub scope: Scope,
    /// What is missing on this machine.
    pub machine: Surroundings,
    /// The last interval.
    pub interval: Option<Arc<Sample>>,
    /// While totals are counted: since when, their accumulator, and the sums so far. Those of a
    /// recording are added up elsewhere.
    pub totals: Option<(Timestamp, Option<Accumulator>, Arc<Sample>)>,
    /// The rows on the screen.
    pub shown: Option<Shown>,
    /// The last intervals of each row.
    pub histories: Histories,
    /// The last intervals of the whole machine.
    pub history: VecDeque<Moment>,
    /// Recent flushes and spikes.
    pub log: Log,
    /// Recent wake-ups of disks.
    pub wake_log: WakeLog,
    /// How long a disk must be silent before a wake-up.
    pub idle: Duration,
    /// Content of the open detail page.
    pub detail: Detail,
    /// Stack of open pages, the current one last.
    pub places: Vec<Place>,
    /// The selected row of the table; `None` selects whichever row is first.
    pub selected: Option<RowKey>,
    /// The folds that are open.
    pub open_folds: HashSet<RowKey>,
    /// The rows whose branches of the tree are closed.
    pub closed: HashSet<RowKey>,
    /// The first row that is visible.
    pub first: usize,
    /// The line that the user is typing.
    pub prompt: Option<Prompt>,
    /// The text that the user searches for.
    pub searched: String,
    /// What the last key did, or why it could not; shown in the footer.
    pub message: Option<String>,
    /// The screen is frozen.
    pub frozen: bool,
    /// What came in while it is.
    held: Held,
    /// Everything that was lost since the start.
    pub lost: Lost,
    /// What was lost lately.
    pub lately: Lately,
    /// Which columns had anything to show lately.
    pub busy: Busy,
    /// Time zone of the times on the screen.
    pub zone: TimeZone,
    /// Where things were drawn last, for the mouse and for paging.
    pub drawn: Places,
    /// Whether an `io.max` limit holds back any cgroup with I/O.
    pub io_max: IoMax,
    gone: Gone,
    recent: Recent,
    devices: DeviceNames,
    pub(in crate::tui) before_prompt: Scope,
    /// The page of flushes lists only spikes and what was written for others.
    pub only_others: bool,
    /// The recording that is shown instead of the running machine.
    pub replay: Option<Replaying>,
}

impl App {
    /// The state before the first sample.
    pub fn new(settings: Settings, scope: Scope, machine: Surroundings, zone: TimeZone) -> App {
        App {
            settings,
            before_prompt: scope.clone(),
            only_others: false,
            replay: None,
            scope,
            machine,
            interval: None,
            totals: None,
            shown: None,
            histories: Histories::default(),
            history: VecDeque::new(),
            log: Log::new(zone.clone()),
            wake_log: WakeLog::new(zone.clone()),
            idle: WakeRule::default().idle,
            detail: Detail::default(),
            places: vec![Place {
                page: Page::Table,
                at: 0,
            }],
            selected: None,
            open_folds: HashSet::new(),
            closed: HashSet::new(),
            first: 0,
            prompt: None,
            searched: String::new(),
            message: None,
            frozen: false,
            held: Held::default(),
            lost: Lost::default(),
            lately: Lately::default(),
            busy: Busy::default(),
            zone,
            drawn: Places::default(),
            io_max: IoMax::default(),
            gone: Gone::default(),
            recent: Recent::default(),
            devices: DeviceNames::new(Path::new("/sys")),
        }
    }

    /// The names of users.
    pub(in crate::tui) fn users(&self) -> Users {
        Users::of(self.machine.helper.clone())
    }

    /// Adds an interval. A frozen screen does not change.
    pub fn sample(&mut self, sample: Sample) {
        self.lost = self.lost + sample.system.lost;
        if let Some(device) = &mut self.scope.device {
            match &self.replay {
                Some(replay) => drop(replay.names.look_up(device)),
                None => device.look(Path::new("/sys")),
            }
        }
        for pid in self.scope.follow(&sample) {
            self.say(process_ended(pid));
        }
        for unanswered in &sample.unanswered {
            self.say(unanswered.to_string());
        }
        self.lately.add(sample.time, sample.system.lost);
        if self.machine.notices.iter().any(Notice::is_about_io_max) {
            let busy = sample.tasks.iter().filter(|task| task.did_io());
            self.io_max
                .look(busy.filter_map(|task| task.cgroup.as_deref()));
        }
        let histories = &self.histories;
        self.gone
            .add(&sample, |key| histories.has(&RowKey::Task(*key)));
        self.recent.add(&sample, &mut self.devices, self.frozen);
        let new = self.log.add(&sample);
        self.held.wakes += self.wake_log.add(&sample);
        if let Some((_, Some(accumulator), sum)) = &mut self.totals {
            let mut total = sample.clone();
            accumulator.add(&mut total);
            *sum = Arc::new(total);
        }
        self.held.moments.push(moment(&sample));
        self.held.entries += new;
        self.held.interval = Some(Arc::new(sample));
        if !self.frozen {
            self.go_on(Past::Longer);
        }
    }

    /// Learns the names in a sample of a recording.
    pub(in crate::tui) fn know(&mut self, sample: &Sample, names: &HashMap<Number, Arc<str>>) {
        let Some(replay) = &mut self.replay else {
            return;
        };
        replay.names.add(sample, names);
        for (device, name) in names {
            self.devices.know(*device, name.clone());
        }
    }

    /// Forgets all intervals: those of another part of a recording follow.
    pub(in crate::tui) fn forget(&mut self) {
        self.interval = None;
        self.totals = None;
        self.shown = None;
        self.histories = Histories::default();
        self.history.clear();
        self.log.entries.clear();
        self.wake_log.entries.clear();
        self.held = Held::default();
        self.lost = Lost::default();
        self.lately = Lately::default();
        self.busy = Busy::default();
        self.gone = Gone::default();
        self.recent = Recent::default();
        for place in &mut self.places {
            // The entries that come are other ones.
            if matches!(place.page, Page::Log | Page::Wakes) {
                place.at = 0;
            }
        }
    }

    /// Shows the intervals that are not shown yet.
    pub(in crate::tui) fn go_on(&mut self, past: Past) {
        self.recent.go_on();
        let held = std::mem::take(&mut self.held);
        self.history.extend(held.moments);
        let too_many = self.history.len().saturating_sub(HISTORY);
        self.history.drain(..too_many);
        if let Some(log) = self.places.iter_mut().find(|place| place.page == Page::Log)
            && (log.at != 0 || self.frozen)
        {
            let new = self.log.entries.iter().take(held.entries);
            let seen = new
                .filter(|entry| !self.only_others || entry.others)
                .count();
            // Keep the same entry selected although newer ones come above it.
            log.at = (log.at + seen).min(self.log.entries.len().saturating_sub(1));
        }
        let wakes = self.places.iter_mut();
        if let Some(wakes) = wakes.into_iter().find(|place| place.page == Page::Wakes)
            && (wakes.at != 0 || self.frozen)
        {
            let last = self.wake_log.entries.len().saturating_sub(1);
            wakes.at = (wakes.at + held.wakes).min(last);
        }
        // Free the old rows before the new ones are built.
        self.shown = None;
        self.interval = held.interval.or(self.interval.take());
        self.show(past);
    }

    /// The flushes and spikes that are shown, newest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        let from = self.held.entries.min(self.log.entries.len());
        let entries = self.log.entries.range(from..);
        entries.filter(|entry| !self.only_others || entry.others)
    }

    /// The wake-ups that are shown, newest first.
    pub fn wakes(&self) -> impl Iterator<Item = &Woken> {
        let from = self.held.wakes.min(self.wake_log.entries.len());
        self.wake_log.entries.range(from..)
    }

    /// What this machine can measure.
    pub fn known(&self) -> Known {
        let system = self.interval.as_ref().map(|sample| &sample.system);
        Known {
            delays: system.is_none_or(|system| system.counted.blkio_delay_ns.is_some()),
            blocks: system.is_none_or(|system| system.block.is_some()),
            everywhere: self.scope.device.is_none(),
        }
    }

    /// What the rows' graphs show.
    pub fn graph(&self) -> Graph {
        columns::graph(&self.settings, self.known())
    }

    /// Whether the rows show totals instead of rates.
    pub fn has_totals(&self) -> bool {
        self.settings.figures == Figures::Totals && self.totals.is_some()
    }

    /// Rebuilds the rows.
    pub(in crate::tui) fn show(&mut self, past: Past) {
        let Some(interval) = &self.interval else {
            return;
        };
        // Totals only grow, so the graphs are made from the interval's rates.
        let rates = Settings {
            figures: Figures::Rates,
            ..self.settings.clone()
        };
        let mut show = Show {
            settings: &self.settings,
            scope: &self.scope,
            gone: &self.gone,
            recent: &self.recent,
            devices: &mut self.devices,
            open: &self.open_folds,
            closed: &self.closed,
        };
        let totals = self.totals.as_ref().map(|(_, _, sum)| sum);
        let mut shown = show.look(interval, totals, &self.histories);
        match past {
            Past::Kept => {}
            Past::Longer => self.histories.step(),
            Past::Other => self.histories = show.histories(&shown.sample),
            Past::Rescoped => {
                let rebuilt = show.histories(&shown.sample);
                self.histories = rebuilt.with_older(&self.histories);
            }
        }
        if past != Past::Kept {
            let apart = self.settings.figures == Figures::Totals && totals.is_some();
            let interval = apart.then(|| {
                show.settings = &rates;
                let rates = show.look(interval, None, &self.histories);
                show.settings = &self.settings;
                rates
            });
            let sample = &interval.as_ref().unwrap_or(&shown).sample;
            self.histories.set(sort::rows(sample).into_iter());
        }
        show.order(&mut shown, &self.histories);
        let columns = columns::all(&self.settings, self.known());
        let rows = shown.rows.iter().map(|row| shown.row(row));
        self.busy.look(shown.sample.time, rows, columns.into_iter());
        self.shown = Some(shown);
        self.look_closer();
    }

    /// Updates the open detail page.
    pub(in crate::tui) fn look_closer(&mut self) {
        if let Some(Place {
            page: Page::Detail(key, by),
            ..
        }) = self.places.last()
        {
            self.detail = detail(&self.recent, &Target { key, by: *by });
        }
    }

    /// The task of the selected row, if the row is a task.
    pub fn selected_task(&self) -> Option<&Task> {
        let shown = self.shown.as_ref()?;
        let row = match &self.place().page {
            Page::Detail(key, _) => shown.rows.get(shown.place(key)?)?,
            _ => shown.rows.get(self.selected_at())?,
        };
        shown.row(row).task()
    }

    /// The row of a detail page, if it still exists.
    pub fn detailed(&self, key: &RowKey) -> Option<Row<'_>> {
        let shown = self.shown.as_ref()?;
        let row = shown.rows.get(shown.place(key)?)?;
        Some(shown.row(row))
    }

    /// The sum that the row of a detail page has in the tree, if others are below it.
    pub fn detailed_branch(&self, key: &RowKey) -> Option<Row<'_>> {
        let shown = self.shown.as_ref()?;
        let row = shown.rows.get(shown.place(key)?)?;
        shown.is_branch(row).then(|| shown.figures(row))
    }

    /// Changes the scope and rebuilds the rows.
    pub(in crate::tui) fn rescope(&mut self, change: impl FnOnce(&mut Scope)) {
        let device = self.scope.device.clone();
        change(&mut self.scope);
        self.first = 0;
        self.show(match device == self.scope.device {
            true => Past::Rescoped,
            false => Past::Other,
        });
    }

    /// Restarts the totals with the interval that is shown.
    pub fn count_from_now(&mut self) {
        let Some(mut first) = self.interval.as_deref().cloned() else {
            return;
        };
        let mut accumulator = Accumulator::new(Kept::All);
        let since = first.time;
        accumulator.add(&mut first);
        self.totals = Some((since, Some(accumulator), Arc::new(first)));
    }

    /// Shows a message in the footer.
    pub fn say(&mut self, message: impl Into<String>) {
        self.message = Some(message.into());
    }

    /// The configured time between two samples.
    pub fn delay(&self) -> Duration {
        Duration::try_from_secs_f64(self.settings.delay).unwrap_or(Duration::from_secs(1))
    }
}

/// What a sample adds to the machine's graph.
pub(in crate::tui) fn moment(sample: &Sample) -> Moment {
    let seconds = sample.interval.as_secs_f64().max(0.001);
    let rate = |bytes: u64| (bytes as f64 / seconds) as u64;
    let block = sample.system.block.as_ref();
    Moment {
        length: sample.interval,
        write: rate(block.map_or(sample.system.pgpgout_bytes.unwrap_or(0), |b| b.write)),
        owned: rate(block.map_or(0, |b| b.attributed + b.shared)),
    }
}
