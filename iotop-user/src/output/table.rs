//! The text batch: a few lines for the machine, then one line a task.
//!
//! Every value is one word, so the number of columns never depends on the
//! values; what is not known is `-`.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::{escape, units};
use crate::{
    cli::Text,
    collect::{Sample, System, Task, Unattributed},
};

/// What a column is called and how wide it is; the last one has no width.
const COLUMNS: [(&str, usize); 13] = [
    ("TID", 7),
    ("PRIO", 4),
    ("USER", 8),
    ("DISK_READ", 11),
    ("DISK_WRITE", 11),
    ("CAUSED", 11),
    ("VIA_KERNEL", 11),
    ("PENDING", 9),
    ("LAG", 6),
    ("SWAPIN", 7),
    ("IO", 7),
    ("EXIT", 4),
    ("COMMAND", 0),
];

/// Prints samples as text.
#[derive(Debug)]
pub struct Table {
    text: Text,
    zone: TimeZone,
    notices: Vec<String>,
    header_printed: bool,
}

impl Table {
    /// `notices` say what is missing and why; `zone` is that of the times.
    pub fn new(text: Text, zone: TimeZone, notices: Vec<String>) -> Table {
        Table {
            text,
            zone,
            notices,
            header_printed: false,
        }
    }

    /// One interval.
    pub fn format(&mut self, sample: &Sample) -> String {
        let prefix = if self.text.time {
            let time = sample.time.to_zoned_datetime(self.zone.clone());
            format!("{} ", time.strftime("%H:%M:%S"))
        } else {
            String::new()
        };
        let mut lines = Vec::new();
        if self.text.quiet < 3 {
            self.system_lines(sample, &mut lines);
        }
        let header = match self.text.quiet {
            0 => true,
            1 => !self.header_printed,
            _ => false,
        };
        if header {
            self.header_printed = true;
            lines.push(self.header());
        }
        let mut tasks: Vec<&Task> = sample.tasks.iter().collect();
        tasks.sort_by_key(|task| (std::cmp::Reverse(weight(task)), task.tid));
        lines.extend(tasks.into_iter().map(|task| self.row(task, sample)));
        lines.iter().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{prefix}{}", line.trim_end());
            text
        })
    }

    fn system_lines(&self, sample: &Sample, lines: &mut Vec<String>) {
        let system = &sample.system;
        let sum = |of: fn(&Task) -> Option<u64>| {
            sample
                .tasks
                .iter()
                .filter_map(of)
                .reduce(|a, b| a.saturating_add(b))
        };
        let rate = |bytes: Option<u64>| self.rate(bytes, sample);
        lines.push(format!(
            "Total DISK READ: {:>11} | Total DISK WRITE: {:>11}",
            rate(sum(|task| task.stats.read_bytes)),
            rate(sum(|task| task.stats.write_bytes)),
        ));
        lines.push(format!(
            "Actual DISK READ: {:>10} | Actual DISK WRITE: {:>10}",
            rate(system.pgpgin_bytes),
            rate(system.pgpgout_bytes),
        ));
        let block = system.block.as_ref();
        let reasons = block.map(|block| self.reasons(&block.unattributed, sample));
        lines.push(format!(
            "Attributed: {} | Shared: {} | Unattributed: {}{}",
            rate(block.map(|b| b.attributed)),
            rate(block.map(|b| b.shared)),
            rate(block.map(|b| b.unattributed.in_total())),
            reasons.unwrap_or_default(),
        ));
        lines.extend(losses(system));
        lines.extend(
            self.notices
                .iter()
                .map(|notice| format!("! {}", escape(notice))),
        );
    }

    /// The reasons that are not 0, in brackets.
    fn reasons(&self, of: &Unattributed, sample: &Sample) -> String {
        let named = [
            ("pre-trace", of.pre_trace),
            ("metadata", of.metadata),
            ("swap", of.swap),
            ("overflow", of.overflow),
            ("unknown", of.unknown),
            ("besides: stacked", of.stacked),
        ];
        let parts: Vec<String> = named
            .into_iter()
            .filter(|(_, bytes)| *bytes != 0)
            .map(|(name, bytes)| format!("{name} {}", self.rate(Some(bytes), sample)))
            .collect();
        if parts.is_empty() {
            String::new()
        } else {
            format!(" ({})", parts.join(", "))
        }
    }

    fn header(&self) -> String {
        let mut names = COLUMNS.map(|(name, _)| name.to_owned());
        if self.text.processes {
            names[0] = "PID".to_owned();
        }
        join(&names)
    }

    fn row(&self, task: &Task, sample: &Sample) -> String {
        let block = task.block.as_ref();
        let rate = |bytes: Option<u64>| self.rate(bytes, sample);
        let delay = |ns: Option<u64>| {
            ns.map_or(units::UNKNOWN.to_owned(), |ns| {
                units::percent(std::time::Duration::from_nanos(ns), sample.interval)
            })
        };
        join(&[
            task.tid.to_string(),
            task.prio.as_deref().unwrap_or(units::UNKNOWN).to_owned(),
            one_word(task.user.as_deref()),
            rate(task.stats.read_bytes),
            rate(task.stats.write_bytes),
            rate(block.map(|b| b.write() + b.write_shared)),
            rate(block.map(|b| b.write_flushed)),
            block.map_or(units::UNKNOWN.to_owned(), |b| {
                b.dirty_pending
                    .map_or(units::UNKNOWN.to_owned(), |n| self.bytes(n as f64))
            }),
            block
                .and_then(|b| b.lag)
                .map_or(units::UNKNOWN.to_owned(), |lag| units::duration(lag.avg())),
            delay(task.stats.swapin_delay_ns),
            delay(task.stats.blkio_delay_ns),
            if task.exited { "exit" } else { units::UNKNOWN }.to_owned(),
            command(task),
        ])
    }

    /// Bytes of the interval: a second's, or all with `-a`.
    fn rate(&self, bytes: Option<u64>, sample: &Sample) -> String {
        let Some(bytes) = bytes else {
            return units::UNKNOWN.to_owned();
        };
        if self.text.accumulated {
            return self.bytes(bytes as f64);
        }
        let seconds = sample.interval.as_secs_f64();
        if seconds == 0.0 {
            return units::UNKNOWN.to_owned();
        }
        format!("{}/s", self.bytes(bytes as f64 / seconds))
    }

    fn bytes(&self, bytes: f64) -> String {
        units::bytes(bytes, self.text.kilobytes)
    }
}

