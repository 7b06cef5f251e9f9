//! The keys, the columns, and what is missing.

use ratatui::{
    style::Style,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr as _;

use super::{BOLD, DIM, Tone, header::losses, start_of, theme::Theme, wrapped};
use crate::{
    output::nameless,
    tui::{
        input::keys::{Action, KEYS, REPLAY_KEYS, label_in_replay},
        state::{app::App, columns, settings::Graph},
    },
};

pub(super) fn lines(app: &App, theme: Theme, width: u16) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let width = usize::from(width);
    let mut say = |text: &str, style: Style| {
        let text = wrapped(&theme.text(text), width, "  ");
        lines.extend(text.into_iter().map(|line| Line::styled(line, style)));
    };
    if let Some(text) = losses(app) {
        say(&text, theme.tone(Tone::Alarm));
    }
    for notice in &app.machine.notices {
        say(&format!("! {notice}"), Style::new());
    }
    if let Some(names) = nameless(&app.lately.sum()) {
        say(&format!("in the last minute: {names}"), Style::new());
    }
    lines.push(Line::styled("KEYS", BOLD));
    let mut key = |label: &str, help| entry(format!("  {label:<13}"), help, width, &mut lines);
    match app.replay {
        None => KEYS.iter().for_each(|one| key(one.label, one.help)),
        Some(_) => {
            REPLAY_KEYS.iter().for_each(|one| key(one.label, one.help));
            for one in KEYS {
                let help = match one.action {
                    Action::Figures => "show rates, totals since the start of the span, or both",
                    _ => one.help,
                };
                if let Some(label) = label_in_replay(one) {
                    key(&label, help);
                }
            }
        }
    }
    let mouse = "click a row to select it, again to open it; a column's name to sort by it";
    entry(format!("  {:<13}", "Mouse"), mouse, width, &mut lines);
    lines.push(Line::raw(""));
    let title = "COLUMNS (iotop-trace --help has all for --fields)";
    lines.push(Line::styled(start_of(title, width).0, BOLD));
    for (at, field) in columns::all(&app.settings, app.known()).iter().enumerate() {
        let label = format!("  {:>2} {:<12}", at + 1, field.header);
        entry(label, field.about, width, &mut lines);
    }
    if app.graph() != Graph::Off {
        let about = format!(
            "a graph of the row's last intervals, the newest to the right: {}; {} changes it",
            app.graph().about(),
            if app.replay.is_some() { 'G' } else { 'g' },
        );
        entry(format!("     {:<12}", "HISTORY"), &about, width, &mut lines);
    }
    let exited =
        "Exited tasks are dimmed; they stay until their dirty pages are written, and for 30 s.";
    let exited = wrapped(exited, width.saturating_sub(2), "");
    lines.extend(
        exited
            .into_iter()
            .map(|line| Line::styled(format!("  {line}"), DIM)),
    );
    lines
}

/// A key or column, and what it is, wrapped beside it.
fn entry(label: String, about: &str, width: usize, lines: &mut Vec<Line<'static>>) {
    let indent = " ".repeat(label.width() + 1);
    let room = width.saturating_sub(indent.len());
    for (n, text) in wrapped(about, room, "").into_iter().enumerate() {
        lines.push(match n {
            0 => Line::from(vec![
                Span::styled(format!("{label} "), BOLD),
                Span::raw(text),
            ]),
            _ => Line::raw(format!("{indent}{text}")),
        });
    }
}
