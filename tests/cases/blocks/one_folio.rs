//! Tasks that write different blocks of the same folios.

use anyhow::{Context, Result, ensure};

use super::super::{MIB, owner, sized, together};
use super::{clean_file, first_of_sixteen, owns, rest_of_sixteen, work};
use crate::support::checks::near;
use crate::support::run::Run;

/// btrfs reserves metadata for each of so many pieces as if it were an extent. It runs
/// out of it, and writes back what it has: fragments, and their items.
const FRAGMENTS: u64 = 64 * MIB;
/// Size of a file whose pieces are too few for that.
const FEW: u64 = 4 * MIB;

/// The task that dirties a folio first owns only the block that it wrote. The task that
/// writes the other blocks owns those.
pub fn first_and_rest(mut run: Run<'_>) -> Result<()> {
    let len = 16 * MIB;
    let file = clean_file(&run, len)?;
    run.trace()?;
    let (first, rest) = (first_of_sixteen(len), rest_of_sixteen(len));
    let first = run.to_end("gt-first", &work(&["pieces", &file], &first))?;
    let rest = run.to_end("gt-rest", &work(&["pieces", &file], &rest))?;
    run.flush()?;
    run.metadata = FRAGMENTS;
    let Some(report) = run.finish(len, 0)? else {
        return Ok(());
    };
    owns(&report, "gt-first", first, len / 16)?;
    owns(&report, "gt-rest", rest, len / 16 * 15)
}

/// A dirty block stays with the task that dirtied it, even if a large write covers it
/// and the clean blocks beside it.
pub fn overwritten(mut run: Run<'_>) -> Result<()> {
    let len = FEW;
    let file = clean_file(&run, len)?;
    run.trace()?;
    let first = first_of_sixteen(len);
    let first = run.to_end("gt-first", &work(&["pieces", &file], &first))?;
    let all = run.to_end("gt-all", &["write", &file, "0", &len.to_string()])?;
    run.less_written_than(len / 32)?;
    run.flush()?;
    let Some(report) = run.finish(len, 0)? else {
        return Ok(());
    };
    owns(&report, "gt-first", first, len / 16)?;
    owns(&report, "gt-all", all, len / 16 * 15)
}

/// Four tasks that write to one file at once, as a database's backends do, own a
/// quarter each.
pub fn backends(mut run: Run<'_>) -> Result<()> {
    let len = sized(32 * MIB);
    let file = clean_file(&run, len)?;
    run.trace()?;
    let len_text = len.to_string();
    let work = |part| ["shuffled", &file, &len_text, "8192", part, "4"];
    let [zero, one, two, three] = ["0", "1", "2", "3"].map(work);
    let pids = together(
        &run,
        &[
            ("gt-backend0", &zero),
            ("gt-backend1", &one),
            ("gt-backend2", &two),
            ("gt-backend3", &three),
        ],
    )?;
    run.flush()?;
    run.metadata = FRAGMENTS;
    let Some(report) = run.finish(len, 0)? else {
        return Ok(());
    };
    for (comm, pid) in pids {
        owns(&report, comm, pid, len / 4)?;
    }
    Ok(())
}

/// Blocks that were dirty before the trace have no owner. The blocks beside them belong
/// to their writer.
pub fn dirty_before(mut run: Run<'_>) -> Result<()> {
    let len = FEW;
    let file = clean_file(&run, len)?;
    let (first, rest) = (first_of_sixteen(len), rest_of_sixteen(len));
    run.to_end("gt-early", &work(&["pieces", &file], &first))?;
    run.trace()?;
    let rest = run.to_end("gt-late", &work(&["pieces", &file], &rest))?;
    run.flush()?;
    let (dev, Some(report)) = (run.device_name(), run.finish(len, 0)?) else {
        return Ok(());
    };
    owns(&report, "gt-late", rest, len / 16 * 15)?;
    let early = report.unattributed_on(&dev, "pre_trace")?;
    ensure!(early >= len / 16, "{early} bytes from before the trace");
    Ok(())
}

/// Nothing is left of blocks that their writer has synced: it never owned the clean
/// blocks beside them, and none counts as dropped when all leave the page cache.
pub fn evicted(mut run: Run<'_>) -> Result<()> {
    let len = FEW;
    let file = clean_file(&run, len)?;
    run.trace()?;
    let first = first_of_sixteen(len);
    let mut synced = work(&["pieces", &file], &first);
    synced.push("fsync");
    let alone = run.to_end("gt-alone", &synced)?;
    run.to_end("gt-evict", &["evict", &file])?;
    run.flush()?;
    let Some(report) = run.finish(len / 16, 0)? else {
        return Ok(());
    };
    owns(&report, "gt-alone", alone, len / 16)?;
    let owner = owner(&report, "gt-alone", alone)?;
    near("submitted by itself", owner.written_self, len / 16).context("gt-alone")
}
