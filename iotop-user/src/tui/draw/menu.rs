//! Draws the menu of columns, below the first rows of the table.

use ratatui::{
    style::Modifier,
    text::{Line, Span},
};

use super::{
    BOLD, CHOSEN, Canvas, DIM, start_of,
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
        let room = match choice.shown && !has_room(choice.field) {
            true => "(no room) ",
            false => "",
        };
        let name = format!(" {mark} {:<16} ", choice.field.header);
        let about = format!("{room}{}", choice.field.about);
        let taken = name.len();
        let (about, _) = start_of(&about, usize::from(width - 1).saturating_sub(taken));
        canvas.line(match at == chosen {
            true => Line::styled(format!("{name}{about}"), CHOSEN),
            false => Line::from(vec![Span::raw(name), Span::styled(about.to_owned(), DIM)]),
        });
    }
    canvas.scrollbar(&places);
    places
}
