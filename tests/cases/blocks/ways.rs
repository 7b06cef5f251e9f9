//! Every way to write to the page cache dirties the blocks that it writes.

use anyhow::{Result, ensure};

use super::super::{MIB, owner};
use super::{first_of_sixteen, owns, rest_of_sixteen, work};
use crate::support::checks::near;
use crate::support::device::Fs;
use crate::support::ndjson::Report;
use crate::support::run::Run;

/// The ways whose attribution is exact, whichever task dirtied a block of the same
/// folio before.
const EXACT: [&str; 8] = [
    "vectored",
    "partial",
    "append",
    "splice",
    "sendfile",
    "dontcache",
    "dsync",
    "sync",
];
const MAPPED: &str = "mmap";
const LEN: u64 = 2 * MIB;

/// One file for each way. In each file, one task writes the first page of each sixteen
/// in the plain way, and another one writes the rest in this way.
pub fn all(mut run: Run<'_>) -> Result<()> {
    let ways = || EXACT.into_iter().chain([MAPPED]);
    let len = LEN.to_string();
    for way in ways() {
        let file = run.file(way);
        run.to_end("gt-before", &["write", &file, "0", &len])?;
    }
    run.flush()?;
    run.trace()?;
    let mut pids = Vec::new();
    for way in ways() {
        pids.push((way, both(&run, way)?));
    }
    run.flush()?;
    // Each write that waits for the disk has its own metadata.
    run.metadata = 32 * MIB;
    let fs = run.fs();
    let Some(report) = run.finish(LEN * pids.len() as u64, 0)? else {
        return Ok(());
    };
    let mut wrong = String::new();
    for (way, pids) in pids {
        let check = match way {
            MAPPED if fs == Fs::Ext4 => are_told_apart(&report, pids),
            _ => have_theirs(&report, way, pids),
        };
        if let Err(error) = check {
            wrong += &format!("\nwritten by {way}: {error:#}");
        }
    }
    ensure!(wrong.is_empty(), "{wrong}");
    Ok(())
}

/// Runs the writer of the first pages and the writer of the rest, and returns their
/// process ids.
fn both(run: &Run<'_>, way: &str) -> Result<[u64; 2]> {
    let file = run.file(way);
    let (first, rest) = (first_of_sixteen(LEN), rest_of_sixteen(LEN));
    let [first_comm, rest_comm] = comms(way);
    let plain = match way {
        "append" => work(&["pieces_by", "append", &file], &first),
        _ => work(&["pieces", &file], &first),
    };
    let first = run.to_end(&first_comm, &plain)?;
    let rest = run.to_end(&rest_comm, &work(&["pieces_by", way, &file], &rest))?;
    Ok([first, rest])
}

fn comms(way: &str) -> [String; 2] {
    ["a", "b"].map(|who| format!("gt-{who}-{way}"))
}

fn have_theirs(report: &Report, way: &str, pids: [u64; 2]) -> Result<()> {
    let lens = [LEN / 16, LEN / 16 * 15];
    for ((comm, pid), len) in comms(way).iter().zip(pids).zip(lens) {
        owns(report, comm, pid, len)?;
    }
    Ok(())
}

/// When ext4 makes a folio with dirty blocks writable, it does not tell which blocks
/// are new. Those may count as shared, but never as exactly another task's.
fn are_told_apart(report: &Report, pids: [u64; 2]) -> Result<()> {
    let [first_comm, rest_comm] = comms(MAPPED);
    let first = owner(report, &first_comm, pids[0])?;
    let rest = owner(report, &rest_comm, pids[1])?;
    near("written for the first one", first.written, LEN / 16)?;
    let all = first.written + first.shared + rest.written + rest.shared;
    near("written for both", all, LEN)?;
    let left = first.pending + rest.pending;
    ensure!(left == 0, "{left} bytes are pending");
    Ok(())
}
