//! A terminal's screen as a picture.

use std::fmt::Write as _;

use vt100::{Cell, Color, Screen};

/// A character's size in pixels, and where its baseline is.
const WIDTH: f64 = 8.4;
const HEIGHT: f64 = 18.0;
const BASELINE: f64 = 13.5;
/// Space around the text.
const MARGIN: f64 = 12.0;

/// A terminal's own colours.
#[derive(Clone, Copy)]
pub struct Paper {
    text: [u8; 3],
    ground: [u8; 3],
}

impl Paper {
    /// Light text on a dark ground.
    pub const DARK: Paper = Paper {
        text: [0xd8, 0xd8, 0xd8],
        ground: [0x16, 0x18, 0x1c],
    };
    /// Dark text on a light ground.
    pub const LIGHT: Paper = Paper {
        text: [0x20, 0x20, 0x20],
        ground: [0xff, 0xff, 0xff],
    };
}

/// xterm's first 16 colours.
const ANSI: [[u8; 3]; 16] = [
    [0, 0, 0],
    [205, 0, 0],
    [0, 205, 0],
    [205, 205, 0],
    [0, 0, 238],
    [205, 0, 205],
    [0, 205, 205],
    [229, 229, 229],
    [127, 127, 127],
    [255, 0, 0],
    [0, 255, 0],
    [255, 255, 0],
    [92, 92, 255],
    [255, 0, 255],
    [0, 255, 255],
    [255, 255, 255],
];

/// How a run of characters looks.
#[derive(Clone, Copy, PartialEq)]
struct Look {
    text: [u8; 3],
    ground: Option<[u8; 3]>,
    bold: bool,
    underlined: bool,
}

/// The screen as an SVG picture.
pub fn picture(screen: &Screen, title: &str, paper: Paper) -> String {
    let (rows, columns) = screen.size();
    let (rows, columns) = (rows.get(), columns.get());
    let width = f64::from(columns) * WIDTH + 2.0 * MARGIN;
    let height = f64::from(rows) * HEIGHT + 2.0 * MARGIN;
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height:.1}\" \
         width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">\n\
         <title>{}</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{}\"/>\n\
         <g font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" \
         font-size=\"14\" xml:space=\"preserve\">",
        escaped(title),
        hex(paper.ground),
    );
    for row in 0..rows {
        for (column, text, cells, look) in runs(screen, row, columns, paper) {
            run(&mut svg, row, column, &text, cells, look);
        }
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

/// Neighbouring cells with the same look: where they begin, the text, how many cells,
/// the look.
fn runs(screen: &Screen, row: u16, columns: u16, paper: Paper) -> Vec<(u16, String, u16, Look)> {
    let mut runs: Vec<(u16, String, u16, Look)> = Vec::new();
    for column in 0..columns {
        let Some(cell) = screen.cell(row, column) else {
            continue;
        };
        if cell.is_wide_continuation() {
            continue;
        }
        let look = look(cell, paper);
        let cells = if cell.is_wide() { 2 } else { 1 };
        let text = if cell.has_contents() {
            cell.contents()
        } else {
            " "
        };
        match runs.last_mut() {
            Some((_, known, length, same)) if *same == look => {
                known.push_str(text);
                *length += cells;
            }
            _ => runs.push((column, text.to_owned(), cells, look)),
        }
    }
    runs
}

fn run(svg: &mut String, row: u16, column: u16, text: &str, cells: u16, look: Look) {
    let x = MARGIN + f64::from(column) * WIDTH;
    let y = MARGIN + f64::from(row) * HEIGHT;
    let width = f64::from(cells) * WIDTH;
    if let Some(ground) = look.ground {
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" fill=\"{}\"/>",
            hex(ground)
        );
    }
    if look.underlined {
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"1\" fill=\"{}\"/>",
            y + HEIGHT - 1.0,
            hex(look.text)
        );
    }
    if text.trim().is_empty() {
        return;
    }
    let bold = if look.bold {
        " font-weight=\"bold\""
    } else {
        ""
    };
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{:.1}\" textLength=\"{width:.1}\" \
         lengthAdjust=\"spacingAndGlyphs\" fill=\"{}\"{bold}>{}</text>",
        y + BASELINE,
        hex(look.text),
        escaped(text),
    );
}

fn look(cell: &Cell, paper: Paper) -> Look {
    let mut text = color(cell.fgcolor()).unwrap_or(paper.text);
    let mut ground = color(cell.bgcolor());
    if cell.dim() {
        text =
            std::array::from_fn(|n| ((u16::from(text[n]) + u16::from(paper.ground[n])) / 2) as u8);
    }
    if cell.inverse() {
        (text, ground) = (ground.unwrap_or(paper.ground), Some(text));
    }
    Look {
        text,
        ground,
        bold: cell.bold(),
        underlined: cell.underline(),
    }
}

/// xterm's 256 colours: 16, a cube of 6x6x6, and 24 greys.
fn color(color: Color) -> Option<[u8; 3]> {
    let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
    match color {
        Color::Default => None,
        Color::Rgb(r, g, b) => Some([r, g, b]),
        Color::Idx(n @ 0..16) => Some(ANSI[usize::from(n)]),
        Color::Idx(n @ 16..232) => {
            let n = n - 16;
            Some([level(n / 36), level(n / 6 % 6), level(n % 6)])
        }
        Color::Idx(n) => Some([8 + 10 * (n - 232); 3]),
    }
}

fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use super::*;

    #[test]
    fn a_screen_keeps_its_text_and_its_looks() {
        let mut parser = vt100::Parser::new(
            NonZero::new(2).expect("2"),
            NonZero::new(20).expect("20"),
            0,
        );
        parser.process("a<b \x1b[7mchosen\x1b[0m\r\n\x1b[1;38;2;1;2;3mbold 日\x1b[0m".as_bytes());
        let svg = picture(parser.screen(), "x & y", Paper::DARK);
        for part in ["a&lt;b", "x &amp; y", ">chosen<", "#010203", "bold", "日"] {
            assert!(svg.contains(part), "{part} is not in {svg}");
        }
        assert!(
            svg.contains(&format!("fill=\"{}\"/>", hex(Paper::DARK.text))),
            "the chosen one's ground"
        );
    }
}
