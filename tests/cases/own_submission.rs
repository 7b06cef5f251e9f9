//! Bytes the owner submits itself.

use anyhow::Result;

use super::{MIB, owner};
use crate::support::checks::near;
use crate::support::device::Fs;
use crate::support::run::Run;

/// Pages a task writes back with its own fsync are submitted by itself.
pub fn fsync(mut run: Run<'_>) -> Result<()> {
    let len = 64 * MIB;
    run.trace()?;
    let file = run.file("file");
    let pid = run.to_end("gt-fsync", &["fsync", &file, &len.to_string()])?;
    let Some(report) = run.finish(len, 0)? else {
        return Ok(());
    };
    let owner = owner(&report, "gt-fsync", pid)?;
    near("written for gt-fsync", owner.written, len)?;
    near("submitted by gt-fsync itself", owner.written_self, len)
}

/// Direct I/O dirties no page, and is its caller's all the same.
pub fn direct(mut run: Run<'_>) -> Result<()> {
    let len = 64 * MIB;
    run.trace()?;
    let fs = run.fs();
    let file = run.file("file");
    let pid = run.to_end("gt-direct", &["direct", &file, &len.to_string()])?;
    run.flush()?;
    let Some(report) = run.finish(len, 0)? else {
        return Ok(());
    };
    let owner = owner(&report, "gt-direct", pid)?;
    near("written for gt-direct", owner.written, len)?;
    // btrfs may fall back to the page cache, for its checksums' sake.
    if fs != Fs::Btrfs {
        near("submitted by gt-direct itself", owner.written_self, len)?;
        near("dirtied by gt-direct", owner.dirtied, 0)?;
    }
    Ok(())
}
