//! Draws where the view is in a recording.

use std::time::Duration;

use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr as _;

use super::{BOLD, CHOSEN, Canvas, DIM, Tone, end_of};
use crate::{
    output::{grouped, missing_intervals, units::long},
    tui::state::{
        app::App,
        replaying::{Doing, Replaying, SPEEDS, day_and_time},
    },
};

/// Smallest width that shows the bar, and all words.
const WIDE: u16 = 78;
/// Length of the bar.
const BAR: usize = 20;

/// The lines of a recording, below the title.
pub(super) fn draw(canvas: &mut Canvas<'_, '_>, app: &App) {
    let Some(replay) = &app.replay else { return };
    let wide = canvas.area.width >= WIDE;
    let mut line = Vec::new();
    if let Some(now) = app.now() {
        let time = match wide {
            true => day_and_time(now, &app.zone),
            false => app.zone.to_datetime(now).strftime("%m-%d %T").to_string(),
        };
        line.push(Span::styled(time, BOLD));
        line.push(Span::raw("  "));
    }
    let (number, samples) = (replay.number, replay.samples);
    line.push(Span::raw(match wide {
        true => format!("{} of {}", grouped(number), grouped(samples)),
        false => format!("{number}/{samples}"),
    }));
    if wide {
        let filled = bar(number, samples);
        line.push(Span::raw(" ["));
        line.push(Span::styled("#".repeat(filled), canvas.tone(Tone::Owned)));
        line.push(Span::styled(".".repeat(BAR - filled), DIM));
        line.push(Span::raw("]"));
    }
    line.push(Span::raw("  "));
    line.push(Span::styled(format!(" {} ", state(replay, app)), CHOSEN));
    let line = Line::from(line);
    let room = usize::from(canvas.area.width).saturating_sub(line.width() + 2);
    let from = canvas.theme.text(&replay.directory).into_owned();
    let from = match from.width() > room {
        // The end of a path says more.
        true if room > 12 => format!("..{}", end_of(&from, room - 2)),
        true => String::new(),
        false => from,
    };
    let mut line = line;
    line.push_span(Span::styled(format!("  {from}"), DIM));
    canvas.line(line);
    if let Some(words) = gaps(app, replay) {
        canvas.line(Line::styled(format!("! {words}"), canvas.tone(Tone::Alarm)));
    }
}

/// What has no samples: before the interval, or in the totals.
fn gaps(app: &App, replay: &Replaying) -> Option<String> {
    let gap = replay.gap.map(|gap| gap.words(&app.zone));
    let missing = app.interval.as_ref();
    let missing = missing.and_then(|sample| missing_intervals(&sample.system.lost));
    let totals = app.totals.as_ref().and_then(|(since, _, sum)| {
        let whole = sum.time.duration_since(*since).unsigned_abs();
        let lacks = whole.saturating_sub(sum.interval);
        let is_much = lacks > Duration::from_secs(1).max(whole / 100);
        is_much.then(|| {
            format!(
                "totals are of {}, {} have no samples",
                long(sum.interval),
                long(lacks)
            )
        })
    });
    let words: Vec<String> = [gap, missing, totals].into_iter().flatten().collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// How much of the bar is filled: nothing at the first sample, all at the last one.
fn bar(number: u64, samples: u64) -> usize {
    let (done, all) = (number.saturating_sub(1), samples.saturating_sub(1).max(1));
    (done.min(all) as f64 / all as f64 * BAR as f64).round() as usize
}

fn state(replay: &Replaying, app: &App) -> String {
    let time = |time| day_and_time(time, &app.zone);
    match replay.doing {
        Some(Doing::Going(to)) => format!("going to {}", time(to)),
        Some(Doing::Searching(at)) => format!("searching... {}", time(at)),
        Some(Doing::Adding(percent)) => format!("adding up... {percent}%"),
        Some(Doing::Waiting) => "playing, at the end".to_owned(),
        None if !replay.playing => "paused".to_owned(),
        None => match SPEEDS[replay.speed] {
            1 => "playing".to_owned(),
            speed => format!("playing {speed}x"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_empty_at_the_first_and_full_at_the_last_sample() {
        assert_eq!(
            [(1, 100), (100, 100), (50, 100)].map(|(n, of)| bar(n, of)),
            [0, 20, 10]
        );
        assert_eq!([(1, 1), (0, 0)].map(|(n, of)| bar(n, of)), [0, 0]);
    }
}
