//! Draws the flushes and spikes, one per line.

use ratatui::text::{Line, Span};

use super::{BOLD, Canvas, DIM, Tone, chosen_line};
use crate::{
    output::units,
    tui::state::{app::App, log::Entry, places::Places},
};

pub(super) fn draw(canvas: &mut Canvas<'_, '_>, app: &App, bottom: u16) -> Places {
    let title = match app.only_others {
        true => "WHY: writes for others and spikes, newest first",
        false => "WHY: recent flushes and spikes, newest first",
    };
    canvas.line(Line::styled(title, BOLD));
    let head = match canvas.area.width {
        ..60 => format!(
            "{:<8} {:>9} {:<11} {}",
            "TIME", "BYTES", "WHY", "WHOSE DATA"
        ),
        60..100 => format!(
            "{:<8} {:<7} {:>9} {:<11} {}",
            "TIME", "DEVICE", "BYTES", "WHY", "WHOSE DATA"
        ),
        _ => format!(
            "{:<8} {:<9} {:>9} {:<15} {:<28} {}",
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
        let line = line(canvas, app, entry);
        canvas.line(match n == at {
            true => chosen_line(line),
            false => line,
        });
    }
    places
}

fn line(canvas: &Canvas<'_, '_>, app: &App, entry: &Entry) -> Line<'static> {
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
    if canvas.area.width < 100 {
        let device = match canvas.area.width {
            ..60 => String::new(),
            _ => format!("{device:<7.7} "),
        };
        return Line::from(vec![
            Span::raw(format!("{time:<8} {device}{bytes:>9} ")),
            Span::styled(format!("{reason:<11.11} "), who),
            Span::styled(text(&entry.owners), canvas.tone(Tone::Owned)),
        ]);
    }
    Line::from(vec![
        Span::raw(format!("{time:<8} {:<9.9} {bytes:>9} ", device)),
        Span::styled(format!("{reason:<15.15} "), BOLD),
        Span::styled(format!("{:<28.28} ", text(&entry.who)), who),
        Span::styled(text(&entry.owners), canvas.tone(Tone::Owned)),
    ])
}
