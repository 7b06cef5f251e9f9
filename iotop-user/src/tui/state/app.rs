//! The live view's state, and what a sample does to it. Drawing only reads it.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};

use super::{
    columns::Known,
    detail::{Detail, Target, detail},
    gone::Gone,
    history::Histories,
    log::{Entry, Log},
    pages::{Page, Place},
    places::Places,
    prompt::Prompt,
    recent::Recent,
    rows::{RowKey, Scope, Show, Shown},
    settings::{Figures, Graph, Settings},
};
use crate::{
    host::{Notice, devices::DeviceNames, io_max::IoMax},
    sample::{Lost, Sample, Task},
    tui::sampler::Request,
    view::{Accumulator, Kept, Row, sort},
};

/// Intervals of the machine's history.
const HISTORY: usize = 600;

/// One interval of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    /// How long it was.
    pub length: Duration,
    /// Bytes written a second.
    pub write: u64,
    /// Of those what has an owner.
    pub owned: u64,
}

/// What happened while the screen stands still.
#[derive(Debug, Default)]
struct Held {
    interval: Option<Arc<Sample>>,
    moments: Vec<Moment>,
    entries: usize,
}

/// What becomes of the rows' histories when the rows are made anew.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::tui) enum Past {
    /// They are of the same rows and intervals.
    Kept,
    /// There is another interval.
    Longer,
    /// They are other rows, or several intervals came.
    Other,
}

/// What a key wants from outside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Effect {
    /// Something of the collector.
    Ask(Request),
    /// Everything drawn anew.
    Redraw,
    /// To be stopped.
    Suspend,
    /// The end.
    Quit,
}

/// What the machine allows.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// What is missing and why.
    pub notices: Vec<Notice>,
    /// The numbers of tasks are those of our own /proc.
    pub own_pids: bool,
    /// Where the configuration is kept.
    pub settings_path: Option<PathBuf>,
}

/// The state.
pub struct App {
    /// How things are shown.
    pub settings: Settings,
    /// Of what.
    pub scope: Scope,
    /// What the machine allows.
    pub machine: Surroundings,
    /// The last interval.
    pub interval: Option<Arc<Sample>>,
    /// Totals, and since when.
    pub totals: Option<(Timestamp, Accumulator, Arc<Sample>)>,
    /// The rows on the screen.
    pub shown: Option<Shown>,
    /// What they did lately.
    pub histories: Histories,
    /// The machine's.
    pub history: VecDeque<Moment>,
    /// The flushes and spikes.
    pub log: Log,
    /// What the open detail says.
    pub detail: Detail,
    /// Where one is, and below it where one came from.
    pub places: Vec<Place>,
    /// The selected row of the table; none: whichever is first.
    pub selected: Option<RowKey>,
    /// The first row that is visible.
    pub first: usize,
    /// The line that is typed.
    pub prompt: Option<Prompt>,
    /// What the last key did, or could not do.
    pub message: Option<String>,
    /// The screen stands still.
    pub frozen: bool,
    /// What happened while it does.
    held: Held,
    /// All that was lost.
    pub lost: Lost,
    /// Where times are.
    pub zone: TimeZone,
    /// Where things were drawn.
    pub drawn: Places,
    /// Whether `io.max` holds anybody back.
    pub io_max: IoMax,
    gone: Gone,
    recent: Recent,
    devices: DeviceNames,
    pub(in crate::tui) before_prompt: Scope,
    /// Of the flushes only those for others, and spikes.
    pub only_others: bool,
}

impl App {
    /// Before the first sample.
    pub fn new(settings: Settings, scope: Scope, machine: Surroundings, zone: TimeZone) -> App {
        App {
            settings,
            before_prompt: scope.clone(),
            only_others: false,
            scope,
            machine,
            interval: None,
            totals: None,
            shown: None,
            histories: Histories::default(),
            history: VecDeque::new(),
            log: Log::new(zone.clone()),
            detail: Detail::default(),
            places: vec![Place {
                page: Page::Table,
                at: 0,
            }],
            selected: None,
            first: 0,
            prompt: None,
            message: None,
            frozen: false,
            held: Held::default(),
            lost: Lost::default(),
            zone,
            drawn: Places::default(),
            io_max: IoMax::default(),
            gone: Gone::default(),
            recent: Recent::default(),
            devices: DeviceNames::new(Path::new("/sys")),
        }
    }

