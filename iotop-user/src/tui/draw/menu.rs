//! Draws the menu of columns, below the first rows of the table.

use ratatui::{
    style::Modifier,
    text::{Line, Span},
};

use super::{
    BAR, BOLD, CHOSEN, Canvas, DIM, shortened,
    table::{self, first},
};
use crate::tui::state::{
    app::App,
    columns::{Column, fitting},
    menu::choices,
    places::Places,
};

/// At most this many rows of the table stay visible.
const ROWS: u16 = 4;
/// Smallest width on which a column without room is explained.
const NARROW: u16 = 60;

pub(super) fn draw(canvas: &mut Canvas<'_, '_>, app: &App, bottom: u16) -> Places {
    // What a choice does is seen at once.
    let rows = (bottom.saturating_sub(canvas.y) / 4).min(ROWS);
    let title = canvas.y + 1 + rows;
    table::draw(canvas, app, title);
    canvas.y = title;
    let width = canvas.area.width;
    let by = app.settings.group_by.name();
    let text = format!("COLUMNS by {by}  (g changes HISTORY)");
    let text = format!("{text:<width$}", width = usize::from(width));
    canvas.line(Line::styled(text, BOLD.add_modifier(Modifier::UNDERLINED)));
    let choices = choices(&app.settings, app.known());
    let lines = usize::from(bottom.saturating_sub(canvas.y));
    let chosen = app.place().at.min(choices.len().saturating_sub(1));
    let places = Places {
        top: canvas.y,
        lines,
        length: choices.len(),
        first: first(app.drawn.first, chosen, lines, choices.len()),
        ..Places::default()
    };
    let fitting = fitting(&app.settings, app.known(), &app.busy, width);
    let has_room = |field| {
        fitting
            .iter()
            .any(|(known, _)| *known == Column::Field(field))
    };
    let choices = choices.into_iter().enumerate().skip(places.first);
    for (at, choice) in choices.take(lines) {
        let mark = if choice.shown { "[x]" } else { "[ ]" };
        let name = format!(" {mark} {:<14} ", choice.field.header);
        let about = match choice.shown && !has_room(choice.field) {
            true if width < NARROW => "(no room)".to_owned(),
            true => format!("(no room) {}", choice.field.about),
            false => choice.field.about.to_owned(),
        };
        let taken = name.len();
        let room = usize::from(width - BAR).saturating_sub(taken);
        let about = shortened(&about, room, canvas.theme);
        canvas.line(match at == chosen {
            true => Line::styled(format!("{name}{about}"), CHOSEN),
            false => Line::from(vec![Span::raw(name), Span::styled(about, DIM)]),
        });
    }
    canvas.scrollbar(&places);
    places
}
