//! A line that the user types.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use unicode_width::UnicodeWidthChar as _;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A regular expression.
    Filter,
    /// Users.
    Users,
    /// Processes.
    Pids,
    /// Devices.
    Device,
    /// Seconds.
    Delay,
    /// An I/O priority.
    Priority,
    /// A text that a row has.
    Search,
    /// A field to sort by.
    SortBy,
    /// A time in a recording.
    Time,
}

impl Asked {
    /// The label before the line.
    pub fn label(self) -> &'static str {
        match self {
            Asked::Filter => "Commands that match (regular expression; empty: all): ",
            Asked::Users => "Users (names or UIDs, comma-separated; empty: all): ",
            Asked::Pids => "Processes (PIDs, comma-separated; empty: all): ",
            Asked::Device => "Devices (sda or 8:0, comma-separated; empty: all): ",
            Asked::Delay => "Refresh interval in seconds: ",
            Asked::Search => "Search: ",
            Asked::Time => "Go to (14:30, -1h, 2026-11-28 14:30, start, end): ",
            Asked::SortBy => "Sort by (a field as --sort takes it; empty: busiest first): ",
            Asked::Priority => "I/O priority (be/0 to be/7, rt/0 to rt/7, idle, none): ",
        }
    }
}

/// The line so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// What is asked for.
    pub asked: Asked,
    /// What was typed.
    pub text: String,
}

/// What a key did to the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    /// The user is still typing.
    More,
    /// The line is complete.
    Done,
    /// The user cancelled it.
    Cancelled,
}

impl Prompt {
    /// A prompt with an initial text.
    pub fn new(asked: Asked, text: String) -> Prompt {
        Prompt { asked, text }
    }

    /// Handles a key.
    pub fn key(&mut self, event: KeyEvent) -> Typed {
        let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
        match event.code {
            KeyCode::Enter => return Typed::Done,
            KeyCode::Esc => return Typed::Cancelled,
            KeyCode::Char('c' | 'g') if ctrl => return Typed::Cancelled,
            KeyCode::Char('u') if ctrl => self.text.clear(),
            KeyCode::Char('w') if ctrl => {
                let kept = self
                    .text
                    .trim_end_matches([' ', ','])
                    .rfind([' ', ','])
                    .map_or(0, |at| at + 1);
                self.text.truncate(kept);
            }
            KeyCode::Char('h') if ctrl => self.backspace(),
            KeyCode::Backspace => self.backspace(),
            // A character without a width would be invisible in the line.
            KeyCode::Char(c) if !ctrl && c.width().unwrap_or(0) != 0 => self.text.push(c),
            _ => {}
        }
        Typed::More
    }

    fn backspace(&mut self) {
        self.text.pop();
    }

    /// The words between the commas.
    pub fn words(&self) -> Vec<String> {
        let words = self.text.split(',').map(str::trim);
        words
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_typed_corrected_and_ended() {
        let mut prompt = Prompt::new(Asked::Users, String::new());
        let mut key = |code, modifiers| prompt.key(KeyEvent::new(code, modifiers));
        for c in "root, x,y\u{301}".chars() {
            assert_eq!(key(KeyCode::Char(c), KeyModifiers::NONE), Typed::More);
        }
        key(KeyCode::Backspace, KeyModifiers::NONE);
        assert_eq!(key(KeyCode::Enter, KeyModifiers::NONE), Typed::Done);
        assert_eq!(prompt.words(), ["root", "x"]);
        prompt.key(KeyEvent::new(KeyCode::Char('w'), KeyModifiers::CONTROL));
        assert_eq!(prompt.text, "root, ");
        prompt.key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL));
        assert_eq!(prompt.text, "");
        let end = prompt.key(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE));
        assert_eq!(end, Typed::Cancelled);
    }
}
