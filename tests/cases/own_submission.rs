//! Bytes that the owner submits itself.

use std::fs;
use std::path::PathBuf;
use std::process;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{MIB, owner, sized, written_for};
use crate::support::checks::near;
use crate::support::device::Fs;
use crate::support::needs;
use crate::support::process::Writer;
use crate::support::run::Run;
use crate::support::settings::{Cgroup, Setting};

/// A task that writes pages back with its own fsync submits them itself.
pub fn fsync(mut run: Run<'_>) -> Result<()> {
    let len = sized(64 * MIB);
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

/// Direct I/O dirties no page, and its caller owns it.
pub fn direct(mut run: Run<'_>) -> Result<()> {
    let len = sized(64 * MIB);
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
    // btrfs may fall back to the page cache because of its checksums.
    if fs != Fs::Btrfs {
        near("submitted by gt-direct itself", owner.written_self, len)?;
        near("dirtied by gt-direct", owner.dirtied, 0)?;
    }
    Ok(())
}

/// A kworker submits direct I/O that the limit of a cgroup holds back. The caller still
/// owns it. If the kernel does not let us hook functions, it has no owner.
pub fn held_back(mut run: Run<'_>) -> Result<()> {
    let (len, rate) = (32 * MIB, 64 * MIB);
    let cgroup = limited(&run, "gt-limited", Limit::Bytes(rate))?;
    run.trace()?;
    let fs = run.fs();
    let file = run.file("file");
    let mut writer = Writer::start("gt-limited", &["direct", &file, &len.to_string()])?;
    cgroup.take(writer.pid())?;
    let begun = Instant::now();
    writer.go()?;
    writer.done(run.deadline)?;
    let took = begun.elapsed();
    let pid = writer.exit(run.deadline)?;
    run.flush()?;
    let Some(report) = run.finish(len, 0)? else {
        return Ok(());
    };
    let written = written_for(&report, "gt-limited", pid)?;
    // btrfs may fall back to the page cache, whose pages have tags.
    if fs == Fs::Btrfs {
        return near("written for gt-limited", written, len);
    }
    let least = len as f64 / rate as f64 / 2.0;
    ensure!(took.as_secs_f64() > least, "it was not held back: {took:?}");
    if !needs::functions_can_be_hooked()? {
        let unowned = report.unattributed("unknown")?;
        ensure!(unowned >= MIB, "{unowned} bytes held back");
        return near(
            "written for gt-limited or without an owner",
            written + unowned,
            len,
        );
    }
    let owner = owner(&report, "gt-limited", pid)?;
    near("written for gt-limited", written, len)?;
    near("submitted by gt-limited itself", owner.written_self, len)
}

/// Tasks on one CPU whose bios are held back alternately, both whole bios and the rest of
/// split ones, and beside them a task without a limit. Each owns its own bytes.
pub fn held_back_by_turns(mut run: Run<'_>) -> Result<()> {
    let len = 24 * MIB;
    let _split = Setting::queue(&disk(&run)?, "max_sectors_kb", 256)?;
    let comms = ["gt-bios", "gt-bytes", "gt-free"];
    let by_bios = limited(&run, comms[0], Limit::Bios(100))?;
    let by_bytes = limited(&run, comms[1], Limit::Bytes(24 * MIB))?;
    let cgroups = [Some(by_bios), Some(by_bytes), None];
    run.trace()?;
    let start = |(comm, cgroup): (&str, &Option<Cgroup>)| {
        let work = ["direct_on_first_cpu", &run.file(comm), &len.to_string()];
        let writer = Writer::start(comm, &work)?;
        cgroup.as_ref().map_or(Ok(()), |to| to.take(writer.pid()))?;
        Ok(writer)
    };
    let writers: Result<Vec<_>> = comms.into_iter().zip(&cgroups).map(start).collect();
    let mut writers = writers?;
    let begun = Instant::now();
    for writer in &mut writers {
        writer.go()?;
    }
    writers[0].done(run.deadline)?;
    // Without splits it could be done in a quarter of a second.
    let took = begun.elapsed();
    ensure!(
        took.as_secs_f64() > 0.5,
        "gt-bios was not held back: {took:?}"
    );
    for writer in &mut writers[1..] {
        writer.done(run.deadline)?;
    }
    let pids = writers.into_iter().map(|writer| writer.exit(run.deadline));
    let pids = pids.collect::<Result<Vec<_>>>()?;
    run.flush()?;
    let Some(report) = run.finish(3 * len, 0)? else {
        return Ok(());
    };
    let written = comms.into_iter().zip(pids);
    let written = written.map(|(comm, pid)| written_for(&report, comm, pid));
    let written = written.collect::<Result<Vec<_>>>()?;
    if !needs::functions_can_be_hooked()? {
        let unowned = report.unattributed("unknown")?;
        ensure!(unowned >= MIB, "{unowned} bytes held back");
        near("written for gt-free", written[2], len)?;
        let all = written.iter().sum::<u64>() + unowned;
        return near("written for them or without an owner", all, 3 * len);
    }
    for (comm, written) in comms.into_iter().zip(written) {
        near(comm, written, len)?;
    }
    Ok(())
}

/// What a cgroup may write in a second.
enum Limit {
    Bytes(u64),
    /// Bios; parts of a split one count too.
    Bios(u64),
}

/// The directory in /sys of the whole disk, which a limit applies to.
fn disk(run: &Run<'_>) -> Result<PathBuf> {
    let device = format!("/sys/class/block/{}", run.device_name());
    let device = fs::canonicalize(device)?;
    match device.join("partition").exists() {
        true => Ok(fs::canonicalize(device.join(".."))?),
        false => Ok(device),
    }
}

/// A cgroup with this limit for writes to the run's device.
fn limited(run: &Run<'_>, name: &str, limit: Limit) -> Result<Cgroup> {
    let device = fs::read_to_string(disk(run)?.join("dev"))?;
    let device = device.trim();
    let (first, second, limit) = match limit {
        Limit::Bytes(limit) => ("blkio.throttle.write_bps_device", "wbps", limit),
        Limit::Bios(limit) => ("blkio.throttle.write_iops_device", "wiops", limit),
    };
    let name = format!("{name}-{}", process::id());
    let cgroup = Cgroup::new(&["/sys/fs/cgroup/blkio", "/sys/fs/cgroup"], &name)?;
    cgroup
        .set(&[first], &format!("{device} {limit}"))
        .or_else(|_| cgroup.set(&["io.max"], &format!("{device} {second}={limit}")))
        .context("no limit for a cgroup's writes")?;
    Ok(cgroup)
}
