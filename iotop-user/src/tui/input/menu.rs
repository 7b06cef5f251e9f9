//! The keys of the menu of columns.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::tui::state::{app::App, columns::sorted, menu};

impl App {
    /// Handles a key of the menu. Returns false for a key that has its usual meaning.
    pub(super) fn menu_key(&mut self, event: KeyEvent) -> bool {
        let shift = event.modifiers.contains(KeyModifiers::SHIFT);
        match event.code {
            KeyCode::Char(' ') => self.toggle_choice(),
            KeyCode::Up if shift => self.shift_choice(-1),
            KeyCode::Down if shift => self.shift_choice(1),
            KeyCode::Left | KeyCode::F(7) | KeyCode::Char('<' | 'K' | '[') => self.shift_choice(-1),
            KeyCode::Right | KeyCode::F(8) | KeyCode::Char('>' | 'J' | ']') => self.shift_choice(1),
            KeyCode::Char('0') => {
                menu::reset(&mut self.settings);
                self.say("these are the usual columns");
            }
            KeyCode::Char('g' | 'G') => self.next_graph(),
            KeyCode::Enter | KeyCode::F(2) => self.back(),
            _ => return false,
        }
        true
    }

    /// Shows or hides the selected column.
    pub(super) fn toggle_choice(&mut self) {
        let (at, known) = (self.place().at, self.known());
        let before = menu::choices(&self.settings, known);
        let to = menu::toggle(&mut self.settings, known, at);
        // The sort column always shows.
        if let Some(choice) = before.get(at)
            && to.is_ok()
            && choice.shown
            && sorted(&self.settings) == Some(choice.field)
        {
            self.sort(None);
        }
        self.choose(to);
    }

    /// Moves the selected column.
    fn shift_choice(&mut self, by: isize) {
        let (at, known) = (self.place().at, self.known());
        let to = menu::shift(&mut self.settings, known, at, by);
        self.choose(to);
    }

    /// Selects a line, or says why nothing was done.
    fn choose(&mut self, line: Result<usize, menu::Fixed>) {
        match (line, self.places.last_mut()) {
            (Ok(at), Some(place)) => place.at = at,
            (Ok(_), None) => {}
            (Err(fixed), _) => self.say(fixed.to_string()),
        }
    }
}
