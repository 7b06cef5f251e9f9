//! `--explain-writeback`: a block of text for each flush and each spike.

use std::{collections::HashSet, fmt::Write as _};

use jiff::{Timestamp, tz::TimeZone};

use super::{
    commits, losses_named, missing_intervals, nameless,
    reached::{Reached, write_calls},
    units,
    why::why,
};
use crate::{
    escape::escape,
    sample::{
        Flush, FlushLag, FlushOwner, Run, Sample, SharedTask, Spike, Task, TaskBlock, TaskKey,
        Unattributed,
    },
};

/// At most this many flushes of an interval get a block; the rest is summed up.
pub(crate) const FLUSHES: usize = 10;
/// At most this many owners of a flush are named.
const OWNERS: usize = 10;
/// At most this many files of an owner are named.
const FILES: usize = 5;
/// At most this many throttled tasks are named.
const THROTTLED: usize = 10;
/// At most this many tasks that changed metadata are named.
const CHANGERS: usize = 10;

/// Prints flushes and spikes as text.
#[derive(Debug)]
pub struct Explain {
    zone: TimeZone,
    notices: Vec<String>,
    only_spikes: bool,
}

impl Explain {
    /// `notices` say what is missing and why; `zone` is the time zone of all times.
    pub fn new(zone: TimeZone, notices: Vec<String>, only_spikes: bool) -> Explain {
        Explain {
            zone,
            notices,
            only_spikes,
        }
    }

    /// Formats one interval. The text is empty if there is nothing to report. Spikes
    /// are reported when they are over, or in the `last` interval.
    pub fn format(&mut self, sample: &Sample, last: bool) -> String {
        let mut text = String::new();
        for notice in self.notices.drain(..) {
            let _ = writeln!(text, "! {}", escape(&notice));
        }
        let at = self.second(sample.time);
        if let Some(missing) = missing_intervals(&sample.system.lost) {
            let _ = writeln!(text, "! {at} {missing}");
        }
        if let Some(lost) = losses_named(&sample.system.lost) {
            let _ = writeln!(text, "! {at} lost: {lost}; the figures are incomplete");
        }
        if let Some(names) = nameless(&sample.system.lost) {
            let _ = writeln!(text, "{at} note: {names}");
        }
        if !self.only_spikes {
            self.flushes(&mut text, sample);
            self.throttled(&mut text, sample);
            self.metadata(&mut text, sample);
        }
        for spike in sample.spikes.iter().filter(|spike| !spike.open || last) {
            self.spike(&mut text, spike);
            text.push('\n');
        }
        text
    }

    fn flushes(&self, text: &mut String, sample: &Sample) {
        let mut flushes = alike(&sample.flushes);
        let wrote = flushes.partition_point(|(flush, _)| flush.written.totals.write != 0);
        let ended = flushes.split_off(wrote);
        let at = self.second(sample.time);
        for (flush, submitters) in flushes.iter().take(FLUSHES) {
            self.flush(text, flush, *submitters, sample);
            text.push('\n');
        }
        for (flush, submitters) in ended.iter().take(FLUSHES) {
            let (device, who) = (escape(&flush.device_name), who(flush, *submitters));
            let _ = writeln!(text, "{at} {device}: {who} wrote nothing more");
            self.runs(text, &flush.runs);
            text.push('\n');
        }
        let rest = flushes.get(FLUSHES..).unwrap_or_default();
        if !rest.is_empty() {
            let sum = rest
                .iter()
                .map(|(flush, _)| flush.written.totals.write)
                .sum();
            let _ = writeln!(
                text,
                "{at} and {} smaller ones: {}\n",
                rest.len(),
                bytes(sum)
            );
        }
    }

    /// Formats one flush, or several alike ones from this many `submitters`.
    pub(crate) fn flush(
        &self,
        text: &mut String,
        flush: &Flush,
        submitters: usize,
        sample: &Sample,
    ) {
        let written = &flush.written;
        let _ = write!(
            text,
            "{} {}: {} wrote {} in {}",
            self.second(sample.time),
            escape(&flush.device_name),
            who(flush, submitters),
            bytes(written.totals.write),
            counted(written.bios, "bio"),
        );
        let _ = match flush.inodes {
            0 => writeln!(text),
            files => writeln!(text, ", {}", counted(files, "file")),
        };
        let _ = writeln!(text, "  why: {}", why(flush, &sample.system));
        if let Some(commits) = flush.commits.as_ref().and_then(commits::line) {
            let _ = writeln!(text, "  {commits}");
        }
        self.runs(text, &flush.runs);
        charged(text, flush);
        owners(text, &written.owners, written.totals.write);
        without_owner(text, &written.totals.unattributed, written.totals.write);
    }

