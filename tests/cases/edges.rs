//! The edges of what is counted: bios that never reach the device, pages without a mapping,
//! kernel threads that work for themselves, and the moment at which an interval ends.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{self, Command};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Group, MIB, sized};
use crate::support::checks::near;
use crate::support::command;
use crate::support::counters::{DeviceStat, Vmstat};
use crate::support::device::{Fs, On};
use crate::support::disk::Disk;
use crate::support::mount::Mount;
use crate::support::ndjson::Report;
use crate::support::process::Writer;
use crate::support::run::Run;
use crate::support::settings::{Cgroup, Setting};
use crate::support::swap::Swap;

/// These do not depend on the file system.
pub const GROUP: Group = Group {
    name: "edges",
    fs: Fs::Ext4,
    on: On::Memory,
    feature: None,
    program: None,
    cases: &[
        (
            "direct_io_by_io_uring_is_counted_once",
            deeper_than_the_queue,
        ),
        ("direct_io_equals_pgpgout_in_every_interval", every_interval),
        ("swapped_out_pages_of_tmpfs", swapped_out),
        ("zeros_of_ext4lazyinit", zeros),
    ],
};

/// What io_uring writes at once in these cases.
const BLOCK: u64 = 4096;

/// A disk of its own, in memory. All of its memory is there from the start.
fn disk(run: &Run<'_>, name: &str, size: u64) -> Result<Disk> {
    let image = PathBuf::from(format!("/dev/shm/iotop-trace-{name}-{}", process::id()));
    let made = File::create_new(&image)
        .and_then(|_| fs::write(&image, vec![0; size as usize]))
        .map_err(Into::into)
        .and_then(|()| Disk::on_file(&image, run.deadline));
    fs::remove_file(&image)?;
    made
}

/// The bytes of all threads of a process: io_uring's workers have names of their own.
fn written_by(report: &Report, pid: u64) -> Result<u64> {
    let owners = report.owners()?.into_iter();
    let ours = owners.filter(|((_, of), _)| *of == pid);
    Ok(ours.map(|(_, owner)| owner.written).sum())
}

/// A bio that finds no free tag never reaches the device, and io_uring submits its bytes again.
/// They are counted once, as the device does.
fn deeper_than_the_queue(mut run: Run<'_>) -> Result<()> {
    let len = 64 * MIB;
    let disk = disk(&run, "deep", len)?;
    let directory = fs::canonicalize(format!("/sys/class/block/{}", disk.name()))?;
    let _tags = Setting::queue(&directory, "nr_requests", 32)?;
    run.vmstat_counts_more = true;
    run.trace()?;
    let (stat, vmstat) = (DeviceStat::of(disk.name())?, Vmstat::now()?);
    let pid = run.to_end(
        "gt-deep",
        &["uring", &disk.path(), &len.to_string(), "64", "4"],
    )?;
    let stat = DeviceStat::of(disk.name())?.since(stat);
    let submitted = Vmstat::now()?.since(vmstat).written;
    near("the case is wrong: written", stat.written, len)?;
    let Some(report) = run.finish(0, 0)? else {
        return Ok(());
    };
    let counted = report.written_to(disk.name())?;
    let mut missed = 0;
    for interval in &report.0 {
        let lost = interval.system.numbers("lost")?;
        missed += lost.get("missed_events").copied().flatten().unwrap_or(0);
    }
    // Where a task may be preempted inside a tracepoint, hundreds of workers on a slow machine
    // may keep every program from seeing a bio, or its end. The report says how often.
    ensure!(
        counted.abs_diff(stat.written) <= missed * BLOCK,
        "{counted} bytes are reported, but the device wrote {}, and {submitted} were submitted; \
         {missed} events were missed",
        stat.written
    );
    let own = written_by(&report, pid)?;
    near(
        "not written by gt-deep",
        counted - own,
        stat.written.saturating_sub(len),
    )?;
    ensure!(
        submitted > len + MIB,
        "the case is wrong: the device turned nothing away"
    );
    Ok(())
}

