//! What the mouse does.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};

use crate::{
    tui::state::{
        app::{App, Effect},
        pages::Page,
    },
    view::Sort,
};

/// Lines that one turn of the mouse wheel moves.
const WHEEL: usize = 3;

impl App {
    /// Handles a mouse event.
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
            Page::Log | Page::Wakes => {
                let at = self.drawn.first + line;
                let again = self.place().at == at;
                if at >= self.drawn.length {
                    return;
                }
                if let Some(place) = self.places.last_mut() {
                    place.at = at;
                }
                if again {
                    self.enter();
                }
            }
            Page::Columns => {
                let at = self.drawn.first + line;
                if at >= self.drawn.length {
                    return;
                }
                let again = self.place().at == at;
                if let Some(place) = self.places.last_mut() {
                    place.at = at;
                }
                if again {
                    self.toggle_choice();
                }
            }
            _ => {}
        }
    }
}
