//! The report as text: one label and one sentence a line.

use std::{borrow::Cow, fmt::Write as _, time::Duration};

use super::{FILES, Outcome, Report, Waited};
use crate::{
    escape::escape,
    output::{
        losses::{grouped, losses_named, nameless},
        units::{UNKNOWN, bytes, duration, ratio},
    },
    sample::{Loss, Metadata, Owned, TaskBlock},
};

/// The report.
pub fn text(report: &Report<'_>) -> String {
    let mut lines = vec![head(report)];
    let mut add = |label: &str, text: String| lines.push(format!("  {label:<10}  {text}"));
    let cost = &report.tally.cost;
    add("wrote", summary(report));
    if let Some(block) = &cost.block {
        let [dirtied, dropped] = [block.dirtied, block.cancelled].map(optional);
        add(
            "dirtied",
            format!("{dirtied} of page cache, {dropped} of it dropped before it was written"),
        );
        add("data", data(block));
        if block.metadata.total() != 0 {
            add("metadata", metadata(&block.metadata));
        }
        add("pending", pending(report));
        if block.throttles.is_none_or(|pauses| pauses != 0) {
            add("throttled", throttled(block));
        }
    }
    add("read", reads(report));
    if let Some(syncs) = syncs(cost.block.as_ref()) {
        add("syncs", syncs);
    }
    if !cost.commits.is_empty() {
        let calls = cost.commits.iter();
        let calls: Vec<String> = calls
            .map(|(call, count)| format!("{call} {}", grouped(*count)))
            .collect();
        add(
            "commits",
            format!("asked a journal to commit: {}", calls.join(", ")),
        );
    }
    for (number, block) in &cost.devices {
        let read = match block.read {
            0 => String::new(),
            read => format!("; {} read", size(read)),
        };
        add(
            "device",
            format!(
                "{}  {} written: {}{read}",
                escape(&report.device(*number)),
                size(block.caused()),
                parts(block)
            ),
        );
    }
    for ((device, ino, _), file) in cost.top_files(FILES) {
        let path = match &file.path {
            Some(path) => escape(path).into_owned(),
            None if ino == 0 => format!("without a file on {}", escape(&report.device(device))),
            None => format!("inode {ino} on {}", escape(&report.device(device))),
        };
        let mark = Owned::new(file.bytes, file.estimated).mark();
        add("file", format!("{mark}{}  {path}", size(file.bytes)));
    }
    let mut text = lines.join("\n");
    text.push('\n');
    for warning in warnings(report) {
        let _ = writeln!(text, "! {warning}");
    }
    text
}

fn size(n: u64) -> String {
    bytes(n as f64, false)
}

fn optional(n: Option<u64>) -> String {
    n.map_or(UNKNOWN.to_owned(), size)
}

fn count(n: u64, one: &str, several: &str) -> String {
    format!("{} {}", grouped(n), if n == 1 { one } else { several })
}

/// A word of a command line, in quotes where a shell would take it apart.
fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_alphanumeric() || "_-+=@%:,./".contains(c);
    match escape(word) {
        plain if !plain.is_empty() && plain.chars().all(is_plain) => plain,
        other => format!("'{}'", other.replace('\'', r"'\''")).into(),
    }
}

fn head(report: &Report<'_>) -> String {
    let words: Vec<_> = report.words.iter().map(|word| quoted(word)).collect();
    let end = match report.outcome {
        Outcome::Exited(status) => format!("exit status {status}"),
        Outcome::Signalled(signal) => match signal_hook::low_level::signal_name(signal) {
            Some(name) => format!("ended by {name}"),
            None => format!("ended by signal {signal}"),
        },
    };
    let tally = report.tally;
    let processes = match tally.is_rooted() {
        true => count(tally.processes(), "process", "processes"),
        false => format!("{UNKNOWN} processes"),
    };
    let running = match tally.running {
        0 => String::new(),
        n => format!(", {} still running", grouped(n)),
    };
    let took = duration(report.elapsed);
    format!(
        "{}: {end} after {took}, {processes}{running}",
        words.join(" ")
    )
}

/// `12.00M in 40,000 writes -> 1.30G on sda (108x): 160.00M data, ~1.10G metadata`.
fn summary(report: &Report<'_>) -> String {
    let cost = &report.tally.cost;
    let wrote = optional(cost.stats.write_char);
    let calls = cost
        .stats
        .write_syscalls
        .map_or(UNKNOWN.to_owned(), grouped);
    let Some(block) = &cost.block else {
        return format!("{wrote} in {calls} writes -> {UNKNOWN} on devices");
    };
    let caused = block.caused();
    let mut written = cost.devices.iter().filter(|(_, block)| block.caused() != 0);
    let devices = match (written.next(), written.count()) {
        (None, _) => "devices".to_owned(),
        (Some((device, _)), 0) => escape(&report.device(*device)).into_owned(),
        (Some(_), more) => format!("{} devices", more + 1),
    };
    let times = match cost.stats.write_char.filter(|wrote| *wrote != 0) {
        Some(wrote) => format!(" ({})", ratio(caused as f64 / wrote as f64)),
        None => String::new(),
    };
    let parts = parts(block);
    format!(
        "{wrote} in {calls} writes -> {} on {devices}{times}: {parts}",
        size(caused)
    )
}

