//! Draws the table of rows.

use ratatui::{
    style::{Modifier, Style},
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr as _;

use super::{BAR, BOLD, Canvas, DIM, Tone, chosen_line, graph, shortened, start_of, theme::Theme};
use crate::{
    cli::GroupBy,
    escape::task_name,
    output::{cell::Scale, units},
    tui::state::{
        app::App,
        columns::{Column, fields, fitting, graph_header, sorted, total_header, usual_sort},
        pages::Page,
        places::Places,
        shown::{Shown, ShownRow},
    },
    view::{Direction, Field, Row, Sort, fields::Kind},
};

/// At least this much of a name stays beside whose data the task writes.
const NAME_BESIDE_WHOM: usize = 6;

pub(super) fn draw(canvas: &mut Canvas<'_, '_>, app: &App, bottom: u16) -> Places {
    let lines = usize::from(bottom.saturating_sub(canvas.y + 1));
    let length = app.shown.as_ref().map_or(0, |shown| shown.rows.len());
    let bar = if length > lines { BAR } else { 0 };
    let width = canvas.area.width - bar;
    let columns = fitting(&app.settings, app.known(), &app.busy, width);
    let mut places = Places {
        head: Some(canvas.y),
        top: canvas.y + 1,
        lines,
        ..Places::default()
    };
    head(canvas, app, &columns, &mut places);
    let Some(shown) = &app.shown else {
        return places;
    };
    places.length = shown.rows.len();
    let chosen = app.selected_at();
    places.first = first(app.first, chosen, places.lines, places.length);
    if shown.rows.is_empty() {
        canvas.line(Line::styled(
            "no rows: no task did I/O, or none matches",
            DIM,
        ));
    }
    let rows = shown.rows.iter().enumerate().skip(places.first);
    for (at, row) in rows.take(places.lines) {
        let line = line(canvas, app, shown, row, &columns);
        canvas.line(match at == chosen && app.place().page == Page::Table {
            true => chosen_line(line),
            false => line,
        });
    }
    canvas.scrollbar(&places);
    places
}

/// The first visible row. It is chosen so that the selected row is visible.
pub(super) fn first(before: usize, chosen: usize, lines: usize, length: usize) -> usize {
    before
        .min(chosen)
        .max((chosen + 1).saturating_sub(lines))
        .min(length.saturating_sub(lines))
}

fn head(canvas: &mut Canvas<'_, '_>, app: &App, columns: &[(Column, u16)], places: &mut Places) {
    let style = Style::new().add_modifier(Modifier::UNDERLINED);
    let sort = sort_column(app);
    let (falling, rising) = canvas.theme.arrows();
    let mut spans = Vec::new();
    let mut x = canvas.area.x;
    for (column, width) in columns {
        let (name, field) = match column {
            Column::Field(field) => (field.header.to_owned(), Some(*field)),
            Column::Total(field) => (total_header(field), Some(*field)),
            Column::Graph => (graph_header(app.graph()), None),
        };
        let sorted = sort
            .as_ref()
            .filter(|sort| matches!(column, Column::Field(field) if *field == sort.field));
        let arrow = sorted.map(|sort| match sort.direction {
            Some(Direction::Rising) => rising,
            None if sort.field.is_word() => rising,
            _ => falling,
        });
        let name = match arrow.filter(|_| name.len() < usize::from(*width)) {
            Some(arrow) => format!("{arrow}{name}"),
            None => name,
        };
        let left = field.is_none_or(Field::is_word);
        let text = padded(&name, usize::from(*width), left);
        let style = if sorted.is_some() {
            style.patch(BOLD)
        } else {
            style
        };
        spans.push(Span::styled(text, style));
        spans.push(Span::styled(" ", style));
        if let Some(field) = field {
            places.columns.push((x..x + width, field));
        }
        x += width + 1;
    }
    canvas.line(Line::from(spans));
}

fn line(
    canvas: &Canvas<'_, '_>,
    app: &App,
    shown: &Shown,
    shown_row: &ShownRow,
    columns: &[(Column, u16)],
) -> Line<'static> {
    let row = shown.row(shown_row);
    let figures = shown.figures(shown_row);
    let scale = Scale {
        interval: shown.sample.interval,
        accumulated: app.has_totals(),
        kilobytes: app.settings.kilobytes,
    };
    let totals = Scale {
        accumulated: true,
        ..scale
    };
    let exited = row.task().is_some_and(|task| task.exited) || shown.is_fold(shown_row);
    let style = if exited { DIM } else { Style::new() };
    let last = columns.len().saturating_sub(1);
    let mut spans = Vec::new();
    for (at, (column, width)) in columns.iter().enumerate() {
        let width = usize::from(*width);
        match column {
            Column::Field(field) if at == last && field.is_word() => {
                spans.extend(named(canvas, app, shown, shown_row, field, width, style));
            }
            Column::Field(field) => {
                let cell = match shown.folded(shown_row) {
                    Some(tasks) if matches!(field.kind, Kind::Word | Kind::Id) => {
                        common(tasks.map(|task| scale.cell(field, Row::Task(task), false)))
                    }
                    _ if matches!(field.kind, Kind::Word | Kind::Id | Kind::Flag) => {
                        scale.cell(field, row, false)
                    }
                    _ => scale.cell(field, figures, false),
                };
                let cell = canvas.theme.text(&cell).into_owned();
                spans.push(figure(canvas, field, &cell, width, style));
            }
            Column::Total(field) => {
                let cell = match shown.totals(shown_row) {
                    Some(row) => totals.cell(field, row, false),
                    None => units::UNKNOWN.to_owned(),
                };
                spans.push(figure(canvas, field, &cell, width, style));
            }
            Column::Graph => {
                let values = shown.history(shown_row, &app.histories, app.graph(), width);
                let text = graph::line(&values, width, &canvas.theme.bars());
                spans.push(Span::styled(text, canvas.tone(Tone::Owned)));
            }
        }
        spans.push(Span::raw(" "));
    }
    Line::from(spans)
}

