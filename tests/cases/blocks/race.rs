//! Blocks that become dirty while others of their folio are being written.

use anyhow::{Context, Result, ensure};

use super::super::{MIB, owner, together};
use super::{PAGE, clean_file, owns};
use crate::support::checks::near;
use crate::support::needs::emulated;
use crate::support::run::Run;

/// Two tasks rewrite a file that a third one keeps syncing: each byte that is written
/// has its owner.
pub fn beside_syncs(mut run: Run<'_>) -> Result<()> {
    let len = 16 * MIB;
    let seconds = if emulated() { "4" } else { "10" };
    let file = clean_file(&run, len)?;
    run.trace()?;
    let len = len.to_string();
    let rewrites = |which| ["rewrites", &file, &len, which, seconds];
    let (even, odd) = (rewrites("even"), rewrites("odd"));
    let syncs = ["syncs", &file, seconds];
    let writers: [(&str, &[&str]); 3] =
        [("gt-even", &even), ("gt-odd", &odd), ("gt-syncs", &syncs)];
    let pids = together(&run, &writers)?;
    run.flush()?;
    // Only the kernel knows how often a page was written.
    run.metadata = u64::MAX / 2;
    run.metadata_reads = 4 * MIB;
    // There are more flushing system calls than the tracer has room for.
    run.may_lose = &["flushes"];
    let (dev, Some(report)) = (run.device_name(), run.finish(MIB, 0)?) else {
        return Ok(());
    };
    let written = report.written_to(&dev)?;
    for reason in ["unknown", "pre_trace", "overflow"] {
        let unowned = report.unattributed_on(&dev, reason)?;
        let few = unowned <= written / 1000;
        ensure!(few, "{reason}: {unowned} of {written} bytes");
    }
    for (comm, pid) in &pids[..2] {
        let owner = owner(&report, comm, *pid)?;
        ensure!(owner.written > 0, "{comm} owns nothing: {owner:?}");
        let few = owner.shared <= written / 400;
        ensure!(few, "{comm} shares of {written}: {owner:?}");
        near("pending", owner.pending, 0).with_context(|| format!("{comm}: {owner:?}"))?;
    }
    Ok(())
}

/// Two tasks append to one file that a third one keeps syncing. Writeback changes
/// extents during their writes, and xfs then looks them up again in the middle of a
/// write. Each task owns what it appended.
pub fn appended(mut run: Run<'_>) -> Result<()> {
    // Seventeen pages cross the boundaries of folios of any size.
    let piece = 17 * PAGE;
    let len = piece * if emulated() { 120 } else { 2400 };
    let seconds = if emulated() { "4" } else { "3" };
    let file = run.file("appended");
    run.to_end("gt-before", &["write", &file, "0", &PAGE.to_string()])?;
    run.flush()?;
    run.trace()?;
    let (all, piece) = (len.to_string(), piece.to_string());
    let appends = ["appends", &file, &all, &piece];
    let syncs = ["syncs", &file, seconds];
    let writers: [(&str, &[&str]); 3] = [
        ("gt-one", &appends),
        ("gt-other", &appends),
        ("gt-syncs", &syncs),
    ];
    let pids = together(&run, &writers)?;
    run.flush()?;
    run.metadata = 256 * MIB;
    run.metadata_reads = 4 * MIB;
    run.may_lose = &["flushes"];
    let Some(report) = run.finish(2 * len, 0)? else {
        return Ok(());
    };
    for (comm, pid) in &pids[..2] {
        owns(&report, comm, *pid, len)?;
    }
    Ok(())
}
