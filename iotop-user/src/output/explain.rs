//! `--explain-writeback`: a block of plain words for each flush.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::{escape, units};
use crate::collect::{Flush, FlushOwner, Lag, Reason, Sample, System, Task, Unattributed};

/// Files of one owner that are named; the rest is summed up.
const FILES: usize = 5;

/// Prints flushes as text.
#[derive(Debug)]
pub struct Explain {
    zone: TimeZone,
    notices: Vec<String>,
}

impl Explain {
    /// `notices` say what is missing and why; `zone` is that of the times.
    pub fn new(zone: TimeZone, notices: Vec<String>) -> Explain {
        Explain { zone, notices }
    }

    /// One interval; nothing when nothing was written for others.
    pub fn format(&mut self, sample: &Sample) -> String {
        let mut text = String::new();
        for notice in self.notices.drain(..) {
            let _ = writeln!(text, "! {}", escape(&notice));
        }
        let time = sample.time.to_zoned_datetime(self.zone.clone());
        let time = time.strftime("%F %T").to_string();
        for flush in &sample.flushes {
            block(&mut text, &time, flush, &sample.system);
        }
        text
    }
}

fn block(text: &mut String, time: &str, flush: &Flush, system: &System) {
    let who = flush.submitter.as_ref().map_or("somebody".to_owned(), name);
    let _ = writeln!(
        text,
        "{time} {}: {who} wrote {} in {} bios",
        escape(&flush.device_name),
        bytes(flush.totals.write),
        flush.bios,
    );
    let _ = writeln!(text, "  why: {}", why(flush, system));
    for owner in &flush.owners {
        owner_lines(text, owner, flush);
    }
    for (reason, n) in no_owner(&flush.totals.unattributed) {
        let _ = writeln!(
            text,
            "  {:>9} {:>6}  nobody's: {reason}",
            bytes(n),
            share(n, flush)
        );
    }
    text.push('\n');
}

fn owner_lines(text: &mut String, owner: &FlushOwner, flush: &Flush) {
    let mut line = format!(
        "  {:>9} {:>6}  {}{}",
        bytes(owner.bytes),
        share(owner.bytes, flush),
        name(&owner.task),
        waited(owner.lag.as_ref()),
    );
    let places = [&owner.task.container, &owner.task.unit, &owner.task.cmdline];
    for place in places.into_iter().flatten() {
        let _ = write!(line, "; {}", escape(place));
    }
    let _ = writeln!(text, "{line}");
    for file in owner.files.iter().take(FILES) {
        let name = match &file.path {
            Some(path) => escape(path).into_owned(),
            None => format!("inode {}", file.ino),
        };
        let _ = writeln!(text, "  {:>9}           {name}", bytes(file.bytes));
    }
    let rest = owner.files.get(FILES..).unwrap_or_default();
    if !rest.is_empty() {
        let sum: u64 = rest.iter().map(|file| file.bytes).sum();
        let _ = writeln!(
            text,
            "  {:>9}           {} more files",
            bytes(sum),
            rest.len()
        );
    }
}

/// One sentence, with the numbers behind it.
fn why(flush: &Flush, system: &System) -> String {
    let level = |bytes: Option<u64>| bytes.map_or(units::UNKNOWN.to_owned(), self::bytes);
    match &flush.reason {
        Reason::Journal => "the file system's journal commits a transaction".to_owned(),
        Reason::Reclaim => "memory is short: reclaim writes dirty pages itself".to_owned(),
        Reason::Task => "a task called sync, fsync or such, or had to free memory, and wrote \
                         what is not its own"
            .to_owned(),
        Reason::Kthread => "a kernel thread writes for a reason of its own".to_owned(),
        Reason::Writeback(reason) => match &**reason {
            "background" => format!(
                "background: more was dirty than vm.dirty_background_* allows ({}); {} is dirty now",
                level(system.background_threshold_bytes),
                level(system.dirty_bytes),
            ),
            "periodic" => format!(
                "periodic: data had been dirty for longer than vm.dirty_expire_centisecs{}",
                flush.lag.as_ref().map_or(String::new(), |lag| format!(
                    "; the oldest for {}",
                    units::duration(lag.max)
                )),
            ),
            "sync" => "sync: a task called sync or syncfs, or unmounted".to_owned(),
            "vmscan" => "vmscan: memory is short, and reclaim asked for clean pages".to_owned(),
            "laptop_timer" => {
                "laptop_timer: laptop mode writes all while the disk spins".to_owned()
            }
            "fs_free_space" => "fs_free_space: the file system runs out of free space".to_owned(),
            "foreign_flush" => {
                "foreign_flush: another cgroup dirties the file than the one it is charged to"
                    .to_owned()
            }
            other => format!("{other}: the kernel's reason"),
        },
    }
}

fn no_owner(of: &Unattributed) -> impl Iterator<Item = (&'static str, u64)> {
    let reasons = [
        ("dirty before the trace began", of.pre_trace),
        ("metadata and journals", of.metadata),
        ("swap", of.swap),
        ("one of our tables was full", of.overflow),
        ("unknown", of.unknown),
    ];
    reasons.into_iter().filter(|(_, bytes)| *bytes != 0)
}

fn name(task: &Task) -> String {
    let comm = escape(&task.comm);
    let gone = if task.exited { ", exited" } else { "" };
    match task.kthread {
        true => format!("[{comm}] (TID {}{gone})", task.tid),
        false if task.tid == task.pid => format!("{comm} (PID {}{gone})", task.pid),
        false => format!("{comm} (PID {}, TID {}{gone})", task.pid, task.tid),
    }
}

fn waited(lag: Option<&Lag>) -> String {
    lag.map_or(String::new(), |lag| {
        format!(
            ", dirty for {} on average, {} at most",
            units::duration(lag.avg()),
            units::duration(lag.max)
        )
    })
}

fn share(part: u64, flush: &Flush) -> String {
    format!(
        "{:.1}%",
        part as f64 * 100.0 / flush.totals.write.max(1) as f64
    )
}

fn bytes(n: u64) -> String {
    units::bytes(n as f64, false)
}
