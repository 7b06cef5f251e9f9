//! Colours and characters, limited to those that the terminal has.
//!
//! The colours work on dark and on light backgrounds: plain text keeps the terminal's
//! own colour, and every tone lies midway between black and white.

use std::{borrow::Cow, env};

use ratatui::{
    style::{Color, Modifier, Style},
    symbols::bar,
};

use crate::tui::state::settings::{Characters, Colors};

/// How things look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Which colours to use; never [`Colors::Auto`].
    pub colors: Colors,
    /// ASCII only.
    pub ascii: bool,
}

/// What a colour stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Bytes with an owner.
    Owned,
    /// Bytes without an owner.
    Nobodys,
    /// Bytes read.
    Read,
    /// What needs the user's attention.
    Alarm,
}

/// Each tone as one of the terminal's 16 colours, one of 256, and in 24 bits.
const TONES: [(Tone, Color, u8, [u8; 3]); 4] = [
    (Tone::Owned, Color::Green, 28, [0x0b, 0x84, 0x45]),
    (Tone::Nobodys, Color::Magenta, 133, [0xb0, 0x55, 0xb0]),
    (Tone::Read, Color::Cyan, 31, [0x0f, 0x7f, 0xa6]),
    (Tone::Alarm, Color::Red, 160, [0xdc, 0x3c, 0x32]),
];

impl Theme {
    /// Follows the settings, and the environment for settings that are `Auto`.
    pub fn new(colors: Colors, characters: Characters) -> Theme {
        let variable = |name: &str| env::var(name).unwrap_or_default();
        Theme {
            colors: match colors {
                Colors::Auto => detected(variable),
                colors => colors,
            },
            ascii: match characters {
                Characters::Auto => !is_utf8(variable),
                characters => characters == Characters::Ascii,
            },
        }
    }

    /// Text in a tone.
    pub fn tone(self, tone: Tone) -> Style {
        let color = TONES.iter().find(|(known, ..)| *known == tone);
        let Some((_, ansi, indexed, [r, g, b])) = color else {
            return Style::new();
        };
        let alarm = match tone {
            Tone::Alarm => Modifier::BOLD,
            _ => Modifier::empty(),
        };
        let style = Style::new().add_modifier(alarm);
        match self.colors {
            Colors::Auto | Colors::None => style,
            Colors::Ansi => style.fg(*ansi),
            Colors::Indexed => style.fg(Color::Indexed(*indexed)),
            Colors::True => style.fg(Color::Rgb(*r, *g, *b)),
        }
    }

    /// A name without characters that could move the cursor, in ASCII if the terminal
    /// has nothing else.
    pub fn text(self, text: &str) -> Cow<'_, str> {
        let escaped = crate::escape::escape(text);
        if !self.ascii || escaped.is_ascii() {
            return escaped;
        }
        let plain = |c: char| match c {
            '…' => '~',
            c if c.is_ascii() => c,
            _ => '?',
        };
        Cow::Owned(escaped.chars().map(plain).collect())
    }

    /// The characters of graphs.
    pub fn bars(self) -> bar::Set<'static> {
        if !self.ascii {
            return bar::NINE_LEVELS;
        }
        bar::Set {
            full: "#",
            seven_eighths: "#",
            three_quarters: "*",
            five_eighths: "+",
            half: "=",
            three_eighths: "-",
            one_quarter: ":",
            one_eighth: ".",
            empty: " ",
        }
    }

    /// Marks of the sort column: falling and rising.
    pub fn arrows(self) -> (char, char) {
        if self.ascii {
            ('v', '^')
        } else {
            ('▼', '▲')
        }
    }

    /// The mark of a row that shows the sum of its branch of the tree.
    pub fn sum(self) -> &'static str {
        if self.ascii { "sum " } else { "Σ " }
    }

    /// The characters of a scrollbar: its track, and the part that is visible.
    pub fn scrollbar(self) -> (&'static str, &'static str) {
        if self.ascii {
            ("|", "#")
        } else {
            ("│", "█")
        }
    }

    /// The mark of a text that is cut.
    pub fn ellipsis(self) -> &'static str {
        if self.ascii { "~" } else { "…" }
    }

    /// The parts of a tree's lines: past a branch, blank, to a branch, to the last
    /// branch.
    pub fn branches(self) -> [&'static str; 4] {
        if self.ascii {
            ["| ", "  ", "|-", "`-"]
        } else {
            ["│ ", "  ", "├─", "└─"]
        }
    }
}

