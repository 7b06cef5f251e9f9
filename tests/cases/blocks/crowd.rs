//! Many tasks and many files at once: the room for what is kept of each must not run
//! out.

use anyhow::{Result, ensure};

use super::super::{MIB, owner, sized, together};
use super::{KIB, PAGE, SIXTEEN, clean_file, owns};
use crate::support::checks::near;
use crate::support::needs::emulated;
use crate::support::run::Run;

/// Number of tasks. An emulated machine needs long for each.
fn count() -> u64 {
    if emulated() { 150 } else { 1200 }
}

/// One block of each of many files, each written by its own task: none stays pending,
/// and a later writer owns all its bytes.
pub fn many_files(mut run: Run<'_>) -> Result<()> {
    let third = count() / 3;
    let dir = run.file("");
    let dir = dir.trim_end_matches('/');
    let (files, each) = ((3 * third).to_string(), (16 * KIB).to_string());
    run.to_end("gt-before", &["files", dir, &files, &each])?;
    run.flush()?;
    run.trace()?;
    let [one, two, three, each] = [0, third, 2 * third, third].map(|number| number.to_string());
    let crowd = |first| ["crowd_of_files", dir, first, &each];
    let [one, two, three] = [one.as_str(), &two, &three].map(crowd);
    let crowds: [(&str, &[&str]); 3] = [
        ("gt-crowd0", &one),
        ("gt-crowd1", &two),
        ("gt-crowd2", &three),
    ];
    let pids = together(&run, &crowds)?;
    run.flush()?;
    let (file, len) = (run.file("later"), 8 * MIB);
    let later = run.to_end("gt-later", &["write", &file, "0", &len.to_string()])?;
    run.flush()?;
    // An inode and an item for each file, twice.
    run.metadata = 32 * MIB;
    run.metadata_reads = MIB;
    // There are more files at once than the tracer has room for paths.
    run.may_lose = &["paths"];
    let dev = run.device_name();
    let Some(report) = run.finish(3 * third * PAGE + len, 0)? else {
        return Ok(());
    };
    for (comm, pid) in pids {
        let owner = owner(&report, comm, pid)?;
        near(comm, owner.written, third * PAGE)?;
        near("dropped", owner.cancelled, 0)?;
        let tasks = owner.tids.len() as u64;
        ensure!(tasks >= third, "{comm} had {third} tasks, not {tasks}");
        let pending = report.pending(comm)?;
        ensure!(pending == 0, "{comm}: {pending} bytes are pending");
    }
    owns(&report, "gt-later", later, len)?;
    let overflow = report.unattributed_on(&dev, "overflow")?;
    ensure!(overflow == 0, "{overflow} bytes had no room");
    Ok(())
}

/// Many tasks that write to one file take nothing away from a task that writes to
/// another.
pub fn bystander(mut run: Run<'_>) -> Result<()> {
    let (count, len) = (count(), sized(32 * MIB));
    let crowded = clean_file(&run, count * SIXTEEN)?;
    run.trace()?;
    let own = run.file("own");
    let (each, piece, all) = (count.to_string(), SIXTEEN.to_string(), len.to_string());
    let crowd = ["crowd", &crowded, &each, &piece];
    // Page by page, so that both run for a while.
    let alone = ["pieces", &own, "0", &all, "4096", "0"];
    let pids = together(&run, &[("gt-crowd", &crowd), ("gt-alone", &alone)])?;
    run.flush()?;
    run.metadata = 16 * MIB;
    run.metadata_reads = MIB;
    let Some(report) = run.finish(count * PAGE + len, 0)? else {
        return Ok(());
    };
    owns(&report, pids[1].0, pids[1].1, len)?;
    let crowd = owner(&report, pids[0].0, pids[0].1)?;
    near("written for the crowd", crowd.written, count * PAGE)?;
    near("dropped", crowd.cancelled, 0)?;
    let pending = report.pending("gt-crowd")?;
    ensure!(pending == 0, "{pending} bytes are pending");
    Ok(())
}
