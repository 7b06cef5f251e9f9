//! The keys, the columns, and what is missing.

use ratatui::text::{Line, Span};

use super::{BOLD, DIM, Tone, columns, theme::Theme};
use crate::tui::{app::App, keys::KEYS};

pub(super) fn lines(app: &App, theme: Theme, width: u16) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for notice in &app.machine.notices {
        let alarm = theme.tone(Tone::Alarm);
        for line in wrapped(&theme.text(notice), usize::from(width).saturating_sub(2)) {
            lines.push(Line::styled(format!("! {line}"), alarm));
        }
    }
    lines.push(Line::styled("KEYS", BOLD));
    for key in KEYS {
        lines.push(Line::from(vec![
            Span::styled(format!("  {:<14}", key.label), BOLD),
            Span::raw(key.help),
        ]));
    }
    lines.push(Line::raw(
        "  Mouse: a row chooses it, again opens it; a column's name sorts by it.",
    ));
    lines.push(Line::raw(""));
    lines.push(Line::styled(
        "COLUMNS (iotop-trace --help has all for --fields)",
        BOLD,
    ));
    for (at, field) in columns::all(&app.settings, app.known()).iter().enumerate() {
        lines.push(Line::from(vec![
            Span::styled(format!("  {:<2}{:<13}", at + 1, field.header), BOLD),
            Span::raw(field.about),
        ]));
    }
    lines.push(Line::styled(
        "  Exited tasks are dimmed; they stay until their dirty pages are written, and for 30 s.",
        DIM,
    ));
    lines
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines
}
