//! Draws the state on the screen. Drawing looks nothing up.

mod detail;
mod graph;
mod header;
mod help;
mod log;
mod menu;
mod replay;
mod table;
pub mod theme;
mod wakes;

use ratatui::{
    Frame,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
    widgets::{Scrollbar, ScrollbarOrientation, ScrollbarState},
};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::{
    draw::theme::{Theme, Tone},
    state::{app::App, pages::Page},
};
use crate::tui::state::places::Places;

/// Smallest height at which the detail page has the full header.
const ROOMY: u16 = 30;
/// The smallest screen that is drawn on: width and height.
const SMALLEST: (u16, u16) = (40, 10);

/// Draws the whole screen, and returns where things are.
pub fn draw(frame: &mut Frame<'_>, app: &App, theme: Theme) -> Places {
    let area = frame.area();
    let mut canvas = Canvas {
        frame,
        theme,
        area,
        y: area.y,
    };
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let (width, height) = SMALLEST;
        canvas.line(Line::raw(format!("needs at least {width}x{height}")));
        return Places::default();
    }
    match app.place().page {
        // Pages of text need the room.
        Page::Entry(_) => header::short(&mut canvas, app),
        // The help itself says what is wrong.
        Page::Help => header::title(&mut canvas, app),
        Page::Detail(..) | Page::Columns if area.height < ROOMY => header::short(&mut canvas, app),
        _ => header::draw(&mut canvas, app),
    }
    let bottom = area.bottom() - 1;
    let places = match &app.place().page {
        Page::Table => table::draw(&mut canvas, app, bottom),
        Page::Detail(key, by) => detail::draw(&mut canvas, app, key, *by, bottom),
        Page::Log => log::draw(&mut canvas, app, bottom),
        Page::Wakes => wakes::draw(&mut canvas, app, bottom),
        Page::Columns => menu::draw(&mut canvas, app, bottom),
        Page::Entry(text) => {
            let lines = |width| {
                let lines = text.iter().map(|line| theme.text(line).into_owned());
                let lines = lines.flat_map(|line| wrapped(&line, usize::from(width), WRAPPED));
                lines.map(Line::raw).collect()
            };
            text_page(&mut canvas, app, bottom, lines)
        }
        Page::Help => {
            let lines = |width| help::lines(app, theme, width);
            text_page(&mut canvas, app, bottom, lines)
        }
    };
    footer(&mut canvas, app, bottom);
    places
}

/// The lines of the help.
#[cfg(test)]
pub fn help_text(app: &App, theme: Theme, width: u16) -> Vec<String> {
    let lines = help::lines(app, theme, width).into_iter();
    lines.map(|line| line.to_string()).collect()
}

/// The screen, filled line by line from the top.
struct Canvas<'a, 'b> {
    frame: &'a mut Frame<'b>,
    theme: Theme,
    area: Rect,
    y: u16,
}

impl Canvas<'_, '_> {
    /// Draws the next line, cut at the edge.
    fn line(&mut self, line: Line<'_>) {
        if self.y < self.area.bottom() {
            let Rect { x, width, .. } = self.area;
            let row = Rect {
                y: self.y,
                height: 1,
                ..self.area
            };
            self.frame.buffer_mut().set_style(row, line.style);
            self.frame.buffer_mut().set_line(x, self.y, &line, width);
            self.y += 1;
        }
    }

    /// Draws where the visible lines are among all, unless all are visible.
    fn scrollbar(&mut self, places: &Places) {
        let Places {
            top,
            lines,
            length,
            first,
            ..
        } = *places;
        if length <= lines || lines == 0 {
            return;
        }
        let mut state = ScrollbarState::new(length - lines)
            .position(first)
            .viewport_content_length(lines);
        let area = Rect {
            y: top,
            height: u16::try_from(lines).unwrap_or(u16::MAX),
            ..self.area
        };
        let (track, thumb) = self.theme.scrollbar();
        // The selected line ends before it.
        let column = Rect {
            x: area.right() - 1,
            width: 1,
            ..area
        };
        self.frame.buffer_mut().set_style(column, Style::reset());
        let bar = Scrollbar::new(ScrollbarOrientation::VerticalRight)
            .begin_symbol(None)
            .end_symbol(None)
            .track_symbol(Some(track))
            .thumb_symbol(thumb)
            .style(DIM);
        self.frame.render_stateful_widget(bar, area, &mut state);
    }

