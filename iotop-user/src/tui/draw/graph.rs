//! Small graphs.

use ratatui::symbols::bar;

/// A graph of one line: one character per value, the newest to the right.
pub fn line(values: &[u64], width: usize, bars: &bar::Set<'static>) -> String {
    let most = values.iter().copied().max().unwrap_or(0);
    let from = values.len().saturating_sub(width);
    let mut line = " ".repeat(width.saturating_sub(values.len()));
    line.extend(values[from..].iter().map(|value| level(*value, most, bars)));
    line
}

/// A graph of several lines: each value is a column. The top line comes first.
pub fn area(values: &[u64], width: usize, height: usize, bars: &bar::Set<'static>) -> Vec<String> {
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    let from = values.len().saturating_sub(width);
    let eighths = |value: u64| {
        let eighths = (value as f64 * (height * 8) as f64 / most as f64).round() as usize;
        // A value that is not 0 is visible.
        eighths.max(usize::from(value != 0))
    };
    let line = |below: usize| {
        let mut line = " ".repeat(width.saturating_sub(values.len()));
        let part = |value: &u64| eighths(*value).saturating_sub(below * 8).min(8);
        line.extend(values[from..].iter().map(|value| symbol(part(value), bars)));
        line
    };
    (0..height).rev().map(line).collect()
}

fn level(value: u64, most: u64, bars: &bar::Set<'static>) -> &'static str {
    match value {
        0 => symbol(0, bars),
        value => symbol(
            ((value as f64 * 8.0 / most as f64).round() as usize).clamp(1, 8),
            bars,
        ),
    }
}

fn symbol(eighths: usize, bars: &bar::Set<'static>) -> &'static str {
    match eighths {
        0 => bars.empty,
        1 => bars.one_eighth,
        2 => bars.one_quarter,
        3 => bars.three_eighths,
        4 => bars.half,
        5 => bars.five_eighths,
        6 => bars.three_quarters,
        7 => bars.seven_eighths,
        _ => bars.full,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_to_the_right_and_the_largest_is_full() {
        assert_eq!(line(&[0, 1, 400, 800], 6, &bar::NINE_LEVELS), "   ▁▄█");
        assert_eq!(line(&[1, 2, 3], 2, &bar::NINE_LEVELS), "▅█");
        assert_eq!(line(&[], 3, &bar::NINE_LEVELS), "   ");
        assert_eq!(line(&[u64::MAX, 1], 2, &bar::NINE_LEVELS), "█▁");
    }

    #[test]
    fn a_high_graph_fills_from_below() {
        assert_eq!(
            area(&[1, 50, 100], 4, 2, &bar::NINE_LEVELS),
            ["   █", " ▁██"]
        );
        assert_eq!(area(&[], 2, 1, &bar::NINE_LEVELS), ["  "]);
    }
}