    /// Takes in an interval.
    pub fn sample(&mut self, sample: Sample) {
        self.lost = self.lost + sample.system.lost;
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
        if let Some((_, accumulator, sum)) = &mut self.totals {
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

    /// Shows what was held back.
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
            // What is chosen is followed.
            log.at = (log.at + seen).min(self.log.entries.len().saturating_sub(1));
        }
        // The rows before are not needed to make the new ones.
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

    /// What is known on this machine.
    pub fn known(&self) -> Known {
        let system = self.interval.as_ref().map(|sample| &sample.system);
        Known {
            delays: system.is_none_or(|system| system.counted.blkio_delay_ns.is_some()),
            blocks: system.is_none_or(|system| system.block.is_some()),
        }
    }

    /// What the rows' graphs show: without eBPF nobody knows who caused a write.
    pub fn graph(&self) -> Graph {
        match self.settings.graph {
            Graph::Caused if !self.known().blocks => Graph::Dirtied,
            graph => graph,
        }
    }

    /// Whether the rows are totals.
    pub fn has_totals(&self) -> bool {
        self.settings.figures == Figures::Totals && self.totals.is_some()
    }

    /// Makes the rows anew.
    pub(in crate::tui) fn show(&mut self, past: Past) {
        let Some(interval) = &self.interval else {
            return;
        };
        // Totals only ever grow: what makes a graph is the interval.
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
        };
        let totals = self.totals.as_ref().map(|(_, _, sum)| sum);
        let mut shown = show.look(interval, totals, &self.histories);
        match past {
            Past::Kept => {}
            Past::Longer => self.histories.step(),
            Past::Other => self.histories = show.histories(&shown.sample),
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
        self.shown = Some(shown);
        self.look_closer();
    }

    /// Brings the open detail up to date.
    pub(in crate::tui) fn look_closer(&mut self) {
        if let Some(Place {
            page: Page::Detail(key, by),
            ..
        }) = self.places.last()
        {
            self.detail = detail(&self.recent, &Target { key, by: *by });
        }
    }

    /// The task of the selected row, if it is one.
    pub fn selected_task(&self) -> Option<&Task> {
        let shown = self.shown.as_ref()?;
        let row = match &self.place().page {
            Page::Detail(key, _) => shown.rows.get(shown.place(key)?)?,
            _ => shown.rows.get(self.selected_at())?,
        };
        shown.row(row).task()
    }

    /// The row that a detail is of, as long as it is there.
    pub fn detailed(&self, key: &RowKey) -> Option<Row<'_>> {
        let shown = self.shown.as_ref()?;
        let row = shown.rows.get(shown.place(key)?)?;
        Some(shown.row(row))
    }

    /// Makes the rows anew after the scope changed.
    pub(in crate::tui) fn rescope(&mut self, change: impl FnOnce(&mut Scope)) {
        change(&mut self.scope);
        self.first = 0;
        self.show(Past::Other);
    }

    /// Totals begin with the interval that is shown.
    pub fn count_from_now(&mut self) {
        let Some(mut first) = self.interval.as_deref().cloned() else {
            return;
        };
        let mut accumulator = Accumulator::new(Kept::All);
        let since = first.time;
        accumulator.add(&mut first);
        self.totals = Some((since, accumulator, Arc::new(first)));
    }

    /// Says something below the table.
    pub fn say(&mut self, message: impl Into<String>) {
        self.message = Some(message.into());
    }

    /// The interval, as it is wanted.
    pub fn delay(&self) -> Duration {
        Duration::try_from_secs_f64(self.settings.delay).unwrap_or(Duration::from_secs(1))
    }
}

fn moment(sample: &Sample) -> Moment {
    let seconds = sample.interval.as_secs_f64().max(0.001);
    let rate = |bytes: u64| (bytes as f64 / seconds) as u64;
    let block = sample.system.block.as_ref();
    Moment {
        length: sample.interval,
        write: rate(block.map_or(sample.system.pgpgout_bytes.unwrap_or(0), |b| b.write)),
        owned: rate(block.map_or(0, |b| b.attributed + b.shared)),
    }
}
