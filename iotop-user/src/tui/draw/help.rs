//! The keys, the columns, and what is missing.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::{BOLD, DIM, Tone, theme::Theme, wrapped};
use crate::{
    output::{losses_named, nameless},
    tui::{
        input::keys::KEYS,
        state::{app::App, columns},
    },
};

pub(super) fn lines(app: &App, theme: Theme, width: u16) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let width = usize::from(width);
    let mut say = |text: &str, style: Style| {
        let text = wrapped(&theme.text(text), width, "  ");
        lines.extend(text.into_iter().map(|line| Line::styled(line, style)));
    };
    if let Some(lost) = losses_named(&app.lost) {
        let text = format!("! lost so far: {lost}; figures are incomplete");
        say(&text, theme.tone(Tone::Alarm));
    }
    for notice in &app.machine.notices {
        say(&format!("! {notice}"), Style::new());
    }
    if let Some(names) = nameless(&app.lately.sum()) {
        say(&format!("in the last minute: {names}"), Style::new());
    }
    lines.push(Line::styled("KEYS", BOLD));
    for key in KEYS {
        lines.push(Line::from(vec![
            Span::styled(format!("  {:<14}", key.label), BOLD),
            Span::raw(key.help),
        ]));
    }
    lines.push(Line::raw(
        "  Mouse: click a row to select it, again to open it; a column's name to sort by it.",
    ));
    lines.push(Line::raw(""));
    lines.push(Line::styled(
        "COLUMNS (iotop-trace --help has all for --fields)",
        BOLD,
    ));
    for (at, field) in columns::all(&app.settings, app.known()).iter().enumerate() {
        lines.push(Line::from(vec![
            Span::styled(format!("  {:>2} {:<13}", at + 1, field.header), BOLD),
            Span::raw(field.about),
        ]));
    }
    lines.push(Line::styled(
        "  Exited tasks are dimmed; they stay until their dirty pages are written, and for 30 s.",
        DIM,
    ));
    lines
}
