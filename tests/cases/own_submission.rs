//! Bytes the owner submits itself.

use std::fs;
use std::process;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{MIB, owner, written_for};
use crate::support::checks::near;
use crate::support::device::Fs;
use crate::support::needs;
use crate::support::process::Writer;
use crate::support::run::Run;
use crate::support::settings::Cgroup;

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

/// Direct I/O that the limit of its cgroup holds back is submitted by a worker,
/// and is its caller's all the same. A kernel that does not let us hook functions
/// has nobody for it.
pub fn held_back(mut run: Run<'_>) -> Result<()> {
    let (len, rate) = (32 * MIB, 64 * MIB);
    let device = format!("/sys/class/block/{}", run.device_name());
    let device = fs::canonicalize(device)?;
    // A limit is a whole disk's.
    let disk = match device.join("partition").exists() {
        true => device.join("../dev"),
        false => device.join("dev"),
    };
    let device = fs::read_to_string(disk)?;
    let device = device.trim();
    let name = format!("gt-limited-{}", process::id());
    let cgroup = Cgroup::new(&["/sys/fs/cgroup/blkio", "/sys/fs/cgroup"], &name)?;
    cgroup
        .set(
            &["blkio.throttle.write_bps_device"],
            &format!("{device} {rate}"),
        )
        .or_else(|_| cgroup.set(&["io.max"], &format!("{device} wbps={rate}")))
        .context("no limit for a cgroup's writes")?;
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
    // btrfs may fall back to the page cache, whose pages tell whose they are.
    if fs == Fs::Btrfs {
        return near("written for gt-limited", written, len);
    }
    let least = len as f64 / rate as f64 / 2.0;
    ensure!(took.as_secs_f64() > least, "it was not held back: {took:?}");
    if !needs::functions_can_be_hooked()? {
        let nobodys = report.unattributed("unknown")?;
        ensure!(nobodys >= MIB, "{nobodys} bytes held back");
        return near("written for gt-limited or nobody", written + nobodys, len);
    }
    let owner = owner(&report, "gt-limited", pid)?;
    near("written for gt-limited", written, len)?;
    near("submitted by gt-limited itself", owner.written_self, len)
}
