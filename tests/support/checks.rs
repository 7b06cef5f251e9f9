//! The promises, as checks of a report.

use std::ops::RangeInclusive;

use anyhow::{Context, Result, ensure};

use super::counters::Vmstat;
use super::ndjson::{Interval, Line, Report};
use super::needs::preemptible;

const KIB: u64 = 1024;

/// Checks an owner's data bytes: within 0.5 % or 64 KiB, whichever is larger.
pub fn near(what: &str, got: u64, want: u64) -> Result<()> {
    close(what, got, want, (want / 200).max(64 * KIB))
}

fn close(what: &str, got: u64, want: u64, slack: u64) -> Result<()> {
    ensure!(
        got.abs_diff(want) <= slack,
        "{what}: {got} bytes, not {want} +- {slack} ({:+})",
        got as i128 - want as i128
    );
    Ok(())
}

fn equal(what: &str, left: u64, right: u64) -> Result<()> {
    ensure!(left == right, "{what}: {left} is not {right}");
    Ok(())
}

/// Checks that every interval adds up to the byte and that nothing was lost but what
/// `may_lose` names. The run as a whole must agree with the vmstat that the tracer
/// printed and with the one that the harness read: `inner` while the tracer was surely
/// running, `outer` around it all.
pub fn conservation(
    report: &Report,
    may_lose: &[&str],
    inner: Vmstat,
    outer: Vmstat,
) -> Result<()> {
    every_interval_adds_up(report, may_lose)?;
    let directions = [
        ("read", "pgpgin_bytes", inner.read, outer.read),
        ("write", "pgpgout_bytes", inner.written, outer.written),
    ];
    for (direction, counter, inner, outer) in directions {
        let block = format!("block_{direction}_bytes");
        let (got, vmstat) = (report.total(&block)?, report.total(counter)?);
        let slack = (vmstat / 100).max(256 * KIB);
        close(&format!("{block} and {counter}"), got, vmstat, slack)?;
        ensure!(
            (inner..=outer).contains(&vmstat),
            "{counter}: {vmstat} is not between {inner} and {outer}, as read beside it"
        );
        ensure!(
            (inner.saturating_sub(slack)..=outer + slack).contains(&got),
            "{block}: {got} is not between {inner} and {outer} +- {slack}"
        );
    }
    Ok(())
}

/// The first of these checks alone.
pub fn every_interval_adds_up(report: &Report, may_lose: &[&str]) -> Result<()> {
    for interval in &report.0 {
        let seq = interval.system.number("seq")?;
        interval_adds_up(interval, may_lose).with_context(|| format!("interval {seq}"))?;
    }
    Ok(())
}

/// Checks that a flush is the sum of its owners' bytes and the bytes without an owner.
fn flush_adds_up(flush: &Line) -> Result<()> {
    let owners = flush.owners()?;
    let owned: u64 = owners
        .iter()
        .filter_map(|owner| owner["bytes"].as_u64())
        .sum();
    let reasons = flush.numbers("unattributed")?;
    let rest = reasons.iter().filter(|(reason, _)| **reason != "stacked");
    let rest: u64 = rest.filter_map(|(_, bytes)| *bytes).sum();
    equal(
        "a flush and its parts",
        flush.number("bytes")?,
        owned + rest,
    )
}

/// Checks that the flushes of a file system's devices are what their own counters say, to
/// the byte. The range begins with the counters as read just inside the trace and ends
/// with those just outside of it.
pub fn flushes_are(report: &Report, devices: &[&str], written: RangeInclusive<u64>) -> Result<()> {
    let sums = devices.iter().map(|device| report.written_to(device));
    let sum: u64 = sums.sum::<Result<u64>>()?;
    ensure!(
        written.contains(&sum),
        "the flushes of {}: {sum} bytes, not {written:?}",
        devices.join(" and ")
    );
    Ok(())
}

/// Checks that what was written to lower devices is reported as copies and is part of
/// no sum.
pub fn copied(report: &Report, lower: &[&str], written: u64) -> Result<()> {
    let mut copies = 0;
    for interval in &report.0 {
        let reasons = interval.system.numbers("unattributed")?;
        copies += reasons.get("stacked").copied().flatten().unwrap_or(0);
    }
    for device in lower {
        let flushes = report.flushes_on(device)?;
        ensure!(
            flushes.is_empty(),
            "a copy on {device} is counted as written"
        );
    }
    near("copied to lower devices", copies, written)
}

/// Checks that all owners on a device are writers, and not the workers that encrypt,
/// copy or submit.
pub fn owners_are_writers(report: &Report, device: &str) -> Result<()> {
    for flush in report.flushes_on(device)? {
        for owner in flush.owners()? {
            let comm = owner["comm"].as_str().context("no comm")?;
            ensure!(comm.starts_with("gt-"), "{comm} owns {}", owner["bytes"]);
        }
    }
    Ok(())
}

fn interval_adds_up(interval: &Interval, may_lose: &[&str]) -> Result<()> {
    let system = &interval.system;
    let attributed = system.number("attributed_write_bytes")?;
    let shared = system.number("shared_write_bytes")?;
    let unattributed = system.number("unattributed_write_bytes")?;
    equal(
        "block_write_bytes and its parts",
        system.number("block_write_bytes")?,
        attributed + shared + unattributed,
    )?;
    let mut reasons = 0;
    for (reason, bytes) in system.numbers("unattributed")? {
        let bytes = bytes.with_context(|| format!("unattributed.{reason} is null"))?;
        // A lower device's copy is not part of the total.
        reasons += if reason == "stacked" { 0 } else { bytes };
    }
    equal(
        "unattributed_write_bytes and its reasons",
        unattributed,
        reasons,
    )?;
    let mut flushed = 0;
    for flush in &interval.flushes {
        flush_adds_up(flush)?;
        flushed += flush.number("bytes")?;
    }
    equal(
        "block_write_bytes and the flushes",
        system.number("block_write_bytes")?,
        flushed,
    )?;
    for spike in &interval.spikes {
        flush_adds_up(spike)?;
    }
    for (name, lost) in system.numbers("lost")? {
        // Even if events are missed, the bytes must be right.
        if lost.unwrap_or(0) != 0 && !may_lose.contains(&name) {
            let may_be = name == "missed_events" && preemptible()?;
            ensure!(may_be, "lost.{name} is {lost:?}");
        }
    }
    let kinds = system.numbers("shared")?;
    let mut of_kinds = 0;
    for (kind, bytes) in &kinds {
        of_kinds += bytes.with_context(|| format!("shared.{kind} is null"))?;
    }
    equal("shared_write_bytes and its kinds", shared, of_kinds)?;
    let (mut of_tasks, mut of_tasks_shared, mut of_tasks_metadata) = (0, 0, 0);
    for task in &interval.tasks {
        let written = task.number("block_write_bytes")?;
        equal(
            "a task's block_write_bytes and its parts",
            written,
            task.number("block_write_self_bytes")? + task.number("block_write_flushed_bytes")?,
        )?;
        of_tasks += written;
        of_tasks_shared += task.number("block_write_shared_bytes")?;
        of_tasks_metadata += task.number("metadata_bytes")?;
    }
    equal(
        "tasks' block_write_bytes and attributed_write_bytes",
        of_tasks,
        attributed,
    )?;
    equal(
        "tasks' block_write_shared_bytes and shared_write_bytes",
        of_tasks_shared,
        shared,
    )?;
    let data = kinds.get("data").copied().flatten();
    equal(
        "tasks' metadata_bytes and shared but for data",
        of_tasks_metadata,
        shared - data.context("no shared.data")?,
    )
}