    fn runs(&self, text: &mut String, runs: &[Run]) {
        let [run] = runs else {
            if !runs.is_empty() {
                let longest = runs.iter().filter_map(|run| run.duration).max();
                let longest = longest.map_or(units::UNKNOWN.to_owned(), units::duration);
                let _ = writeln!(text, "  {} runs, the longest {longest}", runs.len());
            }
            return;
        };
        let since = match (run.start, run.duration) {
            (Some(start), Some(duration)) => format!(
                "since {} for {}",
                self.millisecond(start),
                units::duration(duration)
            ),
            _ => "that began before the trace".to_owned(),
        };
        let goes_on = if run.end.is_none() { ", goes on" } else { "" };
        let pages = match (run.written_pages, run.requested_pages) {
            // The run has not finished its first round.
            (Some(0), _) if run.end.is_none() => String::new(),
            (None, _) => String::new(),
            (Some(written), Some(of)) => format!(": {written} pages written of {of} asked for"),
            (Some(written), None) => format!(": {written} pages written of all it finds"),
        };
        let _ = writeln!(text, "  a run {since}{goes_on}{pages}");
    }

    fn throttled(&self, text: &mut String, sample: &Sample) {
        let mut tasks: Vec<(u64, u64, &SharedTask)> = sample
            .tasks
            .iter()
            .filter_map(|task| {
                let block = task.block.as_ref()?;
                Some((block.throttled_ns?, block.throttles?, task))
            })
            .filter(|(_, throttles, _)| *throttles != 0)
            .collect();
        if tasks.is_empty() {
            return;
        }
        tasks.sort_by_key(|(ns, ..)| std::cmp::Reverse(*ns));
        let _ = writeln!(
            text,
            "{} held back, because too much is dirty (balance_dirty_pages):",
            self.second(sample.time)
        );
        for (ns, throttles, task) in tasks.iter().take(THROTTLED) {
            let _ = writeln!(
                text,
                "  {:>9}  {} in {}",
                units::duration(std::time::Duration::from_nanos(*ns)),
                name(task),
                counted(*throttles, "pause"),
            );
        }
        if let Some(rest) = tasks.len().checked_sub(THROTTLED).filter(|rest| *rest != 0) {
            let _ = writeln!(text, "             and {rest} more tasks");
        }
        text.push('\n');
    }

    /// Compares what tasks wrote with what reached the device, for those that changed
    /// metadata.
    fn metadata(&self, text: &mut String, sample: &Sample) {
        let changed = |task: &SharedTask| task.block.map_or(0, |block| block.metadata.total());
        let mut tasks: Vec<(u64, TaskBlock, &SharedTask)> = sample
            .tasks
            .iter()
            .filter_map(|task| Some((changed(task), task.block?, task)))
            .filter(|(bytes, ..)| *bytes != 0)
            .collect();
        if tasks.is_empty() {
            return;
        }
        tasks.sort_by_key(|(bytes, _, task)| (std::cmp::Reverse(*bytes), task.tid));
        let _ = writeln!(
            text,
            "{} journals and metadata, by the tasks that changed them (~ is an estimate):",
            self.second(sample.time)
        );
        for (changed, block, task) in tasks.iter().take(CHANGERS) {
            let reached = Reached::of(block).sentence(write_calls(task), false);
            let changed = format!("~{}", bytes(*changed));
            let _ = writeln!(text, "  {changed:>9}  {}: {reached}", name(task));
        }
        rest(
            text,
            tasks.iter().skip(CHANGERS).map(|(changed, ..)| *changed),
            "more tasks",
        );
        text.push('\n');
    }

    /// Formats one spike.
    pub(crate) fn spike(&self, text: &mut String, spike: &Spike) {
        let written = &spike.written;
        let usual = match spike.usual {
            0.0 => "usually nothing".to_owned(),
            usual => format!("usually less than {}/s", units::bytes(usual, false)),
        };
        let length = spike.end.duration_since(spike.start).unsigned_abs();
        let _ = writeln!(
            text,
            "SPIKE on {} from {} to {}{}: {} in {}, {}/s at most; {}",
            escape(&spike.device_name),
            self.second(spike.start),
            self.second(spike.end),
            if spike.open { " (goes on)" } else { "" },
            bytes(written.totals.write),
            units::duration(length),
            units::bytes(spike.peak, false),
            usual,
        );
        if let Some(oldest) = spike.oldest {
            let _ = writeln!(
                text,
                "  the oldest had been dirty since {}{}",
                self.second(oldest),
                waited(written.lag.as_ref()),
            );
        }
        let _ = writeln!(text, "  written by:");
        for part in spike.parts.iter().take(OWNERS) {
            let who = part.submitter.as_deref().map_or("somebody".into(), escape);
            let who = match part.kthread {
                true => format!("[{who}]"),
                false => who.into_owned(),
            };
            let _ = writeln!(
                text,
                "  {:>9} {:>6}  {who}: {}",
                bytes(part.bytes),
                share(part.bytes, written.totals.write),
                escape(part.reason.name()),
            );
        }
        rest(
            text,
            spike.parts.iter().skip(OWNERS).map(|part| part.bytes),
            "others",
        );
        let _ = writeln!(text, "  caused by:");
        owners(text, &written.owners, written.totals.write);
        without_owner(text, &written.totals.unattributed, written.totals.write);
    }

