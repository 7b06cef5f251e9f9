//! The live view's state, and what samples and keys do to it. Drawing only
//! reads it.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crossterm::event::{KeyEvent, MouseButton, MouseEvent, MouseEventKind};
use jiff::{Timestamp, tz::TimeZone};

use super::{
    detail::{Detail, Target, detail},
    draw::{
        Places,
        columns::{self, Known},
    },
    gone::Gone,
    history::Histories,
    keys::{Action, action},
    log::{Entry, Log},
    prompt::{Asked, Prompt, Typed},
    recent::Recent,
    rows::{RowKey, Scope, Show, Shown, wanted_rows},
    sampler::Request,
    settings::{Figures, Graph, Settings},
};
use crate::{
    cli::GroupBy,
    collect::{Accumulator, Kept, Lost, Sample, Task, devices::DeviceNames, sum_lost},
    output::{Direction, FIELDS, Row, Sort},
};

/// Intervals of the machine's history.
const HISTORY: usize = 600;
/// How many lines a turn of the wheel is.
const WHEEL: usize = 3;

/// What is on the screen.
#[derive(Clone, Debug, PartialEq)]
pub enum Page {
    /// The rows.
    Table,
    /// One of them.
    Detail(RowKey, GroupBy),
    /// The flushes and spikes.
    Log,
    /// One of them.
    Entry(Vec<String>),
    /// The keys.
    Help,
}

/// A page and how far it was moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// The page.
    pub page: Page,
    /// The selected line, or on pages without one the first that is visible.
    pub at: usize,
}

/// One interval of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
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
pub struct Machine {
    /// What is missing and why.
    pub notices: Vec<String>,
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
    pub machine: Machine,
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
    gone: Gone,
    recent: Recent,
    devices: DeviceNames,
    before_prompt: Scope,
}

impl App {
    /// Before the first sample.
    pub fn new(settings: Settings, scope: Scope, machine: Machine, zone: TimeZone) -> App {
        App {
            settings,
            before_prompt: scope.clone(),
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
            gone: Gone::default(),
            recent: Recent::default(),
            devices: DeviceNames::new(Path::new("/sys")),
        }
    }

    /// Where one is.
    pub fn place(&self) -> &Place {
        // The table is never left.
        self.places.last().unwrap_or(&TABLE)
    }

    /// Shows another page.
    pub fn open(&mut self, page: Page) {
        self.places.push(Place { page, at: 0 });
        self.look_closer();
    }

