//! Text output: a few lines for the machine, then one line per row.
//!
//! Every value is one word, so the number of columns never depends on the values. An
//! unknown value is `-`. Only the last column may contain spaces.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::{cell::Scale, losses_named, missing_intervals, nameless, whom::Whose};
use crate::{
    escape::{escape, task_name},
    sample::{Reason, Sample, Submitted, System, Task, Unattributed},
    view::{
        Row, Value,
        fields::{self, Field, Kind},
    },
};

/// Usual columns in the order in which they are left out on a terminal that has no room for
/// them. What a task submitted for others is also in its COMMAND.
const DISPENSABLE: [&str; 3] = ["FOR_OTHERS", "METADATA", "AMPLIF"];
/// A usual column from the first interval on in which it is not 0 for some row. It comes after
/// `BEFORE_OTHERS`.
const FOR_OTHERS: &str = "submitted_for_others_bytes";
const BEFORE_OTHERS: &str = "block_write_flushed_bytes";
/// Smallest width of the last column while others are left out.
const NAME: usize = 14;

/// How the text looks.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// Totals instead of rates.
    pub accumulated: bool,
    /// Kilobytes instead of fitting units.
    pub kilobytes: bool,
    /// The time on every line.
    pub time: bool,
    /// How many headers are left out: 0 (none) to 3 (the totals too).
    pub quiet: u8,
    /// The columns.
    pub columns: Vec<&'static Field>,
    /// They are the usual ones, and not chosen: a narrow terminal may lack some of them.
    pub usual: bool,
    /// Command lines are not cut at the edge of a terminal.
    pub full_lines: bool,
    /// The devices that the block totals belong to; `None`: all.
    pub device: Option<String>,
}

impl Default for Text {
    fn default() -> Text {
        Text {
            accumulated: false,
            kilobytes: false,
            time: false,
            quiet: 0,
            columns: fields::columns(false, None),
            usual: true,
            full_lines: false,
            device: None,
        }
    }
}

/// Prints samples as text.
#[derive(Debug)]
pub struct Table {
    text: Text,
    zone: TimeZone,
    notices: Vec<String>,
    header_printed: bool,
}

impl Table {
    /// `notices` say what is missing and why; `zone` is the time zone of all times.
    pub fn new(text: Text, zone: TimeZone, notices: Vec<String>) -> Table {
        Table {
            text,
            zone,
            notices,
            header_printed: false,
        }
    }

    /// Whether there are lines for the machine above the rows.
    pub fn has_totals(&self) -> bool {
        self.text.quiet < 3
    }

