//! Draws the flushes and spikes, one per line.

use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr as _;

use super::{BAR, BOLD, Canvas, DIM, Tone, chosen_line, shortened, start_of, table::padded};
use crate::{
    output::units,
    tui::state::{app::App, log::Entry, places::Places},
};

/// Smallest width that shows devices.
const NARROW: u16 = 60;
/// Smallest width of the submitters' column.
const WHO: usize = 28;
/// Width of the columns before it, where it is shown.
const BEFORE_WHO: usize = 45;

pub(super) fn draw(canvas: &mut Canvas<'_, '_>, app: &App, bottom: u16) -> Places {
    let title = match (app.only_others, canvas.area.width < NARROW) {
        (true, true) => "WHY: writes for others, newest first",
        (true, false) => "WHY: writes for others and spikes, newest first",
        (false, true) => "WHY: flushes and spikes, newest first",
        (false, false) => "WHY: recent flushes and spikes, newest first",
    };
    canvas.line(Line::styled(title, BOLD));
    let who = who_width(app, usize::from(canvas.area.width));
    let head = match canvas.area.width {
        ..NARROW => format!(
            "{:<8} {:>8} {:<10} {}",
            "TIME", "BYTES", "WHY", "WHOSE DATA"
        ),
        NARROW..100 => format!(
            "{:<8} {:<7} {:>9} {:<11} {}",
            "TIME", "DEVICE", "BYTES", "WHY", "WHOSE DATA"
        ),
        _ => format!(
            "{:<8} {:<9} {:>9} {:<15} {:<who$} {}",
            "TIME", "DEVICE", "BYTES", "WHY", "WRITTEN BY", "WHOSE DATA"
        ),
    };
    canvas.line(Line::styled(head, DIM));
    let lines = usize::from(bottom.saturating_sub(canvas.y));
    let length = app.entries().count();
    let at = app.place().at.min(length.saturating_sub(1));
    let mut places = Places {
        top: canvas.y,
        lines,
        length,
        ..Places::default()
    };
    if length == 0 {
        let why = match app
            .interval
            .as_ref()
            .is_some_and(|s| s.system.block.is_none())
        {
            true => "flushes are unknown without eBPF",
            false => "nothing has been written yet",
        };
        canvas.line(Line::styled(why, DIM));
        return places;
    }
    // Keep the selected line in the middle.
    places.first = at
        .saturating_sub(lines / 2)
        .min(length.saturating_sub(lines));
    for (n, entry) in app.entries().enumerate().skip(places.first).take(lines) {
        let line = line(canvas, app, entry, who);
        canvas.line(match n == at {
            true => chosen_line(line),
            false => line,
        });
    }
    canvas.scrollbar(&places);
    places
}

/// Width of the submitters' column: as wide as the longest submitter, but at most half of what
/// it shares with the owners.
fn who_width(app: &App, width: usize) -> usize {
    let longest = app.entries().map(|entry| entry.who.width()).max();
    let room = width.saturating_sub(BEFORE_WHO) / 2;
    longest.unwrap_or(0).clamp(WHO, room.max(WHO))
}

/// Cuts a submitter's name, but not its number: `[kworker/u8:14+flu.. (TID 14976)`.
fn cut(who: &str, width: usize) -> String {
    if who.width() <= width {
        return who.to_owned();
    }
    let number = who.rfind(" (").map_or("", |at| &who[at..]);
    match width.checked_sub(number.width() + "..".len()) {
        Some(room) => format!("{}..{number}", start_of(who, room).0),
        None => start_of(who, width).0.to_owned(),
    }
}

fn line(canvas: &Canvas<'_, '_>, app: &App, entry: &Entry, who_width: usize) -> Line<'static> {
    let text = |text: &str| canvas.theme.text(text).into_owned();
    let time = entry.time.to_zoned_datetime(app.zone.clone());
    let time = time.strftime("%H:%M:%S").to_string();
    let bytes = units::bytes(entry.bytes as f64, app.settings.kilobytes);
    let who = if entry.spike {
        canvas.tone(Tone::Alarm)
    } else {
        DIM
    };
    let reason = text(&entry.reason);
    let device = text(&entry.device);
    let room = usize::from(canvas.area.width - BAR);
    let owners = |before: &[Span<'_>]| {
        let taken: usize = before.iter().map(Span::width).sum();
        let owners = shortened(
            &text(&entry.owners),
            room.saturating_sub(taken),
            canvas.theme,
        );
        Span::styled(owners, canvas.tone(Tone::Owned))
    };
    if canvas.area.width < 100 {
        let before = match canvas.area.width {
            ..NARROW => [
                Span::raw(format!("{time:<8} {bytes:>8} ")),
                Span::styled(format!("{reason:<10.10} "), who),
            ],
            _ => [
                Span::raw(format!("{time:<8} {device:<7.7} {bytes:>9} ")),
                Span::styled(format!("{reason:<11.11} "), who),
            ],
        };
        let owners = owners(&before);
        return Line::from_iter(before.into_iter().chain([owners]));
    }
    let before = [
        Span::raw(format!("{time:<8} {:<9.9} {bytes:>9} ", device)),
        Span::styled(format!("{reason:<15.15} "), BOLD),
        Span::styled(
            padded(&cut(&text(&entry.who), who_width), who_width, true),
            who,
        ),
        Span::raw(" "),
    ];
    let owners = owners(&before);
    Line::from_iter(before.into_iter().chain([owners]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_submitter_keeps_its_number() {
        let who = "[kworker/u8:14+flush-254:0] (TID 14976)";
        assert_eq!(cut(who, 40), who);
        assert_eq!(cut(who, 28), "[kworker/u8:14.. (TID 14976)");
        assert_eq!(cut(who, 10), "[kworker/u");
        assert_eq!(cut("SPIKE, goes on", 6), "SPIK..");
    }
}
