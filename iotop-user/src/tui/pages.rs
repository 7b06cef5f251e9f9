//! Pages, and how one moves from one to another and on them.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};

use super::{
    app::{App, Effect},
    rows::{RowKey, Shown},
};
use crate::{cli::GroupBy, view::Sort};

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

    pub(super) fn toggle_page(&mut self, page: Page) {
        if self.place().page == page {
            self.back();
        } else if !self.places.iter().any(|place| place.page == page) {
            self.open(page);
        }
    }

    pub(super) fn back(&mut self) {
        if self.places.len() > 1 {
            self.places.pop();
            self.look_closer();
        }
    }

    pub(super) fn enter(&mut self) {
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

    pub(super) fn page_length(&self) -> isize {
        isize::try_from(self.drawn.lines.max(2) - 1).unwrap_or(1)
    }

    pub(super) fn step(&mut self, by: isize) {
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

    fn select(&mut self, at: usize) {
        let Some(shown) = &self.shown else { return };
        let row = shown.rows.get(at);
        self.selected = row.map(|row| RowKey::of(shown.row(row)));
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
                if at >= self.entries().count() {
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
}