/// The bytes of each interval are about the same time as `pgpgout`, so that their sums never
/// differ by more than what is just being submitted. That includes the first interval.
fn every_interval(mut run: Run<'_>) -> Result<()> {
    let len = sized(256 * MIB);
    let file = run.file("file");
    let (offset, bytes) = ("0", len.to_string());
    run.to_end("gt-before", &["write", &file, offset, &bytes])?;
    run.flush()?;
    // It writes while the tracer starts.
    let mut writer = Writer::start("gt-pages", &["direct_pages", &file, &bytes])?;
    writer.go()?;
    run.metadata += len;
    run.trace_with(&["-d", "0.2"])?;
    writer.done(run.deadline)?;
    writer.exit(run.deadline)?;
    let Some(report) = run.finish(0, 0)? else {
        return Ok(());
    };
    let (mut block, mut vmstat) = (0, 0);
    for interval in &report.0 {
        block += interval.system.number("block_write_bytes")?;
        vmstat += interval.system.number("pgpgout_bytes")?;
        let seq = interval.system.number("seq")?;
        near(&format!("sum of {seq} intervals"), block, vmstat)?;
    }
    Ok(())
}

/// Pages of tmpfs that are swapped out have no owner, and the reason is known.
fn swapped_out(mut run: Run<'_>) -> Result<()> {
    let (len, limit) = (64 * MIB, 8 * MIB);
    let disk = disk(&run, "swap", 2 * len)?;
    let file = format!("/dev/shm/iotop-trace-swapped-{}", process::id());
    let cgroup = Cgroup::new(&["/sys/fs/cgroup/memory", "/sys/fs/cgroup"], "gt-swapped")?;
    cgroup.set(
        &["memory.limit_in_bytes", "memory.high"],
        &limit.to_string(),
    )?;
    let swap = Swap::on(&disk, 2 * len)?;
    // Regression: in the midst of such a bio, a task could lose its CPU on 5.10. Its bytes were
    // then in the total of one interval and in the parts of a later one.
    run.trace_with(&["-d", "0.1"])?;
    let mut writer = Writer::start("gt-tmpfs", &["write", &file, "0", &len.to_string()])?;
    cgroup.take(writer.pid())?;
    writer.go()?;
    let done = writer.done(run.deadline);
    fs::remove_file(&file)?;
    done?;
    writer.exit(run.deadline)?;
    let written = DeviceStat::of(disk.name())?.written;
    drop(swap);
    let Some(report) = run.finish(0, 0)? else {
        return Ok(());
    };
    let swapped = report.unattributed_on(disk.name(), "swap")?;
    ensure!(swapped >= MIB, "{swapped} bytes were swapped out");
    let all = report.written_to(disk.name())?;
    ensure!(
        swapped == all,
        "{swapped} of {all} bytes on the swap device are known as swap; it wrote {written}"
    );
    Ok(())
}

/// The zeros in the inode tables that mkfs left out are the kernel thread's own.
fn zeros(mut run: Run<'_>) -> Result<()> {
    let size = 64 * MIB;
    let disk = disk(&run, "lazy", size)?;
    let mut mkfs = Command::new("mkfs.ext4");
    mkfs.args(["-qF", "-N65536", "-Elazy_itable_init=1,nodiscard"]);
    command::run(mkfs.arg(disk.path()), run.deadline)?;
    let dir = run.file("lazy");
    fs::create_dir(&dir)?;
    run.flush()?;
    run.trace()?;
    let before = DeviceStat::of(disk.name())?;
    let mount = Mount::new(&["-oinit_itable=0", &disk.path()], &dir, run.deadline)?;
    // 256 bytes for each inode. The thread begins within five seconds.
    let (zeros, mut written) = (8 * MIB, 0);
    while written < zeros && !run.deadline.left().is_zero() {
        sleep(Duration::from_millis(100));
        written = DeviceStat::of(disk.name())?.since(before).written;
    }
    drop(mount);
    let Some(report) = run.finish(0, 0)? else {
        return Ok(());
    };
    ensure!(
        written >= zeros,
        "the case is wrong: {written} bytes were zeroed"
    );
    let unknown = report.unattributed_on(disk.name(), "unknown")?;
    ensure!(unknown == 0, "{unknown} bytes of no known owner");
    // Some kernels let a loop device on tmpfs zero without data. Its bios have no pages, and the
    // kernel does not count them in pgpgout either.
    let all = report.written_to(disk.name())?;
    if all <= MIB {
        return Ok(());
    }
    let thread = report.owners()?;
    let thread = thread
        .iter()
        .filter(|((comm, _), _)| *comm == "ext4lazyinit");
    let own: u64 = thread.map(|(_, owner)| owner.written_self).sum();
    ensure!(own >= zeros - MIB, "{own} of {all} bytes of ext4lazyinit");
    Ok(())
}