/// Estimated data, which is no metadata.
fn estimated(block: &TaskBlock) -> u64 {
    block.write_shared.saturating_sub(block.metadata.total())
}

fn parts(block: &TaskBlock) -> String {
    let data = Owned::new(block.write() + estimated(block), estimated(block));
    let mut text = format!("{}{} data", data.mark(), size(data.bytes));
    for (kind, bytes) in block.metadata.parts() {
        if bytes != 0 {
            let _ = write!(text, ", ~{} {kind}", size(bytes));
        }
    }
    text
}

fn data(block: &TaskBlock) -> String {
    let (by_itself, by_others) = (size(block.write_self), size(block.write_flushed));
    let mut text = format!("{by_itself} submitted by itself, {by_others} by others for it");
    if estimated(block) != 0 {
        let _ = write!(text, ", ~{} estimated", size(estimated(block)));
    }
    text
}

fn metadata(metadata: &Metadata) -> String {
    let kinds = metadata
        .parts()
        .map(|(kind, n)| format!("{kind} {}", size(n)));
    match metadata.total() {
        0 => "0B".to_owned(),
        total => format!("~{}: {}", size(total), kinds.join(", ")),
    }
}

fn pending(report: &Report<'_>) -> String {
    let pending = optional(report.tally.pending);
    match report.waited {
        Waited::Complete if report.tally.pending.is_none_or(|pending| pending == 0) => {
            format!("{pending}; the file systems that it wrote to are written")
        }
        // Pages of tmpfs, or of a file system that can't be reached any more.
        Waited::Complete => format!("{pending} stays, although all file systems are written"),
        Waited::No => format!("{pending} not written yet; --wait waits for that and for metadata"),
        Waited::Interrupted => format!("{pending} not written yet; the wait was interrupted"),
    }
}

/// `None`: nothing to say.
fn syncs(block: Option<&TaskBlock>) -> Option<String> {
    let times = match block?.syncs {
        Some(0) => return None,
        Some(syncs) => count(syncs, "time", "times"),
        None => format!("{UNKNOWN} times"),
    };
    Some(format!(
        "waited {times} for a file to be written: fsync and the like"
    ))
}

fn throttled(block: &TaskBlock) -> String {
    let time = block.throttled_ns.map(Duration::from_nanos);
    let time = time.map_or(UNKNOWN.to_owned(), duration);
    let pauses = block.throttles.map_or(UNKNOWN.to_owned(), grouped);
    format!("slept {time} in {pauses} pauses, because too much was dirty")
}

fn reads(report: &Report<'_>) -> String {
    let cost = &report.tally.cost;
    let calls = cost.stats.read_syscalls.map_or(UNKNOWN.to_owned(), grouped);
    format!(
        "{} in {calls} reads, {} from devices",
        optional(cost.stats.read_char),
        optional(cost.block.map(|block| block.read))
    )
}

fn warnings(report: &Report<'_>) -> Vec<String> {
    let tally = report.tally;
    let mut warnings = Vec::new();
    if !tally.is_rooted() {
        warnings.push(
            "the command's processes can't be told from others, because no source lists the \
             process that started them"
                .to_owned(),
        );
    }
    if tally.unknown_tasks != 0 {
        warnings.push(format!(
            "{} had no record of their ancestors, so they may be missing above",
            count(tally.unknown_tasks, "task", "tasks")
        ));
    }
    let unknown = tally.unknown.block.map_or(0, |block| block.caused());
    if unknown != 0 {
        warnings.push(format!(
            "{} more was written by tasks that may or may not be the command's",
            size(unknown)
        ));
    }
    if tally.in_crowds != 0 {
        warnings.push(format!(
            "{} shared rows, because very many started and exited at once: those of the command \
             are missing above",
            count(tally.in_crowds, "task", "tasks")
        ));
    }
    if tally.lost[Loss::ExitRecords].is_none() {
        warnings.push(
            "no source here reports tasks that exit, so processes that lived for less than 0.2 s \
             are missing above"
                .to_owned(),
        );
    }
    if let Some(lost) = losses_named(&tally.lost) {
        warnings.push(format!("lost: {lost}; these figures are incomplete"));
    }
    warnings.extend(nameless(&tally.lost));
    warnings.extend(
        report
            .notices
            .iter()
            .map(|notice| escape(notice).into_owned()),
    );
    warnings
}
