//! `--explain-writeback`: a block of text for each flush and each spike; with
//! `--explain-wakeups` also, or only, for each wake-up.

use std::{collections::HashSet, fmt::Write as _};

use jiff::{Timestamp, tz::TimeZone};

use super::{
    commits,
    contributors::{Entry, Part, entries, list},
    dirty_for::dirty_for,
    how::{how, period},
    losses_named, missing_intervals, nameless,
    reached::{Reached, write_calls},
    table::cut,
    units,
    wakes::Wakes,
    why::why,
};
use crate::{
    escape::{escape, task_name},
    sample::{
        Flush, FlushFile, FlushLag, FlushOwner, Run, Sample, SharedTask, Spike, Task, TaskBlock,
        TaskKey, Unattributed, Written,
    },
};

/// At most this many flushes of an interval get a block; the rest is summed up.
pub(crate) const FLUSHES: usize = 10;
/// At most this many throttled tasks are named.
const THROTTLED: usize = 10;
/// Command lines are cut after this many columns.
const COMMAND: usize = 120;

/// Prints flushes, spikes and wake-ups as text.
#[derive(Debug)]
pub struct Explain {
    zone: TimeZone,
    notices: Vec<String>,
    /// How the time of a second is written.
    time_format: &'static str,
    /// Spikes only, no flushes.
    pub only_spikes: bool,
    /// Whole command lines, not only their beginning.
    pub full_command: bool,
    /// Wake-ups too.
    pub wakes: Option<Wakes>,
    /// Wake-ups only, neither flushes nor spikes.
    pub only_wakes: bool,
}

impl Explain {
    /// `notices` say what is missing and why; `zone` is the time zone of all times.
    pub fn new(zone: TimeZone, notices: Vec<String>) -> Explain {
        Explain {
            zone,
            notices,
            time_format: "%F %T%:z",
            only_spikes: false,
            full_command: false,
            wakes: None,
            only_wakes: false,
        }
    }

