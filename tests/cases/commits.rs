//! What made a journal commit: `commits` of a flush.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::MIB;
use crate::support::command::run as run_command;
use crate::support::deadline::{Deadline, slower};
use crate::support::device::Fs;
use crate::support::ndjson::Report;
use crate::support::needs::emulated;
use crate::support::run::Run;

/// What made the file system on a device commit: one element for each interval in which a
/// journal was written.
fn commits<'a>(report: &'a Report, device: &str) -> Result<Vec<&'a Value>> {
    let mut found = Vec::new();
    for interval in &report.0 {
        let mut of_interval = Vec::new();
        for flush in &interval.flushes {
            let commits = flush.field("commits")?;
            if flush.field("device")?["name"] == device && !commits.is_null() {
                of_interval.push(commits);
            }
        }
        let first = of_interval.first().copied();
        ensure!(
            of_interval.iter().all(|other| Some(*other) == first),
            "two flushes of one file system differ: {of_interval:?}"
        );
        found.extend(first);
    }
    Ok(found)
}

/// How often tasks asked for a commit, by those for which `wanted` is true.
fn asked(commits: &[&Value], wanted: impl Fn(&Value) -> bool) -> Result<u64> {
    let mut sum = 0;
    for commits in commits {
        let asked = commits["asked"].as_array().context("no list")?;
        for demand in asked.iter().filter(|demand| wanted(demand)) {
            sum += demand["count"].as_u64().context("no count")?;
        }
    }
    Ok(sum)
}

fn sum(commits: &[&Value], field: &str) -> u64 {
    let counts = commits.iter().filter_map(|commits| commits[field].as_u64());
    counts.sum()
}

fn is_by(demand: &Value, pid: u64, call: &str) -> bool {
    demand["task"]["pid"] == pid && demand["call"] == call
}

/// True for a kernel without types of modules: what makes btrfs commit is not known.
fn lacks_types(fs: Fs) -> Result<bool> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(fs == Fs::Btrfs && release.starts_with("5.10."))
}

/// Each fsync of a file that grew is counted for the task that called it, and a syncfs for
/// the task that found something to commit. An fdatasync of new data in old blocks needs
/// no commit, and counts for nothing.
pub fn by_fsync(mut run: Run<'_>) -> Result<()> {
    let (fs, times) = (run.fs(), if emulated() { 40 } else { 200 });
    let (log, table, other) = (run.file("log"), run.file("table"), run.file("other"));
    let overwrite = ["commits", table.as_str(), "1048576"];
    run.to_end("gt-table", &overwrite)?;
    run.flush()?;
    run.trace()?;
    let appender = run.to_end(
        "gt-append",
        &["fsync_appends", &log, &times.to_string(), "300"],
    )?;
    let overwriter = run.to_end("gt-table", &overwrite)?;
    // Of several syncs one may be reported in an interval in which the journal writes nothing.
    let mut syncers = Vec::new();
    for _ in 0..3 {
        run.to_end("gt-data", &["write", &other, "0", "4096"])?;
        syncers.push(run.flush()?);
    }
    sleep(Duration::from_secs(1) * slower());
    run.metadata = 128 * MIB;
    let (device, Some(report)) = (run.device_name(), run.finish(0, 0)?) else {
        return Ok(());
    };
    let commits = commits(&report, &device)?;
    if lacks_types(fs)? {
        ensure!(commits.is_empty(), "how is it known? {commits:?}");
        return Ok(());
    }
    let fsyncs = asked(&commits, |demand| is_by(demand, appender, "fsync"))?;
    let syncs = asked(&commits, |demand| {
        syncers.iter().any(|pid| is_by(demand, *pid, "syncfs"))
    })?;
    let overwrites = asked(&commits, |demand| demand["task"]["pid"] == overwriter)?;
    let count = sum(&commits, "count");
    let told = format!(
        "{fsyncs} fsyncs, {syncs} syncs, {overwrites} of overwrites, {count} commits: {commits:?}"
    );
    // xfs may have changed the inode in the first of them: its log was then forced.
    let most = u64::from(fs == Fs::Xfs);
    ensure!(overwrites <= most, "{told}");
    match fs {
        Fs::Ext4 => {
            // The last fsync may end in the interval after its commit.
            ensure!((times - 1..=times).contains(&fsyncs), "{told}");
            ensure!((1..=syncers.len() as u64).contains(&syncs), "{told}");
            ensure!((times..times + 30).contains(&count), "{told}");
        }
        Fs::Xfs => {
            ensure!((times - 1..=times).contains(&fsyncs), "{told}");
            ensure!(count == 0, "{told}");
        }
        // fsync writes the tree log; only a sync commits.
        Fs::Btrfs => ensure!(fsyncs < times / 10 && count >= fsyncs + syncs, "{told}"),
    }
    Ok(())
}

/// Each call that waits for a file to be written is counted for its task, whether there is
/// anything to write or not.
pub fn syncs(mut run: Run<'_>) -> Result<()> {
    let path = run.file("file");
    run.trace()?;
    let writer = run.to_end("gt-syncs", &["synced_by_each_call", &path])?;
    run.metadata = MIB;
    let Some(report) = run.finish(0, 0)? else {
        return Ok(());
    };
    let counted = report.sum_of("gt-syncs", writer, "sync_count")?;
    // Two fsyncs, three fdatasyncs, four writes with O_SYNC, one msync.
    ensure!(counted == 10, "{counted} of 10");
    Ok(())
}

/// What no task asks for is committed by the timer.
pub fn by_timer(mut run: Run<'_>) -> Result<()> {
    let fs = run.fs();
    let dir = run.file("");
    let _each_second = Interval::new(&dir, 1)?;
    run.trace()?;
    for n in 0..6 {
        run.to_end(
            "gt-make",
            &["write", &run.file(&n.to_string()), "0", "4096"],
        )?;
        sleep(Duration::from_millis(700) * slower());
    }
    sleep(Duration::from_secs(2) * slower());
    run.metadata = 64 * MIB;
    let (device, Some(report)) = (run.device_name(), run.finish(0, 0)?) else {
        return Ok(());
    };
    let commits = commits(&report, &device)?;
    if lacks_types(fs)? {
        ensure!(commits.is_empty(), "how is it known? {commits:?}");
        return Ok(());
    }
    let (timer, count) = (sum(&commits, "timer"), sum(&commits, "count"));
    ensure!(
        timer >= 2 && timer <= count,
        "{timer} of {count}: {commits:?}"
    );
    let asked = asked(&commits, |_| true)?;
    ensure!(asked == 0, "{asked} were asked for: {commits:?}");
    Ok(())
}

/// Another interval between the periodic commits of a mounted file system. Dropping it
/// restores the usual one.
struct Interval(String);

impl Interval {
    fn new(dir: &str, seconds: u32) -> Result<Interval> {
        let interval = Interval(dir.trim_end_matches("/trial/").to_owned());
        interval.set(seconds)?;
        Ok(interval)
    }

    /// 0 is the usual interval.
    fn set(&self, seconds: u32) -> Result<()> {
        let options = format!("remount,commit={seconds}");
        let soon = Deadline::after(Duration::from_secs(10));
        run_command(Command::new("mount").args(["-o", &options, &self.0]), soon)?;
        Ok(())
    }
}

impl Drop for Interval {
    fn drop(&mut self) {
        if let Err(problem) = self.set(0) {
            eprintln!("restoring the commit interval: {problem:#}");
        }
    }
}
