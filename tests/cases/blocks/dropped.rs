//! Blocks of a dirty folio that leave the file before they are written.

use anyhow::{Context, Result, ensure};

use super::super::{MIB, owner};
use super::{KIB, PAGE, SIXTEEN, work};
use crate::support::checks::near;
use crate::support::device::Fs;
use crate::support::ndjson::Owner;
use crate::support::run::Run;

/// btrfs's largest folio.
const BTRFS_FOLIO: u64 = 64 * PAGE;

/// A file is truncated inside a folio, and another task extends it again. Each task
/// owns what was written of its own data, and the rest is dropped.
pub fn truncated(mut run: Run<'_>) -> Result<()> {
    let (fs, len, kept, grown) = (run.fs(), 4 * MIB, MIB + 20 * KIB, 2 * MIB);
    run.trace()?;
    let file = run.file("file");
    let long = run.to_end("gt-long", &["write", &file, "0", &len.to_string()])?;
    run.nothing_written_yet()?;
    run.to_end("gt-cut", &["truncate", &file, &kept.to_string()])?;
    // A flusher may have come between the two; xfs itself writes what stays.
    run.less_written_than(kept + MIB / 2)?;
    let (offset, more) = (kept.to_string(), (grown - kept).to_string());
    let again = run.to_end("gt-again", &["write", &file, &offset, &more])?;
    run.flush()?;
    let Some(report) = run.finish(grown, 0)? else {
        return Ok(());
    };
    let again = owner(&report, "gt-again", again)?;
    let check = || {
        near("written", again.written, grown - kept)?;
        settled(fs, &again, grown - kept)
    };
    check().with_context(|| format!("gt-again: {again:?}"))?;
    let long = owner(&report, "gt-long", long)?;
    let check = || {
        near("written", long.written, kept)?;
        settled(fs, &long, len)
    };
    check().with_context(|| format!("gt-long: {long:?}"))
}

/// Holes inside dirty folios leave nothing pending.
pub fn holes(mut run: Run<'_>) -> Result<()> {
    let (fs, len) = (run.fs(), 4 * MIB);
    // Four pages of each sixteen, not at the start of one.
    let hole = 4 * PAGE;
    let holes = [PAGE, len / 4, hole, SIXTEEN - hole].map(|number| number.to_string());
    run.trace()?;
    let mut pids = Vec::new();
    for (comm, what) in [("gt-punched", "punch"), ("gt-zeroed", "zero")] {
        let file = run.file(what);
        let pid = run.to_end(comm, &["write", &file, "0", &len.to_string()])?;
        run.to_end("gt-hole", &work(&[what, &file], &holes))?;
        pids.push((comm, pid));
    }
    run.flush()?;
    // xfs writes the pages before it punches the hole.
    run.metadata += 2 * len / 4;
    let Some(report) = run.finish(2 * (len - len / 4), 0)? else {
        return Ok(());
    };
    for (comm, pid) in pids {
        let owner = owner(&report, comm, pid)?;
        let least = len - len / 4;
        let check = || {
            ensure!((least..=len).contains(&owner.written), "of {len} bytes");
            settled(fs, &owner, len)
        };
        check().with_context(|| format!("{comm}: {owner:?}"))?;
    }
    Ok(())
}

/// Checks that all dirtied bytes were written or dropped. On btrfs, nothing tells which
/// pages were cut off a folio that stays: these are no longer pending, and not counted
/// as dropped.
fn settled(fs: Fs, owner: &Owner, len: u64) -> Result<()> {
    near("shared", owner.shared, 0)?;
    near("pending", owner.pending, 0)?;
    let done = owner.written + owner.cancelled;
    let untold = if fs == Fs::Btrfs { BTRFS_FOLIO } else { 0 };
    if done + untold < len {
        near("written or dropped", done, len)?;
    }
    Ok(())
}