    fn second(&self, time: Timestamp) -> String {
        let time = time.to_zoned_datetime(self.zone.clone());
        time.strftime("%F %T").to_string()
    }

    fn millisecond(&self, time: Timestamp) -> String {
        let time = time.to_zoned_datetime(self.zone.clone());
        time.strftime("%T%.3f").to_string()
    }
}

/// Merges flushes of the same device, reason, submitter name and charged cgroup. Each
/// comes with its number of submitters; most bytes come first.
pub(crate) fn alike(flushes: &[Flush]) -> Vec<(Flush, usize)> {
    let mut alike: Vec<(Flush, HashSet<Option<TaskKey>>)> = Vec::new();
    let comm = |flush: &Flush| flush.submitter.as_ref().map(|task| task.comm.clone());
    for flush in flushes {
        let same = |(known, _): &&mut (Flush, _)| {
            known.device == flush.device
                && known.reason == flush.reason
                && comm(known) == comm(flush)
                && charged_cgroup(known) == charged_cgroup(flush)
        };
        let submitter = flush.submitter.as_ref().map(Task::key);
        match alike.iter_mut().find(same) {
            Some((known, submitters)) => {
                known.written.add(&flush.written);
                known.logged += flush.logged;
                known.commits = known.commits.take().or_else(|| flush.commits.clone());
                known.inodes = known.inodes.max(flush.inodes).max(files(known));
                known.runs.extend(flush.runs.iter().cloned());
                submitters.insert(submitter);
            }
            None => alike.push((flush.clone(), HashSet::from([submitter]))),
        }
    }
    alike.sort_by_key(|(flush, _)| std::cmp::Reverse(flush.written.totals.write));
    let counted = alike.into_iter();
    counted
        .map(|(flush, submitters)| (flush, submitters.len()))
        .collect()
}

/// Number of the files that are listed for the owners.
fn files(flush: &Flush) -> u64 {
    let files = flush.written.owners.iter().flat_map(|owner| &owner.files);
    let files = files.filter(|file| file.ino != 0);
    let inodes: HashSet<_> = files.map(|file| (file.ino, file.file)).collect();
    inodes.len() as u64
}

/// Names the submitter, or says how many there are.
pub(crate) fn who(flush: &Flush, submitters: usize) -> String {
    match &flush.submitter {
        None => "somebody".to_owned(),
        Some(task) if submitters == 1 => name(task),
        Some(task) if task.kthread => format!("{submitters} [{}]", escape(&task.comm)),
        Some(task) => format!("{submitters} tasks called {}", escape(&task.comm)),
    }
}

/// The cgroup that the kernel charges for the flush.
fn charged_cgroup(flush: &Flush) -> Option<&str> {
    flush.runs.iter().find_map(|run| run.cgroup.as_deref())
}

/// Names the charged cgroup if tasks of another one made the pages dirty.
fn charged(text: &mut String, flush: &Flush) {
    let Some(charged) = charged_cgroup(flush) else {
        return;
    };
    let by_another = |owner: &&FlushOwner| owner.task.cgroup.as_deref() != Some(charged);
    let others: u64 = flush
        .written
        .owners
        .iter()
        .filter(by_another)
        .map(|owner| owner.bytes)
        .sum();
    if others != 0 {
        let _ = writeln!(
            text,
            "  the kernel charges these files to the cgroup {}, but other cgroups made {} dirty",
            escape(charged),
            bytes(others)
        );
    }
}

fn owners(text: &mut String, owners: &[FlushOwner], all: u64) {
    for owner in owners.iter().take(OWNERS) {
        let mut line = format!(
            "  {:>9} {:>6}  {}{}{}",
            bytes(owner.bytes),
            share(owner.bytes, all),
            name(&owner.task),
            estimated(owner),
            waited(owner.lag.as_ref()),
        );
        let task = &owner.task;
        for place in [&task.container, &task.unit, &task.cmdline]
            .into_iter()
            .flatten()
        {
            let _ = write!(line, "; {}", escape(place));
        }
        let _ = writeln!(text, "{line}");
        let known = owner.files.iter().filter(|file| file.ino != 0);
        for file in known.clone().take(FILES) {
            let name = match &file.path {
                Some(path) => escape(path).into_owned(),
                None => format!("inode {}", file.ino),
            };
            let _ = writeln!(text, "  {:>9}           {name}", bytes(file.bytes));
        }
        rest(text, known.skip(FILES).map(|file| file.bytes), "more files");
    }
    rest(
        text,
        owners.iter().skip(OWNERS).map(|owner| owner.bytes),
        "more tasks",
    );
}

