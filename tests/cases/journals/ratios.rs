//! Two tasks in lockstep: one does three times as much as the other. Only then do their
//! shares of one journal have a true ratio.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::loads::{PIECE, data_of};
use super::{Books, MOST, fewer, finish, most_of_a_loop, trace};
use crate::support::checks::near;
use crate::support::ndjson::Owner;
use crate::support::needs::has_types_of;
use crate::support::run::Run;

const MORE: u64 = 3;

/// Two tasks append to files of their own and wait for each append, three of the one for
/// one of the other. Their shares are three to one too, and so is their data, which is
/// exact.
pub fn lockstep(run: Run<'_>) -> Result<()> {
    let Some(two) = appends(run, fewer(100), PIECE, None)? else {
        return Ok(());
    };
    let [more, less] = &two.owners;
    ratio("shared", more.estimated(), less.estimated(), 0.05)?;
    for (owner, appends) in [(more, MORE * two.rounds), (less, two.rounds)] {
        let data = data_of(appends, PIECE);
        near("exact", owner.written, data).with_context(|| format!("{owner:?}"))?;
    }
    Ok(())
}

/// The same for all that is written for them, where what is exact is more than the data:
/// data in a journal, pages of the block device, a second copy.
pub fn lockstep_in_all(run: Run<'_>) -> Result<()> {
    let Some(two) = appends(run, fewer(100), PIECE, None)? else {
        return Ok(());
    };
    let [more, less] = two.owners.map(|owner| owner.written + owner.estimated());
    ratio("exact and shared", more, less, 0.05)
}

/// The same for appends that are long enough to be compressed.
pub fn lockstep_compressed(run: Run<'_>) -> Result<()> {
    let (rounds, piece) = (fewer(40), 256 << 10);
    // Without types of modules, compressed data has no owner until a tree is written.
    let may_lack = (!has_types_of("btrfs")).then_some("unknown");
    let Some(two) = appends(run, rounds, piece, may_lack)? else {
        return Ok(());
    };
    let data = (MORE + 1) * rounds * piece;
    ensure!(
        two.books.all < data,
        "the case is wrong: {} bytes of {data} are not compressed",
        two.books.all
    );
    // Each append is an extent. The longer file's log has more of them: with sizes that do not
    // depend on chance, an append of the first task costs 8 % more than one of the second.
    let [more, less] = two.owners.map(|owner| owner.written + owner.estimated());
    ratio("exact and shared", more, less, 0.12)
}

/// Two tasks after their work.
struct Two {
    rounds: u64,
    books: Books,
    owners: [Owner; 2],
}

/// Lets them append, and checks that together they own what was written. Bytes may lack an
/// owner for this reason.
fn appends(
    mut run: Run<'_>,
    rounds: u64,
    piece: u64,
    may_lack: Option<&str>,
) -> Result<Option<Two>> {
    let fs = run.fs();
    // Large enough for btrfs not to keep them in its trees.
    run.to_end("gt-before", &["files", &run.file(""), "2", "8192"])?;
    trace(&mut run)?;
    let [rounds_text, more, piece_text] = [rounds, MORE, piece].map(|number| number.to_string());
    let work = ["lockstep", &run.file(""), &rounds_text, &more, &piece_text];
    let pid = run.to_end("gt-step", &work)?;
    let Some(mut books) = finish(run, (MORE + 1) * rounds * 4096)? else {
        return Ok(None);
    };
    if let Some(reason) = may_lack {
        books.excuse(reason)?;
    }
    let both = [("gt-step0", pid), ("gt-step1", pid)];
    books.belong_to(&both, most_of_a_loop(fs))?;
    let [more, less] = both.map(|(comm, pid)| books.owner(comm, pid));
    let owners = [more?, less?];
    Ok(Some(Two {
        rounds,
        books,
        owners,
    }))
}

/// Two tasks make, rename and remove files in the same transactions. What is shared
/// between them follows what they did.
pub fn storms(mut run: Run<'_>) -> Result<()> {
    let rounds = fewer(150);
    for dir in ["0", "1"] {
        fs::create_dir(run.file(dir))?;
    }
    trace(&mut run)?;
    let work = [
        "storms",
        &run.file(""),
        &rounds.to_string(),
        &MORE.to_string(),
    ];
    let pid = run.to_end("gt-storm", &work)?;
    run.to_end("gt-sync", &["syncfs", &run.file("")])?;
    run.unmount()?;
    // Half of the files that the second task alone makes remain.
    let Some(books) = finish(run, rounds * 4 * 256)? else {
        return Ok(());
    };
    let both = [("gt-storm0", pid), ("gt-storm1", pid)];
    books.belong_to(&both, MOST)?;
    let [more, less] = both.map(|(comm, pid)| books.owner(comm, pid));
    let (more, less) = (more?, less?);
    let dealt = |owner: &Owner| owner.estimated() - owner.home;
    ratio("dealt", dealt(&more), dealt(&less), 0.15)?;
    // What is written to its final place belongs to the last task that changed it. The longer the
    // storms take, the more often that happens in between.
    ratio("shared", more.estimated(), less.estimated(), 0.3)
}

fn ratio(what: &str, more: u64, less: u64, slack: f64) -> Result<()> {
    let ratio = more as f64 / less as f64;
    let off = (ratio / MORE as f64 - 1.0).abs();
    ensure!(
        less > 0 && off <= slack,
        "{what}: {more} to {less} is {ratio:.2}, not {MORE} within {} %",
        slack * 100.0
    );
    Ok(())
}
