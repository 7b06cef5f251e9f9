//! Pages that another task writes back, or that are never written.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::{MIB, owner, sized, written_for};
use crate::support::checks::near;
use crate::support::deadline::Deadline;
use crate::support::process::Writer;
use crate::support::run::Run;

/// A writer that exited long ago still owns its bytes.
pub fn writer_exits(mut run: Run<'_>) -> Result<()> {
    let len = sized(128 * MIB);
    run.trace()?;
    let file = run.file("file");
    let pid = run.to_end("gt-exit", &["write", &file, "0", &len.to_string()])?;
    // Long enough for its exit to be in an earlier interval than its bytes.
    sleep(Duration::from_millis(1200));
    run.nothing_written_yet()?;
    let flush = run.flush()?;
    let Some(report) = run.finish(len, 0)? else {
        return Ok(());
    };
    let gone = owner(&report, "gt-exit", pid)?;
    near("written for gt-exit", gone.written, len)?;
    near("flushed by others", gone.written_flushed, len)?;
    near("dirtied", gone.dirtied, len)?;
    near(
        "written for gt-flush",
        written_for(&report, "gt-flush", flush)?,
        0,
    )?;
    ensure!(gone.exited, "no line says that gt-exit has exited");
    ensure!(gone.pending == 0, "{} bytes are pending", gone.pending);
    Ok(())
}

/// If another process calls sync(2), a live writer still owns its bytes.
pub fn foreign_sync(mut run: Run<'_>) -> Result<()> {
    let len = sized(96 * MIB);
    run.trace()?;
    let file = run.file("file");
    let mut writer = Writer::start("gt-lives", &["write", &file, "0", &len.to_string()])?;
    writer.go()?;
    writer.done(run.deadline)?;
    let sync = run.to_end("gt-sync", &["sync"])?;
    let pid = writer.pid();
    let report = run.finish(len, 0)?;
    writer.exit(Deadline::after(Duration::from_secs(5)))?;
    let Some(report) = report else {
        return Ok(());
    };
    let lives = owner(&report, "gt-lives", pid)?;
    near("written for gt-lives", lives.written, len)?;
    near(
        "written for gt-sync",
        written_for(&report, "gt-sync", sync)?,
        0,
    )?;
    ensure!(!lives.exited, "gt-lives has not exited");
    Ok(())
}

/// The task that dirties a clean page owns it. A task that writes to the page while it
/// is dirty does not.
pub fn overwritten(mut run: Run<'_>) -> Result<()> {
    let len = sized(64 * MIB);
    run.trace()?;
    let file = run.file("file");
    let args = ["write", &file, "0", &len.to_string()];
    let first = run.to_end("gt-first", &args)?;
    let second = run.to_end("gt-second", &args)?;
    run.nothing_written_yet()?;
    run.flush()?;
    let Some(report) = run.finish(len, 0)? else {
        return Ok(());
    };
    let first = owner(&report, "gt-first", first)?;
    near("written for gt-first", first.written, len)?;
    let second = written_for(&report, "gt-second", second)?;
    near("written for gt-second", second, 0)
}

/// Pages that are dropped before they are written count as cancelled, whichever task
/// dropped them.
pub fn unlinked(mut run: Run<'_>) -> Result<()> {
    let len = sized(64 * MIB);
    run.trace()?;
    let file = run.file("file");
    let pid = run.to_end("gt-cancel", &["write", &file, "0", &len.to_string()])?;
    run.to_end("gt-unlink", &["unlink", &file])?;
    run.nothing_written_yet()?;
    run.flush()?;
    let Some(report) = run.finish(0, 0)? else {
        return Ok(());
    };
    let cancelled = owner(&report, "gt-cancel", pid)?;
    near("cancelled", cancelled.cancelled, len)?;
    near("dirtied", cancelled.dirtied, len)?;
    near("written for gt-cancel", cancelled.written, 0)?;
    ensure!(cancelled.pending == 0, "{} pending", cancelled.pending);
    Ok(())
}

/// Compaction moves dirty pages without an event. Their bytes still belong to the
/// writer, as shared if the page's own tag is lost, and none stays pending.
pub fn migrated(mut run: Run<'_>) -> Result<()> {
    let len = sized(128 * MIB);
    run.trace()?;
    let file = run.file("file");
    let pid = run.to_end("gt-moved", &["write", &file, "0", &len.to_string()])?;
    fs::write("/proc/sys/vm/compact_memory", "1")?;
    run.flush()?;
    let Some(report) = run.finish(len, 0)? else {
        return Ok(());
    };
    let moved = owner(&report, "gt-moved", pid)?;
    near("written for gt-moved", moved.written + moved.shared, len)?;
    ensure!(moved.pending == 0, "{} bytes are pending", moved.pending);
    Ok(())
}