    fn tone(&self, tone: Tone) -> Style {
        self.theme.tone(tone)
    }
}

/// Width of a scrollbar, with a space before it.
const BAR: u16 = 2;

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);

/// The selected line, in one style from edge to edge.
fn chosen_line(line: Line<'_>) -> Line<'_> {
    let spans = line.spans.into_iter();
    let spans: Vec<Span<'_>> = spans.map(|span| span.style(CHOSEN)).collect();
    Line::from(spans).style(CHOSEN)
}

/// Draws a text that is wrapped at a width. A scrollbar takes some of it.
fn text_page(
    canvas: &mut Canvas<'_, '_>,
    app: &App,
    bottom: u16,
    lines: impl Fn(u16) -> Vec<Line<'static>>,
) -> Places {
    let width = canvas.area.width;
    let mut text = lines(width);
    if text.len() > usize::from(bottom.saturating_sub(canvas.y)) {
        text = lines(width - BAR);
    }
    scrolled(canvas, app, text, bottom)
}

/// Draws lines that can be scrolled.
fn scrolled(canvas: &mut Canvas<'_, '_>, app: &App, lines: Vec<Line<'_>>, bottom: u16) -> Places {
    let places = Places {
        top: canvas.y,
        lines: usize::from(bottom.saturating_sub(canvas.y)),
        length: lines.len(),
        ..Places::default()
    };
    let first = app.place().at.min(lines.len().saturating_sub(places.lines));
    for line in lines.into_iter().skip(first).take(places.lines) {
        canvas.line(line);
    }
    let places = Places { first, ..places };
    canvas.scrollbar(&places);
    places
}

/// Draws the last line: the prompt, the message or the most useful keys.
fn footer(canvas: &mut Canvas<'_, '_>, app: &App, bottom: u16) {
    canvas.y = bottom;
    let width = usize::from(canvas.area.width);
    if let Some(prompt) = &app.prompt {
        let text = canvas.theme.text(&prompt.text).into_owned();
        let wrong = app
            .message
            .as_deref()
            .map(|message| format!("   {message}"));
        let label = prompt.asked.label();
        // The end of the typed text is always visible.
        let room = width.saturating_sub(text.width() + 1);
        let label = if label.width() > room { "> " } else { label };
        let line = Line::from(vec![
            Span::styled(label, BOLD),
            Span::raw(end_of(&text, width.saturating_sub(label.width() + 1)).to_owned()),
            Span::styled(" ", CHOSEN),
            Span::styled(wrong.unwrap_or_default(), canvas.tone(Tone::Alarm)),
        ]);
        return canvas.line(line);
    }
    if let Some(message) = &app.message {
        let message = canvas.theme.text(message).into_owned();
        return canvas.line(Line::styled(message, BOLD));
    }
    let keys: &[(&str, &str)] = match app.place().page {
        Page::Table if app.replay.is_some() => &[
            ("?", "help"),
            (", .", "sample"),
            ("< >", "ten"),
            ("g", "time"),
            ("Space", "play"),
            ("e E", "spike"),
            ("Enter", "details"),
            ("w", "why"),
            ("b", "rows by"),
            ("/", "filter"),
            ("a", "totals"),
            ("q", "quit"),
        ],
        Page::Table => &[
            ("?", "help"),
            ("Enter", "details"),
            ("w", "why"),
            ("b", "rows by"),
            ("/", "filter"),
            ("o", "only active"),
            ("a", "totals"),
            ("<>", "sort"),
            ("t", "tree"),
            ("s", "freeze"),
            ("W", "save"),
            ("q", "quit"),
        ],
        Page::Log => &[
            ("Enter", "details"),
            (
                "o",
                if app.only_others {
                    "all"
                } else {
                    "only for others"
                },
            ),
            ("Up Down", "choose"),
            ("Esc", "back"),
            ("?", "help"),
            ("q", "quit"),
        ],
        Page::Wakes => &[
            ("Enter", "details"),
            ("Up Down", "choose"),
            ("Esc", "back"),
            ("?", "help"),
            ("q", "quit"),
        ],
        Page::Columns => &[
            ("Space", "show"),
            ("< >", "move"),
            ("0", "usual"),
            ("Esc", "back"),
            ("W", "save"),
            ("Up Down", "choose"),
            ("?", "help"),
            ("q", "quit"),
        ],
        _ => &[
            ("Up Down", "move"),
            ("Esc", "back"),
            ("?", "help"),
            ("q", "quit"),
        ],
    };
    // The table of a recording has them among its keys.
    let of_replay = app.replay.is_some() && app.place().page != Page::Table;
    let of_replay: &[(&str, &str)] = match of_replay {
        true => &[(", .", "sample")],
        false => &[],
    };
    let mut spans = Vec::new();
    let mut taken = 0;
    for (key, what) in of_replay.iter().chain(keys) {
        taken += key.width() + what.width() + 3;
        if taken > width + 2 {
            break;
        }
        spans.push(Span::styled(*key, BOLD));
        spans.push(Span::styled(format!(" {what}  "), DIM));
    }
    canvas.line(Line::from(spans));
}

/// Indentation of the continued lines of an entry's text.
const WRAPPED: &str = "                    ";

/// Wraps a text into lines. A word that is longer than a line is cut.
fn wrapped(text: &str, width: usize, indent: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    let mut before = "";
    loop {
        let room = width.saturating_sub(before.len()).max(1);
        let (start, _) = start_of(rest, room);
        let whole = start.len() == rest.len() || rest[start.len()..].starts_with(' ');
        let space = start
            .rfind(' ')
            .filter(|at| !start[..*at].trim().is_empty());
        let at = match space {
            _ if whole => start.len(),
            Some(space) => space,
            // At least one character, however wide.
            None => start
                .len()
                .max(rest.chars().next().map_or(0, char::len_utf8)),
        };
        lines.push(format!("{before}{}", &rest[..at]));
        rest = rest[at..].trim_start();
        if rest.is_empty() {
            return lines;
        }
        before = if 2 * indent.len() < width { indent } else { "" };
    }
}

/// The beginning of `text` that fits in `room` columns, and the width that it takes.
fn start_of(text: &str, room: usize) -> (&str, usize) {
    let mut taken = 0;
    for (at, c) in text.char_indices() {
        let width = c.width().unwrap_or(0);
        if taken + width > room {
            return (&text[..at], taken);
        }
        taken += width;
    }
    (text, taken)
}

/// The beginning of a text that is too wide, with a mark: a number that lost its last digits
/// would be another number.
fn shortened(text: &str, room: usize, theme: Theme) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let (start, _) = start_of(text, room.saturating_sub(1));
    let mark = if room == 0 { "" } else { theme.ellipsis() };
    format!("{}{mark}", start.trim_end())
}