/// NO_COLOR as <https://no-color.org> says, COLORTERM as terminals set it, and TERM by
/// the names of terminfo.
fn detected(variable: impl Fn(&str) -> String) -> Colors {
    if !variable("NO_COLOR").is_empty() {
        return Colors::None;
    }
    let term = variable("TERM");
    match variable("COLORTERM").as_str() {
        "truecolor" | "24bit" => Colors::True,
        _ if term.ends_with("-direct") => Colors::True,
        _ if term.contains("256color") => Colors::Indexed,
        _ if term == "dumb" || term.starts_with("vt1") || term.starts_with("vt2") => Colors::None,
        _ => Colors::Ansi,
    }
}

/// The first of these variables that is set decides (locale(7)).
fn is_utf8(variable: impl Fn(&str) -> String) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().map(variable);
    let locale = locale.into_iter().find(|value| !value.is_empty());
    let locale = locale.unwrap_or_default().to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment<'a>(set: &'a [(&str, &str)]) -> impl Fn(&str) -> String + 'a {
        |name| {
            let value = set.iter().find(|(known, _)| *known == name);
            value.map_or(String::new(), |(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn the_environment_selects_the_colours() {
        for (set, colors) in [
            (&[("TERM", "xterm-256color")][..], Colors::Indexed),
            (
                &[("TERM", "xterm"), ("COLORTERM", "truecolor")],
                Colors::True,
            ),
            (&[("TERM", "linux")], Colors::Ansi),
            (&[("TERM", "vt100")], Colors::None),
            (
                &[("TERM", "xterm-256color"), ("NO_COLOR", "1")],
                Colors::None,
            ),
            (
                &[("TERM", "xterm-256color"), ("NO_COLOR", "")],
                Colors::Indexed,
            ),
        ] {
            assert_eq!(detected(environment(set)), colors, "{set:?}");
        }
    }

    #[test]
    fn the_locale_selects_the_characters() {
        assert!(is_utf8(environment(&[("LANG", "de_DE.UTF-8")])));
        assert!(is_utf8(environment(&[
            ("LC_CTYPE", "C.utf8"),
            ("LANG", "C")
        ])));
        assert!(!is_utf8(environment(&[
            ("LC_ALL", "C"),
            ("LANG", "de_DE.UTF-8")
        ])));
        assert!(!is_utf8(environment(&[])));
    }

    #[test]
    fn ascii_is_ascii() {
        let theme = Theme {
            colors: Colors::None,
            ascii: true,
        };
        assert_eq!(theme.text("ä\u{1b}[2J日…"), "?\\x1b[2J?~");
        let bars = theme.bars();
        assert!(
            [bars.full, bars.half, bars.one_eighth]
                .iter()
                .all(|s| s.is_ascii())
        );
        assert!(theme.branches().iter().all(|s| s.is_ascii()));
    }

    /// WCAG 2's relative luminance.
    fn luminance(rgb: [u8; 3]) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            match part <= 0.04045 {
                true => part / 12.92,
                false => ((part + 0.055) / 1.055).powf(2.4),
            }
        };
        let [r, g, b] = rgb.map(linear);
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    #[test]
    fn every_tone_can_be_read_on_black_and_on_white() {
        for (tone, _, index, rgb) in TONES {
            // The 6x6x6 cube of xterm.
            let level = |n: u8| [0, 95, 135, 175, 215, 255][usize::from(n)];
            let cube = index - 16;
            let indexed = [level(cube / 36), level(cube / 6 % 6), level(cube % 6)];
            for rgb in [rgb, indexed] {
                let l = luminance(rgb) + 0.05;
                let (on_black, on_white) = (l / 0.05, 1.05 / l);
                assert!(
                    on_black >= 3.5 && on_white >= 3.5,
                    "{tone:?} {rgb:?}: {on_black:.1} {on_white:.1}"
                );
            }
        }
    }
}
