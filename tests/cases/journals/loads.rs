//! Loads that wait for each of their writes.

use anyhow::{Context, Result, ensure};

use super::{fewer, finish, most_of_a_loop, trace};
use crate::support::checks::near;
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
