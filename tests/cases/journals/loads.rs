//! Loads that wait for each of their writes.

use anyhow::{Context, Result, ensure};

use super::{MOST, fewer, finish, most_of_a_loop, trace};
use crate::support::checks::near;
use crate::support::device::Fs;
use crate::support::run::Run;

const PAGE: u64 = 4096;
/// Bytes of an append.
pub const PIECE: u64 = 300;

/// Bytes of data that are written for this many appends: the last page each time, and
/// now and then also the one before it.
pub fn data_of(appends: u64, piece: u64) -> u64 {
    (appends + appends * piece / PAGE) * PAGE
}

/// A task that appends a few bytes and waits for them, again and again, owns what that
/// makes the file system write. Its data is exact, and all else is shared.
pub fn fsync_loop(mut run: Run<'_>) -> Result<()> {
    let count = fewer(400);
    let fs = run.fs();
    trace(&mut run)?;
    let work = [
        "fsync_appends",
        &run.file("file"),
        &count.to_string(),
        &PIECE.to_string(),
    ];
    let pid = run.to_end("gt-append", &work)?;
    let Some(books) = finish(run, count * PAGE)? else {
        return Ok(());
    };
    books.belong_to(&[("gt-append", pid)], most_of_a_loop(fs))?;
    let owner = books.owner("gt-append", pid)?;
    near("exact", owner.written, data_of(count, PIECE))
        .with_context(|| format!("gt-append: {owner:?}"))
}

/// A disk of a btrfs that later has an xfs has that one's log: its blocks belong to the task
/// that waits for them, and not to one that wrote to the btrfs.
pub fn on_a_disk_used_before(mut run: Run<'_>) -> Result<()> {
    let (count, piece) = (fewer(200).to_string(), PIECE.to_string());
    trace(&mut run)?;
    let before = run.file("before");
    run.to_end("gt-before", &["fsync_appends", &before, &count, &piece])?;
    run.unmount_for_another(Fs::Xfs)?;
    let made = run.written()?;
    let after = run.file("after");
    let pid = run.to_end("gt-after", &["fsync_appends", &after, &count, &piece])?;
    run.unmount_the_other()?;
    let written = run.written()? - made;
    let Some(books) = finish(run, written)? else {
        return Ok(());
    };
    let caused = books.caused("gt-after", pid)?;
    ensure!(
        caused as f64 >= MOST * written as f64 && caused <= written,
        "of {written} bytes of the xfs, {caused} are those of gt-after:{}",
        books.told()?
    );
    Ok(())
}

/// A database with a rollback journal owns what its transactions make the file system
/// write.
pub fn database(mut run: Run<'_>) -> Result<()> {
    let count = fewer(100);
    let fs = run.fs();
    trace(&mut run)?;
    let work = ["database", &run.file(""), &count.to_string()];
    let pid = run.to_end("gt-database", &work)?;
    // Three pages of the journal and two of the database.
    let data = 5 * PAGE * count;
    let Some(books) = finish(run, data)? else {
        return Ok(());
    };
    books.belong_to(&[("gt-database", pid)], most_of_a_loop(fs))?;
    let owner = books.owner("gt-database", pid)?;
    ensure!(
        owner.written >= data && owner.estimated() > 0,
        "not {data} bytes exact and some shared: {owner:?}"
    );
    Ok(())
}
