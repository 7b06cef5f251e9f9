//! Other ways to dirty a page, and reading, which dirties none.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::{MIB, owner, sized};
use crate::support::checks::near;
use crate::support::run::Run;

/// A store into a mapping dirties its page without a system call.
pub fn mapped(mut run: Run<'_>) -> Result<()> {
    let len = sized(64 * MIB);
    run.trace()?;
    let file = run.file("file");
    let pid = run.to_end("gt-mmap", &["mmap", &file, &len.to_string()])?;
    run.flush()?;
    let Some(report) = run.finish(len, 0)? else {
        return Ok(());
    };
    let owner = owner(&report, "gt-mmap", pid)?;
    near("written for gt-mmap", owner.written, len)?;
    near("dirtied by gt-mmap", owner.dirtied, len)
}

/// The task that read pages into the page cache does not own them when another task
/// dirties them.
pub fn reader_first(mut run: Run<'_>) -> Result<()> {
    let len = sized(64 * MIB);
    let file = run.file("file");
    let write = ["write", &file, "0", &len.to_string()];
    run.to_end("gt-before", &write)?;
    run.flush()?;
    run.to_end("gt-evict", &["evict", &file])?;
    run.trace()?;
    let reader = run.to_end("gt-reader", &["read", &file])?;
    let writer = run.to_end("gt-writer", &write)?;
    run.flush()?;
    let Some(report) = run.finish(len, len)? else {
        return Ok(());
    };
    let reader = owner(&report, "gt-reader", reader)?;
    near("read by gt-reader", reader.read, len)?;
    ensure!(
        reader.written == 0 && reader.estimated() == 0 && reader.dirtied == 0,
        "the reader is charged with writes: {reader:?}"
    );
    let writer = owner(&report, "gt-writer", writer)?;
    near("read by gt-writer", writer.read, 0)?;
    near("written for gt-writer", writer.written, len)
}

/// Pages that were dirty before the trace began have no owner, even if another task
/// dirties the same file afterwards.
pub fn dirty_before_the_trace(mut run: Run<'_>) -> Result<()> {
    let half = sized(32 * MIB);
    let file = run.file("file");
    let (start, len) = (half.to_string(), half.to_string());
    run.to_end("gt-early", &["write", &file, "0", &len])?;
    run.trace()?;
    let late = run.to_end("gt-late", &["write", &file, &start, &len])?;
    run.flush()?;
    let Some(report) = run.finish(2 * half, 0)? else {
        return Ok(());
    };
    let late = owner(&report, "gt-late", late)?;
    near("written for gt-late", late.written, half)?;
    ensure!(
        late.shared == 0,
        "older pages are charged to the file's last writer: {late:?}"
    );
    Ok(())
}

/// A page that becomes dirty again after the flusher took it, but before its bio is
/// submitted, belongs to its writer both times that it is written.
pub fn rewritten(mut run: Run<'_>) -> Result<()> {
    let len = sized(32 * MIB);
    run.trace()?;
    let file = run.file("file");
    let pid = run.to_end("gt-rewrite", &["rewritten", &file, &len.to_string()])?;
    // Longer than the tag of a submitted page stays valid for it.
    sleep(Duration::from_secs(3));
    run.flush()?;
    let page = 4096;
    let Some(report) = run.finish(len + page, 0)? else {
        return Ok(());
    };
    let owner = owner(&report, "gt-rewrite", pid)?;
    ensure!(
        owner.written >= len + page && owner.shared == 0,
        "of {len} bytes and the page that was written twice: {owner:?}"
    );
    Ok(())
}