    /// Formats one interval for a terminal of this width, or for a file or pipe. On a
    /// terminal, some usual columns are left out if there is no room, and the last column is
    /// cut at the edge.
    pub fn format(&mut self, sample: &Sample, rows: &[Row], width: Option<usize>) -> String {
        let prefix = if self.text.time {
            let time = sample.time.to_zoned_datetime(self.zone.clone());
            format!("{} ", time.strftime("%H:%M:%S"))
        } else {
            String::new()
        };
        let mut lines = Vec::new();
        let scale = Scale {
            interval: sample.interval,
            accumulated: self.text.accumulated,
            kilobytes: self.text.kilobytes,
        };
        if self.has_totals() {
            self.system_lines(sample, &scale, &mut lines);
        }
        self.look_for_others(rows);
        let header = match self.text.quiet {
            0 => true,
            1 => !self.header_printed,
            _ => false,
        };
        let width = width.map(|width| width.saturating_sub(prefix.len()));
        let columns = self.fitting(width);
        let width = width.filter(|_| !self.text.full_lines);
        if header {
            self.header_printed = true;
            let name = |field: &Field| field.header.to_owned();
            lines.push(line(&columns, width, name, |field, _| name(field)));
        }
        for row in rows {
            let cell = |field: &Field| scale.cell(field, *row, false);
            let last = |field: &Field, room| last(sample, &scale, field, *row, room);
            lines.push(line(&columns, width, cell, last));
        }
        lines.iter().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{prefix}{}", line.trim_end());
            text
        })
    }

    fn system_lines(&mut self, sample: &Sample, scale: &Scale, lines: &mut Vec<String>) {
        let system = &sample.system;
        let total = sample
            .tasks
            .iter()
            .fold(system.counted, |sum, task| sum + task.stats);
        lines.push(format!(
            "Total DISK READ: {:>11} | Total DISK WRITE: {:>11}",
            scale.rate(total.read_bytes),
            scale.rate(total.write_bytes),
        ));
        lines.push(format!(
            "Actual DISK READ: {:>10} | Actual DISK WRITE: {:>10}",
            scale.rate(system.pgpgin_bytes),
            scale.rate(system.pgpgout_bytes),
        ));
        let block = system.block.as_ref();
        let on = self.text.device.as_deref();
        let reasons = block.map(|block| reasons(&block.unattributed, scale));
        lines.push(format!(
            "{}Attributed: {} | Shared: {} | Unattributed: {}{}",
            on.map_or(String::new(), |device| format!("On {}: ", escape(device))),
            scale.rate(block.map(|b| b.attributed)),
            scale.rate(block.map(|b| b.shared)),
            scale.rate(block.map(|b| b.unattributed.in_total())),
            reasons.unwrap_or_default(),
        ));
        lines.extend(missing_intervals(&system.lost).map(|missing| format!("! {missing}")));
        lines.extend(losses(system));
        lines.extend(
            sample
                .ended
                .iter()
                .map(|pid| format!("! {}", process_ended(*pid))),
        );
        // Notices hold for the whole run, so they are printed once.
        let notices = self.notices.drain(..);
        lines.extend(notices.map(|notice| format!("! {}", escape(&notice))));
    }

    /// Adds the column for what was submitted for others, once that is not 0. It then stays:
    /// the columns of a run change at most once, and never without their names.
    fn look_for_others(&mut self, rows: &[Row]) {
        let columns = &mut self.text.columns;
        let Some(at) = columns.iter().position(|field| field.name == BEFORE_OTHERS) else {
            return;
        };
        let Ok(field) = fields::find(FOR_OTHERS) else {
            return;
        };
        let any = |row: &Row| !matches!(field.value(*row), Value::Unknown | Value::Number(0));
        let named = self.text.quiet < 2;
        if self.text.usual && named && !columns.contains(&field) && rows.iter().any(any) {
            columns.insert(at + 1, field);
            self.header_printed = false;
        }
    }

    /// The columns that fit.
    fn fitting(&self, width: Option<usize>) -> Vec<&'static Field> {
        let mut columns = self.text.columns.clone();
        let Some(width) = width.filter(|_| self.text.usual) else {
            return columns;
        };
        for header in DISPENSABLE {
            let others = columns.iter().rev().skip(1);
            let taken: usize = others.map(|field| wide(field) + 1).sum();
            if taken + NAME <= width {
                break;
            }
            columns.retain(|field| field.header != header);
        }
        columns
    }
}

