//! Draws the wake-ups of disks, one per line.

use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr as _;

use super::{BAR, BOLD, Canvas, DIM, Tone, chosen_line, shortened, table::padded};
use crate::{
    output::units,
    tui::state::{app::App, places::Places, wakes::Woken},
};

/// Smallest width that shows disks and bytes in columns of their own.
const NARROW: u16 = 60;
/// Smallest width of the column of those who woke a disk.
const BY: usize = 24;
/// Width of the columns before it.
const BEFORE_BY: usize = 44;

pub(super) fn draw(canvas: &mut Canvas<'_, '_>, app: &App, bottom: u16) -> Places {
    canvas.line(Line::styled("WAKE-UPS of disks, newest first", BOLD));
    let by = by_width(app, usize::from(canvas.area.width));
    let head = match canvas.area.width {
        ..NARROW => format!("{:<8} {:<7} WOKEN BY", "TIME", "DISK"),
        _ => format!(
            "{:<8} {:<7} {:>15} {:>9}  {:<by$} HOW OFTEN, FILE",
            "TIME", "DISK", "SILENCE", "BYTES", "WOKEN BY"
        ),
    };
    canvas.line(Line::styled(head, DIM));
    let lines = usize::from(bottom.saturating_sub(canvas.y));
    let length = app.wakes().count();
    let at = app.place().at.min(length.saturating_sub(1));
    let mut places = Places {
        top: canvas.y,
        lines,
        length,
        ..Places::default()
    };
    if length == 0 {
        let idle = units::duration(app.idle);
        let why = format!("no disk has been woken after {idle} or more of silence yet");
        canvas.line(Line::styled(why, DIM));
        return places;
    }
    // Keep the selected line in the middle.
    places.first = at
        .saturating_sub(lines / 2)
        .min(length.saturating_sub(lines));
    for (n, woken) in app.wakes().enumerate().skip(places.first).take(lines) {
        let line = line(canvas, app, woken, by);
        canvas.line(match n == at {
            true => chosen_line(line),
            false => line,
        });
    }
    canvas.scrollbar(&places);
    places
}

/// As wide as the longest name, but at most half of the room.
fn by_width(app: &App, width: usize) -> usize {
    let longest = app.wakes().map(|woken| woken.by.width()).max();
    let room = width.saturating_sub(BEFORE_BY) / 2;
    longest.unwrap_or(0).clamp(BY, room.max(BY))
}

fn line(canvas: &Canvas<'_, '_>, app: &App, woken: &Woken, by_width: usize) -> Line<'static> {
    let theme = canvas.theme;
    let text = |text: &str| theme.text(text).into_owned();
    let time = woken.time.to_zoned_datetime(app.zone.clone());
    let time = time.strftime("%H:%M:%S").to_string();
    let room = usize::from(canvas.area.width - BAR);
    let disk = text(&woken.disk);
    if canvas.area.width < NARROW {
        let before = format!("{time:<8} {disk:<7.7} ");
        let by = shortened(&text(&woken.by), room.saturating_sub(before.width()), theme);
        return Line::from_iter([
            Span::raw(before),
            Span::styled(by, canvas.tone(Tone::Owned)),
        ]);
    }
    let bytes = units::bytes(woken.bytes as f64, app.settings.kilobytes);
    let silence = &woken.silence;
    let by = shortened(&text(&woken.by), by_width, theme);
    let before = [
        Span::raw(format!("{time:<8} {disk:<7.7} {silence:>15} {bytes:>9}  ")),
        Span::styled(padded(&by, by_width, true), canvas.tone(Tone::Owned)),
        Span::raw(" "),
    ];
    let taken: usize = before.iter().map(Span::width).sum();
    let what = shortened(&text(&woken.what), room.saturating_sub(taken), theme);
    Line::from_iter(before.into_iter().chain([Span::raw(what)]))
}