/// The column that rows are sorted by: the user's, or in totals the usual one. Rates come in an
/// order that is no column's.
fn sort_column(app: &App) -> Option<Sort> {
    let sort = app.settings.sort.clone();
    sort.filter(|_| sorted(&app.settings).is_some())
        .or_else(|| {
            let columns = fields(&app.settings, app.known());
            let usual = columns.get(usual_sort(&columns));
            usual.filter(|_| app.has_totals()).map(|field| Sort {
                field,
                direction: None,
            })
        })
}

/// A figure. Zero and unknown are dimmed, so that they are not in the way.
fn figure(
    canvas: &Canvas<'_, '_>,
    field: &Field,
    cell: &str,
    width: usize,
    style: Style,
) -> Span<'static> {
    let text = padded(cell, width, field.is_word());
    let nothing = matches!(
        cell,
        "-" | "0B/s" | "0B" | "0.00%" | "0.0/s" | "0.00K/s" | "0.00K" | "0" | "0.0x"
    );
    // Of an exited task only words and numbers that identify it are dimmed, not what it
    // did.
    let tone = match field.header {
        _ if field.is_word() => style,
        _ if nothing => style.patch(DIM),
        "CAUSED" | "VIA_KERNEL" | "METADATA" | "BLOCK_WRITE" => canvas.tone(Tone::Owned),
        "UNATTRIBUTED" => canvas.tone(Tone::Nobodys),
        "DISK_READ" | "BLOCK_READ" => canvas.tone(Tone::Read),
        _ if field.kind == Kind::Id => style,
        _ => Style::new(),
    };
    Span::styled(text, tone)
}

/// What all cells say; unknown if they differ.
fn common(mut cells: impl Iterator<Item = String>) -> String {
    let first = cells.next();
    let same = first.filter(|first| cells.all(|cell| cell == *first));
    same.unwrap_or_else(|| units::UNKNOWN.to_owned())
}

