//! Pages, and how one moves from one to another and on them.

use super::{
    app::App,
    rows::{RowKey, Shown},
};
use crate::cli::GroupBy;

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

static TABLE: Place = Place {
    page: Page::Table,
    at: 0,
};

impl App {
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

    /// The selected row's place among the rows.
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

    pub(in crate::tui) fn page_length(&self) -> isize {
        isize::try_from(self.drawn.lines.max(2) - 1).unwrap_or(1)
    }

    pub(in crate::tui) fn step(&mut self, by: isize) {
        let length = match self.place().page {
            Page::Table => self.shown.as_ref().map_or(0, |shown| shown.rows.len()),
            Page::Log => self.entries().count(),
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

    pub(in crate::tui) fn select(&mut self, at: usize) {
        let Some(shown) = &self.shown else { return };
        let row = shown.rows.get(at);
        self.selected = row.map(|row| RowKey::of(shown.row(row)));
    }
}
