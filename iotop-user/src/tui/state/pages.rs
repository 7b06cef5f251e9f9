//! The pages, and how keys move between and within them.

use super::{
    app::{App, Past},
    menu::choices,
    rows::RowKey,
    shown::Shown,
};
use crate::{
    cli::GroupBy,
    collect::Chosen,
    sample::TaskKey,
    view::{Row, fields::command},
};

/// What is on the screen.
#[derive(Clone, Debug, PartialEq)]
pub enum Page {
    /// The table of rows.
    Table,
    /// One row in detail.
    Detail(RowKey, GroupBy),
    /// The flushes and spikes.
    Log,
    /// The wake-ups of disks.
    Wakes,
    /// One flush, spike or wake-up in full.
    Entry(Vec<String>),
    /// The menu of columns.
    Columns,
    /// The help.
    Help,
}

/// A page and the position on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// The page.
    pub page: Page,
    /// The selected line; on pages without a selection, the first visible line.
    pub at: usize,
}

static TABLE: Place = Place {
    page: Page::Table,
    at: 0,
};

impl App {
    /// The current page.
    pub fn place(&self) -> &Place {
        // `places` is never empty: the table always stays at the bottom of the stack.
        self.places.last().unwrap_or(&TABLE)
    }

    /// Opens a page on top of the current one.
    pub fn open(&mut self, page: Page) {
        self.places.push(Place { page, at: 0 });
        self.look_closer();
    }

    /// Opens the page of a process.
    pub fn open_process(&mut self, process: &Chosen) {
        let Some(start_boottime) = process.start() else {
            return;
        };
        let key = RowKey::Task(TaskKey {
            tid: process.pid,
            start_boottime,
        });
        self.selected = Some(key.clone());
        self.open(Page::Detail(key, GroupBy::Process));
    }

    /// Index of the selected row.
    pub fn selected_at(&self) -> usize {
        let place = |shown: &Shown| shown.place(self.selected.as_ref()?);
        self.shown.as_ref().and_then(place).unwrap_or(0)
    }

    pub(in crate::tui) fn toggle_page(&mut self, page: Page) {
        if self.place().page == page {
            self.back();
        } else if !self.places.iter().any(|place| place.page == page) {
            self.open(page);
        }
    }

    pub(in crate::tui) fn back(&mut self) {
        if self.places.len() > 1 {
            self.places.pop();
            self.look_closer();
        }
    }

    pub(in crate::tui) fn enter(&mut self) {
        match &self.place().page {
            Page::Table => {
                let at = self.selected_at();
                let Some(shown) = &self.shown else { return };
                let Some(row) = shown.rows.get(at) else {
                    return;
                };
                let key = shown.key(row);
                if matches!(key, RowKey::Fold(..)) {
                    return self.toggle_fold(key);
                }
                self.selected = Some(key.clone());
                self.open(Page::Detail(key, self.settings.group_by));
            }
            Page::Log => {
                let entry = self.entries().nth(self.place().at);
                if let Some(text) = entry.map(|entry| entry.text.clone()) {
                    self.open(Page::Entry(text));
                }
            }
            Page::Wakes => {
                let woken = self.wakes().nth(self.place().at);
                if let Some(text) = woken.map(|woken| woken.text.clone()) {
                    self.open(Page::Entry(text));
                }
            }
            Page::Detail(..) | Page::Entry(_) | Page::Columns | Page::Help => {}
        }
    }

    pub(in crate::tui) fn page_length(&self) -> isize {
        isize::try_from(self.drawn.lines.max(2) - 1).unwrap_or(1)
    }

    pub(in crate::tui) fn step(&mut self, by: isize) {
        let length = match self.place().page {
            Page::Table => self.shown.as_ref().map_or(0, |shown| shown.rows.len()),
            Page::Log => self.entries().count(),
            Page::Wakes => self.wakes().count(),
            Page::Columns => choices(&self.settings, self.known()).len(),
            // On a page of text, the position is the first visible line.
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
            // Home selects whichever row is first from now on, not the row that is
            // first now.
            self.selected = None;
        }
    }

    pub(in crate::tui) fn select(&mut self, at: usize) {
        let Some(shown) = &self.shown else { return };
        let row = shown.rows.get(at);
        self.selected = row.map(|row| shown.key(row));
    }

    /// Selects the next row that has the searched text: 1 below the selected one, -1 above
    /// it; 0 starts with the selected one.
    pub(in crate::tui) fn search(&mut self, step: isize) {
        let text = self.searched.to_lowercase();
        let Some(shown) = self.shown.as_ref().filter(|_| !text.is_empty()) else {
            return;
        };
        let length = shown.rows.len();
        let has = |at: &usize| match shown.row(&shown.rows[*at]) {
            Row::Task(task) => [&task.comm, &*command(task)]
                .iter()
                .any(|name| name.to_lowercase().contains(&text)),
            Row::Group(group) => {
                let name = group.name.as_deref();
                name.is_some_and(|name| name.to_lowercase().contains(&text))
            }
        };
        let start = self.selected_at();
        let from_start = |n: usize| match step {
            -1 => (start + length - 1 - n) % length,
            step => (start + step.unsigned_abs() + n) % length,
        };
        match (0..length).map(from_start).find(has) {
            Some(at) => self.select(at),
            None => self.say(format!("no row has \"{}\"", self.searched)),
        }
    }

    /// Opens a fold, or closes it.
    fn toggle_fold(&mut self, fold: RowKey) {
        if !self.open_folds.remove(&fold) {
            self.open_folds.insert(fold.clone());
        }
        self.selected = Some(fold);
        self.show(Past::Kept);
    }

    /// Opens the selected fold, or closes the one that the selected row is part of. In the
    /// tree, opens or closes the selected row's branch.
    pub(in crate::tui) fn fold(&mut self, open: bool) {
        let Some(shown) = &self.shown else { return };
        let Some(row) = shown.rows.get(self.selected_at()) else {
            return;
        };
        let fold = shown.fold_of(row).cloned();
        let key = shown.key(row);
        match fold {
            Some(fold) if self.open_folds.contains(&fold) != open => self.toggle_fold(fold),
            Some(_) => {}
            None if self.settings.tree && self.settings.group_by.by().is_none() => {
                match open {
                    true => self.closed.remove(&key),
                    false => self.closed.insert(key.clone()),
                };
                self.selected = Some(key);
                self.show(Past::Kept);
            }
            None => self.say("only exited tasks of one name, and branches of the tree (t), close"),
        }
    }
}