/// A line with a word for each column. `last` gets the room that is left for the last one.
fn line(
    columns: &[&'static Field],
    width: Option<usize>,
    word: impl Fn(&Field) -> String,
    last_word: impl Fn(&Field, Option<usize>) -> String,
) -> String {
    let Some((last, columns)) = columns.split_last() else {
        return String::new();
    };
    let mut line = String::new();
    for field in columns {
        pad(&mut line, field, &word(field));
        line.push(' ');
    }
    // A line that is too long even so still shows the start of a name.
    let room = width.map(|width| width.saturating_sub(line.width()).max(last.header.len()));
    let word = last_word(last, room);
    match last.kind {
        Kind::Word => line.push_str(cut(&word, room)),
        _ => pad(&mut line, last, &word),
    }
    line
}

/// The last column of a row. A command is followed by whose data the task submits.
fn last(sample: &Sample, scale: &Scale, field: &Field, row: Row, room: Option<usize>) -> String {
    let cell = scale.cell(field, row, true);
    let task = row.task().filter(|_| field.name == "command");
    match task.and_then(|task| Some((task, sample.for_others.of(task)?))) {
        None => cell,
        Some((task, submitted)) => with_whose(task, submitted, scale, cell, room),
    }
}

fn with_whose(
    task: &Task,
    submitted: &Submitted,
    scale: &Scale,
    command: String,
    room: Option<usize>,
) -> String {
    let whose = Whose {
        kthread: task.kthread,
        ago: None,
        scale: *scale,
    };
    match room {
        None if task.kthread => format!("{command} {}", whose.text(submitted, usize::MAX)),
        None => format!("{command} ({})", whose.text(submitted, usize::MAX)),
        // On a terminal the command line makes room for it, as in the live view.
        Some(room) => {
            let name = match task.kthread {
                true => command.clone(),
                false => escape(&task_name(&task.comm, false)).into_owned(),
            };
            let text = format!("{name} ");
            let text = match room.checked_sub(text.width()) {
                Some(left) => format!("{text}{}", whose.text(submitted, left)),
                None => return command,
            };
            if text.width() <= room { text } else { command }
        }
    }
}

fn wide(field: &Field) -> usize {
    field.width.max(field.header.len())
}

/// Aligns words left and numbers right.
fn pad(line: &mut String, field: &Field, word: &str) {
    let padding = " ".repeat(wide(field).saturating_sub(word.width()));
    if field.kind == Kind::Word {
        line.push_str(word);
        line.push_str(&padding);
    } else {
        line.push_str(&padding);
        line.push_str(word);
    }
}

/// The beginning of `text` that fits in `room` columns of a terminal.
pub(super) fn cut(text: &str, room: Option<usize>) -> &str {
    let Some(room) = room else { return text };
    let mut taken = 0;
    for (at, c) in text.char_indices() {
        taken += c.width().unwrap_or(0);
        if taken > room {
            return &text[..at];
        }
    }
    text
}

/// The reasons that are not 0, in brackets. Those that are not part of the sum come
/// last.
pub(crate) fn reasons(of: &Unattributed, scale: &Scale) -> String {
    let (in_total, besides): (Vec<_>, Vec<_>) = of
        .parts()
        .filter(|(_, bytes)| *bytes != 0)
        .partition(|(reason, _)| reason.is_in_total());
    let part = |prefix: &str, (reason, bytes): (Reason, u64)| {
        format!("{prefix}{} {}", reason.label(), scale.rate(Some(bytes)))
    };
    let in_total = in_total.into_iter().map(|one| part("", one));
    let besides = besides.into_iter().map(|one| part("not included: ", one));
    let parts: Vec<String> = in_total.chain(besides).collect();
    if parts.is_empty() {
        String::new()
    } else {
        format!(" ({})", parts.join(", "))
    }
}

/// The message that a process which the user chose by number has ended.
pub fn process_ended(pid: u32) -> String {
    format!("process {pid} has ended; another one that gets its number is not shown")
}

/// What was lost: bytes, which is an alarm, and names, which is a note.
fn losses(system: &System) -> impl Iterator<Item = String> {
    let lost = losses_named(&system.lost);
    let lost = lost.map(|lost| format!("! Lost: {lost}; the figures below are incomplete"));
    let names = nameless(&system.lost).map(|names| format!("Note: {names}"));
    lost.into_iter().chain(names)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(cut("日本語", Some(4)), "日本");
        assert_eq!(cut("日本語", Some(5)), "日本");
        assert_eq!(cut("日本語", None), "日本語");
    }

    proptest! {
        #[test]
        fn a_cut_text_fits_and_is_the_beginning(text: String, room in 0usize..40) {
            let text = escape(&text);
            let cut = cut(&text, Some(room));
            prop_assert!(text.starts_with(cut));
            let width: usize = cut.chars().filter_map(|c| c.width()).sum();
            prop_assert!(width <= room);
        }
    }
}