/// The row's name, after the lines of the tree and before whose data it writes.
fn named(
    canvas: &Canvas<'_, '_>,
    app: &App,
    shown: &Shown,
    shown_row: &ShownRow,
    field: &Field,
    width: usize,
    style: Style,
) -> Vec<Span<'static>> {
    let row = shown.row(shown_row);
    let lines = branch_lines(canvas.theme, &shown_row.lines, width);
    let whom = shown.whom(shown_row);
    let folded = shown.is_fold(shown_row);
    let fold = match folded {
        true if app.open_folds.contains(&shown.key(shown_row)) => " [-]",
        true => " [+]",
        false => "",
    };
    let short = whom.is_some() || !app.settings.command_line;
    let name = match row {
        Row::Task(task) if field.name == "command" && short => {
            task_name(&task.comm, task.kthread).into_owned()
        }
        Row::Group(group) if folded => group.name.as_deref().unwrap_or_default().to_owned(),
        Row::Group(group) if field.name == "name" && group.name.is_none() => {
            match app.settings.group_by {
                GroupBy::Device | GroupBy::File => "(unknown)".to_owned(),
                by => format!("(no {})", by.name()),
            }
        }
        _ => Scale {
            interval: shown.sample.interval,
            accumulated: false,
            kilobytes: false,
        }
        .cell(field, row, true),
    };
    let name = canvas.theme.text(&name);
    let mut cell = Cell {
        room: width,
        spans: Vec::new(),
    };
    cell.push(&lines, DIM);
    if shown_row.hidden != 0 {
        cell.push(&format!("[+{}] ", shown_row.hidden), style);
    }
    if shown.is_branch(shown_row) {
        cell.push(canvas.theme.sum(), style.patch(BOLD));
    }
    if folded || row.task().is_some_and(|task| task.exited) {
        cell.push("(exited) ", style);
    }
    let kilobytes = app.settings.kilobytes;
    let Some(whom) = whom else {
        cell.push(&name, style);
        cell.push(fold, style);
        return cell.spans;
    };
    // Whose data it is says more than the number of a kworker.
    let least = whom.text(0, kilobytes).width() + 1;
    let room = cell.room.saturating_sub(least).max(NAME_BESIDE_WHOM);
    cell.push(&shortened(&name, room, canvas.theme), style);
    cell.push(" ", style);
    let text = whom.text(cell.room, kilobytes);
    let text = shortened(&canvas.theme.text(&text), cell.room, canvas.theme);
    let tone = match whom.is_now() {
        true => canvas.tone(Tone::Owned),
        false => DIM,
    };
    cell.push(&text, tone);
    cell.spans
}

/// A cell with several styles, cut where there is no more room.
struct Cell {
    room: usize,
    spans: Vec<Span<'static>>,
}

impl Cell {
    fn push(&mut self, text: &str, style: Style) {
        let (text, taken) = start_of(text, self.room);
        self.room -= taken;
        self.spans.push(Span::styled(text.to_owned(), style));
    }
}

/// The lines of the tree before a name. They take at most a third of the room: of a deep branch
/// only the last levels are drawn.
fn branch_lines(theme: Theme, levels: &[bool], width: usize) -> String {
    let [past, nothing, branch, end] = theme.branches();
    let Some((own, above)) = levels.split_last() else {
        return String::new();
    };
    let most = (width / 6).max(2);
    let (mark, skipped) = match levels.len() > most {
        true => (format!("{} ", theme.ellipsis()), levels.len() + 1 - most),
        false => (String::new(), 0),
    };
    let above = above.iter().skip(skipped);
    let above = above.map(|goes_on| if *goes_on { past } else { nothing });
    let own = if *own { branch } else { end };
    [&*mark].into_iter().chain(above).chain([own]).collect()
}

/// Aligns words left and numbers right, and cuts what is wider than its column.
pub(super) fn padded(text: &str, width: usize, left: bool) -> String {
    let (text, taken) = start_of(text, width);
    debug_assert_eq!(taken, text.width());
    let padding = " ".repeat(width - taken);
    match left {
        true => format!("{text}{padding}"),
        false => format!("{padding}{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_row_is_visible_and_the_last_page_is_full() {
        assert_eq!(first(0, 0, 10, 100), 0);
        assert_eq!(first(0, 12, 10, 100), 3);
        assert_eq!(first(50, 12, 10, 100), 12);
        assert_eq!(first(95, 99, 10, 100), 90);
        assert_eq!(first(5, 2, 10, 3), 0);
        assert_eq!(first(0, 0, 0, 0), 0);
    }

    #[test]
    fn the_lines_of_a_deep_branch_leave_room_for_the_name() {
        let theme = Theme {
            colors: crate::tui::state::settings::Colors::None,
            ascii: false,
        };
        let lines = |depth, width| branch_lines(theme, &vec![true; depth], width);
        assert_eq!(lines(0, 40), "");
        assert_eq!(lines(6, 40), "│ │ │ │ │ ├─");
        assert_eq!(lines(7, 40), "… │ │ │ │ ├─");
        assert_eq!(lines(9, 14), "… ├─");
    }

    #[test]
    fn a_wide_character_is_not_cut_in_two() {
        assert_eq!(padded("日本語", 5, true), "日本 ");
        assert_eq!(padded("1", 3, false), "  1");
    }
}