/// What the rows are sorted by.
fn weight(task: &Task) -> u64 {
    let block = task.block.unwrap_or_default();
    let moved = [
        block.write() + block.write_shared,
        task.stats.write_bytes.unwrap_or(0),
        task.stats.read_bytes.unwrap_or(0),
        block.dirty_pending.unwrap_or(0),
    ];
    moved.into_iter().fold(0, u64::saturating_add)
}

fn losses(system: &System) -> Option<String> {
    if system.lost.is_nothing() {
        return None;
    }
    let parts: Vec<String> = system
        .lost
        .named()
        .into_iter()
        .filter_map(|(name, n)| Some(format!("{name} {}", n.filter(|n| *n != 0)?)))
        .collect();
    Some(format!(
        "! Lost: {}; the figures below are too low",
        parts.join(", ")
    ))
}

/// Kernel threads in brackets, as ps shows them.
fn command(task: &Task) -> String {
    match (&task.cmdline, task.kthread) {
        (_, true) => format!("[{}]", escape(&task.comm)),
        (Some(line), false) => escape(line).into_owned(),
        (None, false) => escape(&task.comm).into_owned(),
    }
}

fn one_word(name: Option<&str>) -> String {
    match name {
        Some(name) if !name.is_empty() => escape(name).replace(' ', "_"),
        _ => units::UNKNOWN.to_owned(),
    }
}

fn join(words: &[String; COLUMNS.len()]) -> String {
    let mut line = String::new();
    for (n, (word, (_, width))) in words.iter().zip(COLUMNS).enumerate() {
        let left = matches!(n, 1 | 2) || width == 0;
        let _ = if left {
            write!(line, "{word:<width$} ")
        } else {
            write!(line, "{word:>width$} ")
        };
    }
    line.trim_end().to_owned()
}