    /// Writes times without their offset, for what says once which zone they are in.
    pub(crate) fn without_offset(self) -> Explain {
        Explain {
            time_format: "%F %T",
            ..self
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
        if let Some(wakes) = &mut self.wakes {
            wakes.full_command = self.full_command;
            wakes.add(&mut text, sample, last);
        }
        if self.only_wakes {
            return text;
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
                "{at} and {} smaller flushes: {}\n",
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
        let _ = writeln!(
            text,
            "{} {}: {} wrote {}",
            self.second(sample.time),
            escape(&flush.device_name),
            who(flush, submitters),
            period(flush, sample),
        );
        let _ = writeln!(text, "  why: {}", why(flush, &sample.system));
        let _ = writeln!(text, "  how: {}", how(flush, submitters, sample));
        let commits = flush.commits.as_ref();
        if let Some(commits) = commits.and_then(|commits| commits::line(commits, sample.interval)) {
            let _ = writeln!(text, "  {commits}");
        }
        self.runs(text, &flush.runs);
        charged(text, flush);
        self.causes(text, written);
    }

    /// Lists the owners, and what has none.
    fn causes(&self, text: &mut String, written: &Written) {
        list(text, self.owners(written), written.totals.write);
    }

    fn owners(&self, written: &Written) -> Vec<Part> {
        let owners = written.owners.iter().map(|owner| self.owner(owner));
        let none = without_owner(&written.totals.unattributed);
        owners.chain(none).collect()
    }

    fn owner(&self, owner: &FlushOwner) -> Part {
        let task = &owner.task;
        let mut text = format!(
            "{}{}{}",
            name(task),
            estimated(owner),
            waited(owner.lag.as_ref()),
        );
        for place in [&task.container, &task.unit].into_iter().flatten() {
            let _ = write!(text, "; {}", escape(place));
        }
        if let Some(command) = &task.cmdline {
            let _ = write!(text, "; {}", command_line(command, self.full_command));
        }
        if let Some(chain) = task.chain() {
            let _ = write!(text, "; {}", escape(&chain));
        }
        let known = owner.files.iter().filter(|file| file.ino != 0);
        Part {
            files: known.map(|file| (file.bytes, path(file))).collect(),
            ..Part::new(owner.bytes, text)
        }
    }

    fn runs(&self, text: &mut String, runs: &[Run]) {
        let [run] = runs else {
            if !runs.is_empty() {
                let longest = runs.iter().filter_map(|run| run.duration).max();
                let longest = longest.map_or(units::UNKNOWN.to_owned(), units::duration);
                let _ = writeln!(text, "  {} runs, the longest took {longest}", runs.len());
            }
            return;
        };
        let began = match run.start {
            Some(start) => format!("started {}", self.millisecond(start)),
            None => "started before the trace".to_owned(),
        };
        let lasts = match (run.duration.map(units::duration), run.end) {
            (Some(duration), Some(_)) => format!(", took {duration}"),
            (Some(duration), None) => format!(", still running after {duration}"),
            (None, Some(_)) => String::new(),
            (None, None) => ", still running".to_owned(),
        };
        let pages = match (run.written_pages, run.requested_pages) {
            // The run has not finished its first round.
            (Some(0), _) if run.end.is_none() => String::new(),
            (None, _) => String::new(),
            (Some(written), Some(of)) => format!(", wrote {written} of {of} requested pages"),
            (Some(written), None) => format!(", wrote {written} pages (all were requested)"),
        };
        let _ = writeln!(text, "  run: {began}{lasts}{pages}");
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
            "{} throttled, because too much is dirty (balance_dirty_pages):",
            self.second(sample.time)
        );
        for (ns, throttles, task) in tasks.iter().take(THROTTLED) {
            let _ = writeln!(
                text,
                "  {:>9}  {}, {}",
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
        let _ = writeln!(
            text,
            "{} journals and metadata, by the tasks that changed them (~: estimated):",
            self.second(sample.time)
        );
        tasks.sort_by_key(|(_, _, task)| task.tid);
        let all = tasks.iter().map(|(changed, ..)| *changed).sum();
        let part = |(changed, block, task): (u64, TaskBlock, &SharedTask)| {
            let reached = Reached::of(&block).sentence(write_calls(task), false);
            Part {
                estimated: true,
                ..Part::new(changed, format!("{}: {reached}", name(task)))
            }
        };
        list(text, tasks.into_iter().map(part).collect(), all);
        text.push('\n');
    }

    /// Formats one spike.
    pub(crate) fn spike(&self, text: &mut String, spike: &Spike) {
        let _ = writeln!(
            text,
            "SPIKE on {} from {} to {}{}: {} in {}, peak {}/s; {}",
            escape(&spike.device_name),
            self.second(spike.start),
            self.second(spike.end),
            if spike.open { " (ongoing)" } else { "" },
            bytes(spike.written.totals.write),
            units::duration(spike.end.duration_since(spike.start).unsigned_abs()),
            units::bytes(spike.peak, false),
            usual(spike),
        );
        if let Some(oldest) = self.oldest(spike) {
            let _ = writeln!(text, "  {oldest}");
        }
        let _ = writeln!(text, "  written by:");
        list(text, submitters(spike), spike.written.totals.write);
        let _ = writeln!(text, "  caused by:");
        self.causes(text, &spike.written);
    }

    /// The parts of what [`Explain::spike`] prints.
    pub(crate) fn spike_words(&self, spike: &Spike) -> SpikeWords {
        let all = spike.written.totals.write;
        SpikeWords {
            usual: usual(spike),
            oldest: self.oldest(spike),
            written_by: entries(submitters(spike), all),
            caused_by: entries(self.owners(&spike.written), all),
        }
    }

    /// How long its pages had been dirty; `None` if it is not known.
    fn oldest(&self, spike: &Spike) -> Option<String> {
        let lag = spike.written.lag.as_ref();
        let lag = lag.map_or(String::new(), |lag| {
            format!("; pages were dirty for {}", dirty_for(lag))
        });
        let oldest = self.second(spike.oldest?);
        Some(format!("the oldest page was dirty since {oldest}{lag}"))
    }

    fn second(&self, time: Timestamp) -> String {
        let time = time.to_zoned_datetime(self.zone.clone());
        time.strftime(self.time_format).to_string()
    }

    fn millisecond(&self, time: Timestamp) -> String {
        let time = time.to_zoned_datetime(self.zone.clone());
        time.strftime("%T%.3f").to_string()
    }
}

/// A spike in words.
pub(crate) struct SpikeWords {
    /// What is usually written.
    pub usual: String,
    /// How long its pages had been dirty; `None` if it is not known.
    pub oldest: Option<String>,
    /// Who submitted it, and why.
    pub written_by: Vec<Entry>,
    /// Whose data it was.
    pub caused_by: Vec<Entry>,
}

fn usual(spike: &Spike) -> String {
    match spike.usual {
        0.0 => "usually nothing".to_owned(),
        usual => format!("usually below {}/s", units::bytes(usual, false)),
    }
}

fn submitters(spike: &Spike) -> Vec<Part> {
    let parts = spike.parts.iter().map(|part| {
        let who = match part.submitter.as_deref() {
            Some(comm) => escape(&task_name(comm, part.kthread)).into_owned(),
            None => "unknown task".to_owned(),
        };
        let reason = escape(part.reason.name());
        Part::new(part.bytes, format!("{who}: {reason}"))
    });
    parts.collect()
}

/// A time to the second.
pub(super) fn second(time: Timestamp, zone: &TimeZone) -> String {
    let time = time.to_zoned_datetime(zone.clone());
    time.strftime("%F %T%:z").to_string()
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
        None => "an unknown task".to_owned(),
        Some(task) if submitters == 1 => name(task),
        Some(task) => {
            let called = if task.kthread { "" } else { "tasks called " };
            let name = task_name(&task.comm, task.kthread);
            format!("{submitters} {called}{}", escape(&name))
        }
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
            "  the kernel charges these files to cgroup {}, but tasks of other cgroups dirtied {}",
            escape(charged),
            bytes(others)
        );
    }
}

/// A command line. Some are very long: unless the `full` one is wanted, a report shows only its
/// beginning.
pub(super) fn command_line(command: &str, full: bool) -> String {
    let command = escape(command);
    match cut(&command, Some(COMMAND)) {
        start if start.len() < command.len() && !full => format!("{start}..."),
        _ => command.into_owned(),
    }
}

pub(super) fn path(file: &FlushFile) -> String {
    match &file.path {
        Some(path) => escape(path).into_owned(),
        None => format!("inode {}", file.ino),
    }
}

fn without_owner(of: &Unattributed) -> impl Iterator<Item = Part> {
    let parts = of.parts().filter(|(_, bytes)| *bytes != 0);
    let in_total = parts.filter(|(reason, _)| reason.is_in_total());
    in_total.map(|(reason, bytes)| Part {
        owned: false,
        ..Part::new(bytes, format!("no owner: {}", reason.sentence()))
    })
}

/// A task's name and number.
pub(crate) fn name(task: &Task) -> String {
    let comm = task_name(&task.comm, task.kthread);
    let comm = escape(&comm);
    let gone = if task.exited { ", exited" } else { "" };
    if let Some(tasks) = task.crowd {
        return format!("{comm} ({tasks}+ tasks)");
    }
    match task.kthread {
        true => format!("{comm} (TID {}{gone})", task.tid),
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
    lag.map_or(String::new(), |lag| {
        format!(", dirty for {}", dirty_for(lag))
    })
}

pub(super) fn counted(n: u64, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

fn bytes(n: u64) -> String {
    units::bytes(n as f64, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        golden,
        sample::{FlushReason, Written},
    };

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
        let text = Explain::new(TimeZone::UTC, Vec::new()).format(&sample, false);
        let mut lines = text.lines();
        let first = lines.next().expect("a line");
        assert!(first.ends_with("wrote nothing more"), "{text}");
        let second = lines.next().expect("a line");
        assert!(second.starts_with("  run: started"), "{text}");
    }

    fn explained(sample: &Sample, full_command: bool) -> String {
        let mut explain = Explain::new(TimeZone::UTC, Vec::new());
        explain.full_command = full_command;
        explain.format(sample, false)
    }

    #[test]
    fn a_flush_has_its_period_its_rate_and_its_part_of_the_device() {
        let text = explained(&golden::flushed(), false);
        let wrote =
            "sda1: postgres (PID 900) wrote 2.00M in 2.0s (1.00M/s, 0.8% of the device's writes)";
        assert!(text.contains(wrote), "{text}");
    }

    #[test]
    fn calls_that_made_the_file_system_commit_are_counted_for_their_own_task_only() {
        let mut sample = golden::flushed();
        let db = |flush: &&mut Flush| flush.reason == FlushReason::Syscall("fsync");
        let flush = sample.flushes.iter_mut().find(db).expect("the database's");
        flush.written.bios = 512;
        let text = explained(&sample, false);
        let how = "512 bios of 4.00K on average, 1 file, at least 500 fsync calls of at most 4.10K";
        assert!(text.contains(how), "{text}");
        assert_eq!(text.matches("at least").count(), 1, "{text}");
    }

    #[test]
    fn long_command_lines_are_cut_unless_whole_ones_are_wanted() {
        let mut sample = golden::flushed();
        let owner = &mut sample.flushes[0].written.owners[0];
        owner.task.cmdline = Some("é".repeat(200).into());
        let lengths = [false, true].map(|full_command| {
            let text = explained(&sample, full_command);
            (text.matches('é').count(), text.contains("é..."))
        });
        assert_eq!(lengths, [(120, true), (200, false)]);
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