    /// Takes in an interval.
    pub fn sample(&mut self, sample: Sample) {
        self.lost = sum_lost(&self.lost, &sample.system.lost);
        let histories = &self.histories;
        self.gone
            .add(&sample, |key| histories.has(&RowKey::Task(*key)));
        self.recent.add(&sample, &mut self.devices);
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
            self.go_on();
            self.remember();
        }
    }

    /// Shows what was held back.
    fn go_on(&mut self) {
        let held = std::mem::take(&mut self.held);
        self.history.extend(held.moments);
        let too_many = self.history.len().saturating_sub(HISTORY);
        self.history.drain(..too_many);
        if let Some(log) = self.places.iter_mut().find(|place| place.page == Page::Log)
            && (log.at != 0 || self.frozen)
        {
            log.at = (log.at + held.entries).min(self.log.entries.len().saturating_sub(1));
        }
        // The rows before are not needed to make the new ones.
        self.shown = None;
        self.interval = held.interval.or(self.interval.take());
        self.show();
    }

    /// The flushes and spikes that are shown, newest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        let from = self.held.entries.min(self.log.entries.len());
        self.log.entries.range(from..)
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
    fn show(&mut self) {
        let Some(interval) = &self.interval else {
            return;
        };
        let show = Show {
            settings: &self.settings,
            scope: &self.scope,
            gone: &self.gone,
            histories: &self.histories,
            recent: &self.recent,
            devices: &mut self.devices,
        };
        let totals = self.totals.as_ref().map(|(_, _, sum)| sum);
        self.shown = Some(show.rows(interval, totals));
        self.look_closer();
    }

    /// Takes the interval's rows into the histories.
    fn remember(&mut self) {
        let Some(interval) = &self.interval else {
            return;
        };
        // Totals only ever grow: what makes a graph is the interval.
        let settings = Settings {
            figures: Figures::Rates,
            ..self.settings.clone()
        };
        let rates;
        let shown = match (self.settings.figures, &self.shown) {
            (Figures::Rates | Figures::Both, Some(shown)) => shown,
            _ => {
                rates = Show {
                    settings: &settings,
                    scope: &self.scope,
                    gone: &self.gone,
                    histories: &self.histories,
                    recent: &self.recent,
                    devices: &mut self.devices,
                }
                .rows(interval, None);
                &rates
            }
        };
        let rows = shown.rows.iter().map(|row| shown.row(row));
        self.histories.add(rows.map(|row| (RowKey::of(row), row)));
    }

    /// Brings the open detail up to date.
    fn look_closer(&mut self) {
        if let Some(Place {
            page: Page::Detail(key, by),
            ..
        }) = self.places.last()
        {
            self.detail = detail(&self.recent, &Target { key, by: *by });
        }
    }

    /// The selected row's place among the rows.
    pub fn selected_at(&self) -> usize {
        let place = |shown: &Shown| shown.place(self.selected.as_ref()?);
        self.shown.as_ref().and_then(place).unwrap_or(0)
    }

    /// Takes a key.
    pub fn key(&mut self, event: KeyEvent) -> Option<Effect> {
        if self.prompt.is_some() {
            return self.type_key(event);
        }
        self.message = None;
        let action = action(event)?;
        if action == Action::Column {
            self.toggle_column(event);
            return None;
        }
        self.act(action)
    }

    fn act(&mut self, action: Action) -> Option<Effect> {
        match action {
            Action::Quit => return Some(Effect::Quit),
            Action::Redraw => return Some(Effect::Redraw),
            Action::Suspend => return Some(Effect::Suspend),
            Action::Refresh => return Some(Effect::Ask(Request::Now)),
            Action::Help => self.toggle_page(Page::Help),
            Action::Why => self.toggle_page(Page::Log),
            Action::Back => self.back(),
            Action::Open => self.enter(),
            Action::Up => self.step(-1),
            Action::Down => self.step(1),
            Action::PageUp => self.step(-self.page_length()),
            Action::PageDown => self.step(self.page_length()),
            Action::First => self.step(isize::MIN),
            Action::Last => self.step(isize::MAX),
            Action::SortLeft => self.sort_by_neighbour(-1),
            Action::SortRight => self.sort_by_neighbour(1),
            Action::SortUsual => self.sort(None),
            Action::Reverse => self.reverse(),
            Action::Only => return self.set(|settings| settings.only = !settings.only),
            Action::Processes => {
                return self.group(|by| match by {
                    GroupBy::Process => GroupBy::Thread,
                    _ => GroupBy::Process,
                });
            }
            Action::GroupNext => return self.group(|by| neighbour(by, 1)),
            Action::GroupPrevious => return self.group(|by| neighbour(by, -1)),
            Action::Tree => return self.set(|settings| settings.tree = !settings.tree),
            Action::Exited => return self.set(|settings| settings.exited = !settings.exited),
            Action::Figures => self.next_figures(),
            Action::CommandLine => self.settings.command_line = !self.settings.command_line,
            Action::Kilobytes => self.settings.kilobytes = !self.settings.kilobytes,
            Action::Graph => self.next_graph(),
            Action::AllColumns => self.settings.hidden.clear(),
            // Which one is in the key.
            Action::Column => {}
            Action::Filter => {
                let filter = self.scope.filter.as_ref();
                self.ask(
                    Asked::Filter,
                    filter.map_or(String::new(), ToString::to_string),
                );
            }
            Action::Users => {
                let names = self.scope.uids.iter();
                let mut users = crate::identity::Users::default();
                let names: Vec<String> = names.map(|uid| users.name(*uid).to_string()).collect();
                self.ask(Asked::Users, names.join(", "));
            }
            Action::Pids => {
                let pids: Vec<String> = self.scope.pids.iter().map(u32::to_string).collect();
                self.ask(Asked::Pids, pids.join(", "));
            }
            Action::Device => {
                let device = self.scope.device.as_ref();
                self.ask(
                    Asked::Device,
                    device.map_or(String::new(), |d| d.name.clone()),
                );
            }
            Action::Delay => self.ask(Asked::Delay, String::new()),
            Action::Priority => match self.selected_task() {
                Some(_) => self.ask(Asked::Priority, String::new()),
                None => self.say("an I/O priority is of a task: go to one (b changes the rows)"),
            },
            Action::Freeze => {
                if self.frozen {
                    self.go_on();
                }
                self.frozen = !self.frozen;
            }
            Action::DelayAccounting => self.toggle_delays(),
            Action::Save => self.save(),
        }
        None
    }

    fn toggle_page(&mut self, page: Page) {
        if self.place().page == page {
            self.back();
        } else if !self.places.iter().any(|place| place.page == page) {
            self.open(page);
        }
    }

    fn back(&mut self) {
        if self.places.len() > 1 {
            self.places.pop();
            self.look_closer();
        }
    }

    fn enter(&mut self) {
        match &self.place().page {
            Page::Table => {
                let at = self.selected_at();
                let Some(shown) = &self.shown else { return };
                let Some(row) = shown.rows.get(at) else {
                    return;
                };
                let key = RowKey::of(shown.row(row));
                self.selected = Some(key.clone());
                self.open(Page::Detail(key, self.settings.group_by));
            }
            Page::Log => {
                let entry = self.entries().nth(self.place().at);
                if let Some(text) = entry.map(|entry| entry.text.clone()) {
                    self.open(Page::Entry(text));
                }
            }
            Page::Detail(..) | Page::Entry(_) | Page::Help => {}
        }
    }

    fn page_length(&self) -> isize {
        isize::try_from(self.drawn.lines.max(2) - 1).unwrap_or(1)
    }

    fn step(&mut self, by: isize) {
        let length = match self.place().page {
            Page::Table => self.shown.as_ref().map_or(0, |shown| shown.rows.len()),
            Page::Log => self.entries().len(),
            // Of a text the first line moves.
            _ => self.drawn.length.saturating_sub(self.drawn.lines) + 1,
        };
        let last = length.saturating_sub(1);
        let moved = |at: usize| at.saturating_add_signed(by).min(last);
        if self.place().page != Page::Table {
            if let Some(place) = self.places.last_mut() {
                place.at = moved(place.at);
            }
            return;
        }
        self.select(moved(self.selected_at()));
        if by == isize::MIN {
            // Whichever is first, not the one that is now.
            self.selected = None;
        }
    }

    fn select(&mut self, at: usize) {
        let Some(shown) = &self.shown else { return };
        let row = shown.rows.get(at);
        self.selected = row.map(|row| RowKey::of(shown.row(row)));
    }

    /// Changes what is asked of the collector, too.
    fn set(&mut self, change: impl FnOnce(&mut Settings)) -> Option<Effect> {
        let before = wanted_rows(&self.settings);
        change(&mut self.settings);
        self.show();
        let now = wanted_rows(&self.settings);
        (before != now).then_some(Effect::Ask(Request::Rows(now)))
    }

    fn group(&mut self, next: impl FnOnce(GroupBy) -> GroupBy) -> Option<Effect> {
        self.histories = Histories::default();
        self.selected = None;
        self.first = 0;
        let by = next(self.settings.group_by);
        self.set(|settings| settings.group_by = by)
    }

    fn next_figures(&mut self) {
        self.settings.figures = match self.settings.figures {
            Figures::Rates => Figures::Totals,
            Figures::Totals => Figures::Both,
            Figures::Both => Figures::Rates,
        };
        match self.settings.figures {
            Figures::Rates => self.totals = None,
            _ if self.totals.is_none() => self.count_from_now(),
            _ => {}
        }
        self.show();
    }

    /// Totals begin with the interval that is shown.
    pub fn count_from_now(&mut self) {
        let mut accumulator = Accumulator::new(Kept::All);
        let Some(mut first) = self.interval.as_deref().cloned() else {
            return;
        };
        let since = first.time;
        accumulator.add(&mut first);
        self.totals = Some((since, accumulator, Arc::new(first)));
    }

    fn next_graph(&mut self) {
        self.settings.graph = match self.settings.graph {
            Graph::Caused => Graph::Read,
            Graph::Read => Graph::Dirtied,
            Graph::Dirtied => Graph::Io,
            Graph::Io => Graph::Off,
            Graph::Off => Graph::Caused,
        };
        let shows = match self.graph() {
            Graph::Caused => "bytes written because of it",
            Graph::Read => "bytes read from storage",
            Graph::Dirtied => "page cache made dirty, and direct writes",
            Graph::Io => "time spent waiting for block I/O",
            Graph::Off => "nothing",
        };
        self.say(format!("graphs show {shows}"));
    }

    fn sort(&mut self, sort: Option<Sort>) {
        self.settings.sort = sort;
        self.selected = None;
        self.first = 0;
        self.show();
    }

    fn sort_by_neighbour(&mut self, by: isize) {
        let columns = columns::fields(&self.settings, self.known());
        let now = self.settings.sort.as_ref().map(|sort| sort.field);
        let now = now.and_then(|field| columns.iter().position(|column| *column == field));
        let at = match now {
            Some(at) => at.saturating_add_signed(by).min(columns.len() - 1),
            None => columns::usual_sort(&columns),
        };
        if let Some(field) = columns.get(at) {
            self.sort(Some(Sort {
                field,
                direction: None,
            }));
        }
    }

    fn reverse(&mut self) {
        let columns = columns::fields(&self.settings, self.known());
        let usual = || Sort {
            field: columns
                .get(columns::usual_sort(&columns))
                .copied()
                .unwrap_or(&FIELDS[0]),
            direction: None,
        };
        let sort = self.settings.sort.clone().unwrap_or_else(usual);
        let direction = match sort.direction {
            Some(Direction::Rising) => Direction::Falling,
            Some(Direction::Falling) => Direction::Rising,
            None if sort.field.is_word() => Direction::Falling,
            None => Direction::Rising,
        };
        self.sort(Some(Sort {
            direction: Some(direction),
            ..sort
        }));
    }

    fn toggle_column(&mut self, event: KeyEvent) {
        let digit = match event.code {
            crossterm::event::KeyCode::Char(c) => c.to_digit(10),
            _ => None,
        };
        let all = columns::all(&self.settings, self.known());
        let at = digit.and_then(|digit| (digit as usize).checked_sub(1));
        // The last one is the row's name.
        let Some(field) = at
            .and_then(|at| all.get(at))
            .filter(|_| at != Some(all.len() - 1))
        else {
            self.say("there is no such column to hide");
            return;
        };
        let hidden = &mut self.settings.hidden;
        match hidden.iter().position(|hidden| hidden == field) {
            Some(at) => {
                hidden.remove(at);
            }
            None => hidden.push(field),
        }
        let hidden = hidden.contains(field);
        self.say(format!(
            "{} is {}; 0 shows all columns",
            field.header,
            if hidden { "hidden" } else { "shown" }
        ));
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

    fn ask(&mut self, asked: Asked, text: String) {
        self.before_prompt = self.scope.clone();
        self.prompt = Some(Prompt::new(asked, text));
    }

    fn type_key(&mut self, event: KeyEvent) -> Option<Effect> {
        let prompt = self.prompt.as_mut()?;
        let typed = prompt.key(event);
        let prompt = prompt.clone();
        self.message = None;
        match typed {
            Typed::More => {
                // What is found so far is seen while one types.
                if prompt.asked == Asked::Filter && self.answer(&prompt).is_ok() {
                    self.message = None;
                }
                None
            }
            Typed::Cancelled => {
                self.prompt = None;
                self.scope = self.before_prompt.clone();
                self.show();
                None
            }
            Typed::Done => match self.answer(&prompt) {
                Ok(effect) => {
                    self.prompt = None;
                    effect
                }
                Err(wrong) => {
                    self.say(wrong);
                    None
                }
            },
        }
    }

    /// Makes the rows anew after the scope changed.
    pub(super) fn rescope(&mut self, change: impl FnOnce(&mut Scope)) {
        change(&mut self.scope);
        self.first = 0;
        self.histories = Histories::default();
        self.show();
    }

    /// Says something below the table.
    pub fn say(&mut self, message: impl Into<String>) {
        self.message = Some(message.into());
    }

    /// Takes the mouse.
    pub fn mouse(&mut self, event: MouseEvent) -> Option<Effect> {
        if self.prompt.is_some() {
            return None;
        }
        let wheel = isize::try_from(WHEEL).unwrap_or(1);
        match event.kind {
            MouseEventKind::ScrollUp => self.step(-wheel),
            MouseEventKind::ScrollDown => self.step(wheel),
            MouseEventKind::Down(MouseButton::Left) => self.click(event.column, event.row),
            _ => {}
        }
        None
    }

    fn click(&mut self, x: u16, y: u16) {
        self.message = None;
        if self.place().page == Page::Table && self.drawn.head == Some(y) {
            if let Some(field) = self.drawn.column_at(x) {
                match self.settings.sort.as_ref().map(|sort| sort.field) {
                    Some(now) if now == field => self.reverse(),
                    _ => self.sort(Some(Sort {
                        field,
                        direction: None,
                    })),
                }
            }
            return;
        }
        let Some(line) = self.drawn.line_at(y) else {
            return;
        };
        match self.place().page {
            Page::Table => {
                let at = self.first + line;
                let rows = self.shown.as_ref().map_or(0, |shown| shown.rows.len());
                if at >= rows {
                    return;
                }
                let again = self.selected.is_some() && self.selected_at() == at;
                self.select(at);
                if again {
                    self.enter();
                }
            }
            Page::Log => {
                let at = self.drawn.first + line;
                let again = self.place().at == at;
                if at >= self.entries().len() {
                    return;
                }
                if let Some(place) = self.places.last_mut() {
                    place.at = at;
                }
                if again {
                    self.enter();
                }
            }
            _ => {}
        }
    }

    /// The interval, as it is wanted.
    pub fn delay(&self) -> Duration {
        Duration::try_from_secs_f64(self.settings.delay).unwrap_or(Duration::from_secs(1))
    }
}

static TABLE: Place = Place {
    page: Page::Table,
    at: 0,
};

fn neighbour(by: GroupBy, step: isize) -> GroupBy {
    const ALL: [GroupBy; 8] = [
        GroupBy::Thread,
        GroupBy::Process,
        GroupBy::User,
        GroupBy::Cgroup,
        GroupBy::Unit,
        GroupBy::Container,
        GroupBy::Device,
        GroupBy::File,
    ];
    let at = ALL.iter().position(|one| *one == by).unwrap_or(0);
    ALL[(at + ALL.len()).wrapping_add_signed(step) % ALL.len()]
}

fn moment(sample: &Sample) -> Moment {
    let seconds = sample.interval.as_secs_f64().max(0.001);
    let rate = |bytes: u64| (bytes as f64 / seconds) as u64;
    let block = sample.system.block.as_ref();
    Moment {
        write: rate(block.map_or(sample.system.pgpgout_bytes.unwrap_or(0), |b| b.write)),
        owned: rate(block.map_or(0, |b| b.attributed + b.shared)),
    }
}