/// The end of `text` that fits in `room` columns.
fn end_of(text: &str, room: usize) -> &str {
    let mut taken = 0;
    for (at, c) in text.char_indices().rev() {
        taken += c.width().unwrap_or(0);
        if taken > room {
            return &text[at + c.len_utf8()..];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_line_is_wrapped() {
        assert_eq!(
            wrapped("  one two three", 9, "    "),
            ["  one two", "    three"]
        );
        assert_eq!(wrapped("abcdefgh ij", 4, ""), ["abcd", "efgh", "ij"]);
        assert_eq!(wrapped("", 4, ""), [""]);
    }

    #[test]
    fn a_text_that_is_cut_says_so() {
        let theme = Theme {
            colors: crate::tui::state::settings::Colors::None,
            ascii: true,
        };
        let cut = |room| shortened("-> fio 100%", room, theme);
        assert_eq!(
            [cut(11), cut(10), cut(4), cut(0)],
            ["-> fio 100%", "-> fio 10~", "->~", ""]
        );
    }

    proptest! {
        #[test]
        fn wrapping_loses_nothing_but_spaces(text in "[a-z日 ]{0,60}", width in 2usize..30) {
            let lines = wrapped(&text, width, "   ");
            prop_assert!(lines.iter().all(|line| line.width() <= width));
            let letters = |text: &str| text.replace(' ', "");
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
