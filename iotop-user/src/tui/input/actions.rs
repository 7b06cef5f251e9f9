//! Handles keys.

use std::path::Path;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::keys::{Action, action};
use crate::{
    cli::GroupBy,
    host::kernel::sysctls,
    tui::{
        sampler::Request,
        state::{
            app::{App, Effect, Past},
            columns,
            pages::Page,
            prompt::{Asked, Prompt, Typed},
            replaying::Go,
            rows::wanted_rows,
            settings::{Figures, Graph, Settings},
        },
    },
    view::{Direction, FIELDS, Sort},
};

impl App {
    /// Handles a key.
    pub fn key(&mut self, event: KeyEvent) -> Option<Effect> {
        if event.modifiers.contains(KeyModifiers::ALT) {
            // A terminal sends Esc followed quickly by a key as Alt and that key.
            self.key(KeyCode::Esc.into());
            let modifiers = event.modifiers.difference(KeyModifiers::ALT);
            return self.key(KeyEvent { modifiers, ..event });
        }
        if self.prompt.is_some() {
            return self.type_key(event);
        }
        self.message = None;
        if self.place().page == Page::Columns && self.menu_key(event) {
            return None;
        }
        let action = action(event, self.replay.is_some())?;
        if self.replay.is_some() && action.is_of_machine() {
            self.say("that key changes the running machine, and this is a recording");
            return None;
        }
        let page = &self.place().page;
        if action == Action::Only && *page == Page::Log {
            self.only_others = !self.only_others;
            if let Some(log) = self.places.last_mut() {
                log.at = 0;
            }
            return None;
        }
        if *page != Page::Table && action.is_of_table() {
            self.say("that key works only in the table; Esc goes back to it");
            return None;
        }
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
            Action::Wakes => self.toggle_page(Page::Wakes),
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
            Action::Columns => self.toggle_page(Page::Columns),
            Action::SortBy => {
                let sort = self.settings.sort.as_ref();
                self.ask(
                    Asked::SortBy,
                    sort.map_or(String::new(), ToString::to_string),
                );
            }
            Action::Unfold => self.fold(true),
            Action::Fold => self.fold(false),
            Action::Search => self.ask(Asked::Search, String::new()),
            Action::SearchNext => self.search(1),
            Action::SearchPrevious => self.search(-1),
            // Handled in `key`, which knows the digit.
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
                let mut users = self.users();
                let names: Vec<String> = match &self.replay {
                    Some(replay) => names.map(|uid| replay.user(*uid)).collect(),
                    None => names.map(|uid| users.name(*uid).to_string()).collect(),
                };
                self.ask(Asked::Users, names.join(", "));
            }
            Action::Pids => {
                let pids: Vec<String> = self.scope.pids.iter().map(|p| p.pid.to_string()).collect();
                self.ask(Asked::Pids, pids.join(", "));
            }
            Action::Device => {
                let device = self.scope.device.as_ref();
                self.ask(
                    Asked::Device,
                    device.map_or(String::new(), |device| device.wanted.join(", ")),
                );
            }
            Action::Delay => self.ask(Asked::Delay, String::new()),
            Action::Priority => match self.selected_task() {
                Some(_) => self.ask(Asked::Priority, String::new()),
                None => {
                    self.say("only tasks have an I/O priority: press b until the rows are threads or processes")
                }
            },
            Action::Freeze => {
                if self.frozen {
                    self.go_on(Past::Other);
                }
                self.frozen = !self.frozen;
            }
            Action::DelayAccounting => self.say(sysctls::about_delays(Path::new("/proc"))),
            Action::Save => self.save(),
            Action::SampleBack => return Some(Effect::Go(Go::By(-1))),
            Action::SampleForward => return Some(Effect::Go(Go::By(1))),
            Action::TenBack => return Some(Effect::Go(Go::By(-10))),
            Action::TenForward => return Some(Effect::Go(Go::By(10))),
            Action::Time => self.ask(Asked::Time, String::new()),
            Action::Play => return Some(Effect::Go(Go::Play)),
            Action::Faster => return Some(Effect::Go(Go::Faster)),
            Action::NextSpike => return Some(Effect::Go(Go::Spike { forward: true })),
            Action::PreviousSpike => return Some(Effect::Go(Go::Spike { forward: false })),
        }
        None
    }

    /// Changes a setting, and what the collector is asked for if that depends on it.
    fn set(&mut self, change: impl FnOnce(&mut Settings)) -> Option<Effect> {
        let before = (wanted_rows(&self.settings), self.settings.group_by);
        change(&mut self.settings);
        let past = match before.1 == self.settings.group_by {
            true => Past::Kept,
            false => Past::Other,
        };
        self.show(past);
        let now = wanted_rows(&self.settings);
        (before.0 != now).then_some(Effect::Ask(Request::Rows(now)))
    }

    fn group(&mut self, next: impl FnOnce(GroupBy) -> GroupBy) -> Option<Effect> {
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
            // Those of a recording are since its start, and are added up by its player.
            _ if self.totals.is_none() && self.replay.is_none() => self.count_from_now(),
            _ => {}
        }
        self.show(Past::Kept);
    }

    pub(super) fn next_graph(&mut self) {
        self.settings.graph = match self.settings.graph {
            Graph::Caused => Graph::Read,
            Graph::Read => Graph::Dirtied,
            Graph::Dirtied => Graph::Io,
            Graph::Io => Graph::Off,
            Graph::Off => Graph::Caused,
        };
        self.say(format!("graphs show {}", self.graph().about()));
    }

    pub(super) fn sort(&mut self, sort: Option<Sort>) {
        self.settings.sort = sort;
        self.selected = None;
        self.first = 0;
        self.show(Past::Kept);
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

    pub(super) fn reverse(&mut self) {
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
            KeyCode::Char(c) => c.to_digit(10),
            _ => None,
        };
        let all = columns::all(&self.settings, self.known());
        let at = digit.and_then(|digit| (digit as usize).checked_sub(1));
        // The last column is the row's name, which always stays.
        let Some(field) = at
            .and_then(|at| all.get(at))
            .filter(|_| at != Some(all.len() - 1))
        else {
            self.say("no column that can be hidden has this number");
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
        // The sort column always shows.
        if hidden && columns::sorted(&self.settings) == Some(field) {
            self.sort(None);
        }
        self.say(format!(
            "{} is {}; 0 shows all columns",
            field.header,
            if hidden { "hidden" } else { "shown" }
        ));
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
                // A filter and a search apply while they are typed, a filter as soon as it is valid.
                let at_once = matches!(prompt.asked, Asked::Filter | Asked::Search);
                if at_once && self.answer(&prompt).is_ok() {
                    self.message = None;
                }
                None
            }
            Typed::Cancelled => {
                self.prompt = None;
                if prompt.asked == Asked::Filter {
                    let before = self.before_prompt.clone();
                    self.rescope(|scope| *scope = before);
                }
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
}

fn neighbour(by: GroupBy, step: isize) -> GroupBy {
    const ALL: [GroupBy; 10] = [
        GroupBy::Thread,
        GroupBy::Process,
        GroupBy::Command,
        GroupBy::Parents,
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