fn rest(text: &mut String, bytes: impl Iterator<Item = u64>, what: &str) {
    let (count, sum) = bytes.fold((0, 0), |(count, sum), bytes| (count + 1, sum + bytes));
    if count != 0 {
        let _ = writeln!(text, "  {:>9}           {count} {what}", self::bytes(sum));
    }
}

fn without_owner(text: &mut String, of: &Unattributed, all: u64) {
    let in_total = of.parts().filter(|(reason, _)| reason.is_in_total());
    for (reason, n) in in_total.filter(|(_, bytes)| *bytes != 0) {
        let reason = reason.sentence();
        let _ = writeln!(
            text,
            "  {:>9} {:>6}  no owner: {reason}",
            bytes(n),
            share(n, all)
        );
    }
}

/// A task's name and number.
pub(super) fn name(task: &Task) -> String {
    let comm = escape(&task.comm);
    let gone = if task.exited { ", exited" } else { "" };
    match task.kthread {
        true => format!("[{comm}] (TID {}{gone})", task.tid),
        false if task.tid == task.pid => format!("{comm} (PID {}{gone})", task.pid),
        false => format!("{comm} (PID {}, TID {}{gone})", task.pid, task.tid),
    }
}

/// What an owner's bytes are, if not all of them are exact data. Estimated parts have `~`.
fn estimated(owner: &FlushOwner) -> String {
    let reached = Reached {
        exact: owner.bytes.saturating_sub(owner.shared),
        shared: owner.shared,
        metadata: owner.metadata,
    };
    match owner.shared {
        0 => String::new(),
        _ => format!(", {}", reached.parts(false)),
    }
}

/// How long its pages had been dirty.
fn waited(lag: Option<&FlushLag>) -> String {
    let Some(lag) = lag else {
        return String::new();
    };
    let longest = units::duration(lag.lag.max);
    let Some((p50, p99)) = lag.p50().zip(lag.p99()).filter(|_| lag.lag.pages > 1) else {
        return format!(", dirty for {longest}");
    };
    format!(
        ", dirty for {} on average (p50 {}, p99 {}, max {longest})",
        units::duration(lag.lag.avg()),
        units::duration(p50),
        units::duration(p99),
    )
}

pub(super) fn counted(n: u64, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

fn share(part: u64, all: u64) -> String {
    format!("{:.1}%", part as f64 * 100.0 / all.max(1) as f64)
}

fn bytes(n: u64) -> String {
    units::bytes(n as f64, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{golden, sample::Written};

    #[test]
    fn a_submitter_of_two_alike_flushes_counts_once() {
        let flushed = golden::flushed();
        let one = flushed.flushes[0].clone();
        let mut other = one.clone();
        assert_eq!(alike(&[one.clone(), other.clone()])[0].1, 1);
        other.submitter.as_mut().expect("known").tid += 1;
        assert_eq!(alike(&[one, other])[0].1, 2);
    }

    #[test]
    fn a_run_that_only_ended_has_a_block_without_a_reason() {
        let mut sample = golden::flushed();
        sample.flushes.retain(|flush| !flush.runs.is_empty());
        sample.flushes[0].written = Written::default();
        let text = Explain::new(TimeZone::UTC, Vec::new(), false).format(&sample, false);
        let mut lines = text.lines();
        let first = lines.next().expect("a line");
        assert!(first.ends_with("wrote nothing more"), "{text}");
        let second = lines.next().expect("a line");
        assert!(second.starts_with("  a run since"), "{text}");
    }

    #[test]
    fn flushes_charged_to_different_cgroups_are_not_merged() {
        let flushed = golden::flushed();
        let with_runs = |flush: &&Flush| !flush.runs.is_empty() && !flush.written.owners.is_empty();
        let mut one = flushed.flushes.iter().find(with_runs).expect("one").clone();
        let mut other = one.clone();
        for owner in &mut other.written.owners {
            owner.task.tid += 1;
        }
        for (flush, cgroup) in [(&mut one, "/a.service"), (&mut other, "/b.service")] {
            let runs = flush.runs.iter_mut();
            runs.for_each(|run| run.cgroup = Some(cgroup.into()));
            let owners = flush.written.owners.iter_mut();
            owners.for_each(|owner| owner.task.cgroup = Some(cgroup.into()));
        }
        let mut text = String::new();
        for (flush, _) in alike(&[one.clone(), other, one]) {
            charged(&mut text, &flush);
        }
        assert_eq!(text, "");
    }
}
