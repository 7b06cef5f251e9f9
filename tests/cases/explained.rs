//! Why data was written, and whose it was: what `--explain-writeback` promises.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{MIB, UNIFIED, files_are, sized};
use crate::support::checks::near;
use crate::support::deadline::slower;
use crate::support::device::Fs;
use crate::support::mount::Mount;
use crate::support::ndjson::{Part, data_of};
use crate::support::needs::emulated;
use crate::support::process::Writer;
use crate::support::run::Run;
use crate::support::settings::{Cgroup, Setting};
use crate::support::tracer::Tracer;

/// The bytes of a writer's parts that were written for one of these reasons.
fn bytes_for(parts: &[Part<'_>], reasons: &[&str]) -> Result<u64> {
    let mut sum = 0;
    for part in parts {
        if reasons.contains(&part.flush.text("reason")?) {
            sum += part.bytes()?;
        }
    }
    Ok(sum)
}

/// The tasks that are reported to have asked for the runs of a writer's parts.
fn askers<'a>(parts: &[Part<'a>]) -> Result<Vec<&'a Value>> {
    let mut askers = Vec::new();
    for part in parts {
        askers.extend(part.runs()?.iter().map(|run| &run["asker"]));
    }
    Ok(askers)
}

/// More is dirty than vm.dirty_background_bytes allows, and vm.dirty_bytes throttles
/// the writer, for no longer than the writer ran.
pub fn background(mut run: Run<'_>) -> Result<()> {
    let len = 128 * MIB;
    // Limits this narrow throttle a writer, however fast the device is.
    let _background = Setting::vm("dirty_background_bytes", 2 * MIB)?;
    let _dirty = Setting::vm("dirty_bytes", 3 * MIB)?;
    run.trace()?;
    let file = run.file("file");
    let begin = Instant::now();
    let pid = run.to_end("gt-back", &["write", &file, "0", &len.to_string()])?;
    let took = begin.elapsed();
    run.flush()?;
    // btrfs writes its trees each time that it has to write data.
    run.metadata = 64 * MIB;
    let Some(report) = run.finish(len, 0)? else {
        return Ok(());
    };
    let parts = report.parts("gt-back", pid)?;
    near("flushed for gt-back", Part::sum(&parts)?, len)?;
    let background = bytes_for(&parts, &["background"])?;
    ensure!(background > len / 2, "{background} bytes in the background");
    let throttled = report.sum_of("gt-back", pid, "throttled_ns")?;
    let throttles = report.sum_of("gt-back", pid, "throttle_count")?;
    ensure!(throttles > 0 || emulated(), "gt-back was never held back");
    ensure!(
        (throttled > 0) == (throttles > 0) && u128::from(throttled) <= took.as_nanos(),
        "held back {throttles} times, {throttled} ns of {took:?}"
    );
    Ok(())
}

/// Data that is dirty for longer than vm.dirty_expire_centisecs is written without any
/// task asking for it, and had been dirty for that long.
pub fn periodic(mut run: Run<'_>) -> Result<()> {
    // The age of a file is that of its first page. Other pages are younger by the time
    // that the writer took.
    let len = sized(16 * MIB);
    let _expire = Setting::vm("dirty_expire_centisecs", 100)?;
    let _wakeup = Setting::vm("dirty_writeback_centisecs", 20)?;
    run.trace()?;
    let file = run.file("file");
    let mut writer = Writer::start("gt-old", &["write", &file, "0", &len.to_string()])?;
    let before = Instant::now();
    writer.go()?;
    writer.done(run.deadline)?;
    let took = before.elapsed().as_nanos() as u64;
    let pid = writer.exit(run.deadline)?;
    while !run.has_written(len)? {
        ensure!(!run.deadline.left().is_zero(), "nothing is written");
        sleep(Duration::from_millis(100));
    }
    let Some(report) = run.finish(len, 0)? else {
        return Ok(());
    };
    let parts = report.parts("gt-old", pid)?;
    near("flushed", bytes_for(&parts, &["periodic"])?, len)?;
    ensure!(
        askers(&parts)?.iter().all(|asker| asker.is_null()),
        "asked for"
    );
    for part in parts {
        // Trees that are written on their own have no age.
        if part.bytes()? == 0 {
            continue;
        }
        let lag = &part.owner["lag_ns"];
        let of = |which: &str| lag[which].as_u64().context("a lag");
        let (p50, p99, max) = (of("p50")?, of("p99")?, of("max")?);
        ensure!(p50 <= p99 && p99 <= max, "{lag}");
        // The median is the middle of a class: that of 1.008 s is 0.768 s.
        let youngest = 700_000_000_u64.saturating_sub(took);
        ensure!((youngest..5_000_000_000).contains(&p50), "{lag}");
        ensure!(max >= 900_000_000, "{lag}");
    }
    Ok(())
}

/// A task that calls syncfs(2) is named as the one that asked for the run. The run has
/// a start, an end and its pages.
pub fn syncfs(mut run: Run<'_>) -> Result<()> {
    let (fs, len) = (run.fs(), sized(96 * MIB));
    run.trace()?;
    let file = run.file("file");
    let pid = run.to_end("gt-data", &["write", &file, "0", &len.to_string()])?;
    run.nothing_written_yet()?;
    let asker = run.flush()?;
    // The flusher wakes the asking task before it reports that the run is over.
    sleep(Duration::from_millis(100) * slower());
    let (dev, Some(report)) = (run.device_name(), run.finish(len, 0)?) else {
        return Ok(());
    };
    let parts = report.parts("gt-data", pid)?;
    let flushed = bytes_for(&parts, &["sync"])?;
    near("flushed", flushed, len)?;
    for part in &parts {
        for run in part.runs()? {
            ensure!(
                run["asker"]["pid"] == asker,
                "requested by {}",
                run["asker"]
            );
            ensure!(run["asker"]["comm"] == "gt-flush", "{}", run["asker"]);
            ensure!(run["asker"]["inferred"] == false, "{}", run["asker"]);
            ensure!(run["start"].is_string(), "{run}");
        }
    }
    // The end of a run may be in an interval that has none of its bytes.
    let mut pages = 0;
    for flush in report.flushes_on(&dev)? {
        let runs = flush.field("runs")?.as_array().context("no runs")?;
        let asked = |run: &&Value| run["asker"]["pid"] == asker && run["end"].is_string();
        for run in runs.iter().filter(asked) {
            pages = pages.max(run["written_pages"].as_u64().context("pages")?);
        }
    }
    match fs {
        // btrfs counts a large folio as one page.
        Fs::Btrfs => ensure!(pages > 0 && pages * 4096 < 2 * len, "{pages} pages"),
        Fs::Ext4 | Fs::Xfs => near("the run's pages", pages * 4096, len)?,
    }
    Ok(())
}

/// No run is lost, however many end in one interval. Regression: the buffer held some 600.
pub fn syncfs_in_a_loop(mut run: Run<'_>) -> Result<()> {
    let count = sized(1000);
    run.trace_with(&["-d", "5"])?;
    let pid = run.to_end(
        "gt-syncing",
        &["synced_appends", &run.file("file"), &count.to_string()],
    )?;
    run.metadata += 256 * 1024 * count;
    let (dev, Some(report)) = (run.device_name(), run.finish(4096 * count, 0)?) else {
        return Ok(());
    };
    let mut asked = 0;
    for flush in report.flushes_on(&dev)? {
        let runs = flush.field("runs")?.as_array().context("no runs")?;
        let of_ours = runs.iter().filter(|run| run["asker"]["pid"] == pid);
        asked += of_ours.count() as u64;
    }
    // Another flusher may write a byte first, most often btrfs's own.
    ensure!(
        asked >= count / 2,
        "{asked} runs for {count} calls are reported"
    );
    Ok(())
}

/// sync(2) first wakes all flushers and then asks them for the rest. The calling task is
/// named for both.
pub fn sync(mut run: Run<'_>) -> Result<()> {
    let len = sized(96 * MIB);
    run.trace()?;
    let file = run.file("file");
    let pid = run.to_end("gt-data", &["write", &file, "0", &len.to_string()])?;
    run.nothing_written_yet()?;
    let asker = run.to_end("gt-sync", &["sync"])?;
    let Some(report) = run.finish(len, 0)? else {
        return Ok(());
    };
    let parts = report.parts("gt-data", pid)?;
    let flushed = bytes_for(&parts, &["sync"])?;
    near("flushed", flushed, len)?;
    let askers = askers(&parts)?;
    ensure!(!askers.is_empty(), "no run");
    let other = askers
        .iter()
        .find(|found| !found.is_null() && found["pid"] != asker);
    ensure!(other.is_none(), "requested by {other:?}");
    Ok(())
}

/// If a task writes in its own system call, the reason is that call.
fn own_call(mut run: Run<'_>, work: &str, reason: &str) -> Result<()> {
    let (fs, len) = (run.fs(), 32 * MIB);
    run.trace()?;
    let file = run.file("file");
    let pid = run.to_end("gt-call", &[work, &file, &len.to_string()])?;
    run.flush()?;
    let Some(report) = run.finish(len, 0)? else {
        return Ok(());
    };
    let parts = report.parts("gt-call", pid)?;
    near("written", Part::sum(&parts)?, len)?;
    // If checksums are slow, and on older kernels always except for fsync(2), btrfs
    // lets checksum workers submit for a task. It is unknown which call they work for.
    if fs == Fs::Btrfs && work == "range" && emulated() {
        return Ok(());
    }
    let own = bytes_for(&parts, &[reason])?;
    near(reason, own, len)?;
    let by_itself = |part: &Part<'_>| Ok(part.flush.field("submitter")?["pid"] == pid);
    let by_itself: Result<Vec<bool>> = parts.iter().map(by_itself).collect();
    ensure!(by_itself?.contains(&true), "gt-call submitted nothing");
    Ok(())
}

pub fn fsync(run: Run<'_>) -> Result<()> {
    own_call(run, "fsync", "fsync")
}

pub fn sync_file_range(run: Run<'_>) -> Result<()> {
    own_call(run, "range", "sync_file_range")
}

/// If a cgroup is short of memory, a flusher writes its dirty pages for that reason.
pub fn memory_pressure(mut run: Run<'_>) -> Result<()> {
    let len = 256 * MIB;
    let hierarchies = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"];
    // Since 5.14, a loop device charges the pages of its backing file to the cgroup
    // that the I/O is counted for. The tight cgroup has no memory for them, so I/O must
    // be counted for an outer one.
    let outer = Cgroup::new(&hierarchies, "gt-memory")?;
    let cgroup = outer.inner("gt-tight")?;
    let limit = (48 * MIB).to_string();
    // Not memory.max: on a slow device the writer would be killed above it, because
    // reclaim waits for writeback only in version 1.
    cgroup.set(&["memory.limit_in_bytes", "memory.high"], &limit)?;
    run.trace()?;
    let file = run.file("file");
    let mut writer = Writer::start("gt-tight", &["write", &file, "0", &len.to_string()])?;
    cgroup.take(writer.pid())?;
    writer.go()?;
    writer.done(run.deadline)?;
    let pid = writer.exit(run.deadline)?;
    run.flush()?;
    let Some(report) = run.finish(len, 0)? else {
        return Ok(());
    };
    let parts = report.parts("gt-tight", pid)?;
    near("flushed", Part::sum(&parts)?, len)?;
    let tight = bytes_for(&parts, &["vmscan", "background", "foreign_flush"])?;
    ensure!(
        tight > 32 * MIB,
        "only {tight} bytes were written because of memory"
    );
    let by_reclaim = bytes_for(&parts, &["vmscan"])?;
    ensure!(
        by_reclaim > 0 || emulated(),
        "nothing was written because of reclaim"
    );
    Ok(())
}

/// Two units that wrote 3 : 1 and no longer exist have their names and their shares.
pub fn two_units(mut run: Run<'_>) -> Result<()> {
    let lens = [96, 32].map(|len| sized(len * MIB));
    let units = ["gt-large.service", "gt-small.service"];
    run.trace()?;
    let mut pids = Vec::new();
    for (unit, len) in units.into_iter().zip(lens) {
        let cgroup = Cgroup::new(&UNIFIED, unit)?;
        let file = run.file(unit);
        let mut writer = Writer::start("gt-unit", &["write", &file, "0", &len.to_string()])?;
        cgroup.take(writer.pid())?;
        writer.go()?;
        writer.done(run.deadline)?;
        pids.push(writer.exit(run.deadline)?);
        sleep(Duration::from_millis(50));
    }
    run.nothing_written_yet()?;
    run.flush()?;
    let Some(report) = run.finish(lens.iter().sum(), 0)? else {
        return Ok(());
    };
    for ((unit, len), pid) in units.into_iter().zip(lens).zip(pids) {
        let parts = report.parts("gt-unit", pid)?;
        near(unit, Part::sum(&parts)?, len)?;
        let other = parts.iter().find(|part| part.owner["unit"] != unit);
        ensure!(
            other.is_none(),
            "{unit}: {:?}",
            other.map(|part| part.owner)
        );
    }
    Ok(())
}

/// A file that was deleted while it was open and dirty keeps its name, marked as
/// deleted.
pub fn deleted(mut run: Run<'_>) -> Result<()> {
    let len = sized(24 * MIB);
    run.trace()?;
    let file = run.file("gone");
    let mut writer = Writer::start("gt-gone", &["unlinked", &file, &len.to_string()])?;
    writer.go()?;
    writer.done(run.deadline)?;
    // Bytes that the kernel wrote early, for want of memory, would have the name
    // without the mark.
    run.nothing_written_yet()?;
    run.flush()?;
    let report = run.finish(len, 0)?;
    let pid = writer.exit(run_over())?;
    let Some(report) = report else {
        return Ok(());
    };
    files_are(
        &report,
        "gt-gone",
        pid,
        &[(format!("{file} (deleted)"), len)],
    )
}

/// A file has its path also if it is only read. What is read and written is one row.
pub fn read(run: Run<'_>) -> Result<()> {
    let len = sized(16 * MIB);
    let files = ["read", "copied"].map(|name| run.file(name));
    for file in &files {
        run.to_end("gt-before", &["fsync", file, &len.to_string()])?;
        run.to_end("gt-evict", &["evict", file])?;
    }
    let tracer = Tracer::start(&["-d", "0.5", "--group-by", "file"])?;
    let start = len.to_string();
    for file in &files {
        run.to_end("gt-reader", &["read", file])?;
    }
    run.to_end("gt-writer", &["write", &files[1], &start, &len.to_string()])?;
    run.flush()?;
    let report = tracer.stop("files_that_are_read")?;
    let groups = || report.0.iter().flat_map(|interval| &interval.groups);
    for (file, written) in files.iter().zip([0, len]) {
        let (mut reads, mut writes) = (0, 0);
        for group in groups() {
            if group.text("name")? == file {
                reads += group.number("block_read_bytes")?;
                writes += group.number("block_write_bytes")?;
            }
        }
        near(&format!("read from {file}"), reads, len)?;
        near(&format!("written to {file}"), writes, written)?;
    }
    Ok(())
}

/// Each of fifty files has its name and its bytes.
pub fn fifty_files(mut run: Run<'_>) -> Result<()> {
    let each = MIB;
    run.trace()?;
    let dir = run.file("");
    let pid = run.to_end("gt-fifty", &["files", &dir, "50", &each.to_string()])?;
    run.nothing_written_yet()?;
    run.flush()?;
    let Some(report) = run.finish(50 * each, 0)? else {
        return Ok(());
    };
    let files: Vec<_> = (0..50).map(|n| (run_file(&dir, n), each)).collect();
    files_are(&report, "gt-fifty", pid, &files)
}

/// A file that is renamed and written again has its new name. A file with two links has
/// one of the two names. A file that is written through a bind mount has its path in
/// the whole file system.
pub fn links_and_mounts(mut run: Run<'_>) -> Result<()> {
    let len = 8 * MIB;
    run.trace()?;
    let write = |run: &Run<'_>, comm: &str, file: &str| {
        run.to_end(comm, &["write", file, "0", &len.to_string()])
    };
    let (old, new) = (run.file("old"), run.file("new"));
    write(&run, "gt-before", &old)?;
    run.flush()?;
    fs::rename(&old, &new)?;
    let renamed = write(&run, "gt-after", &new)?;

    let (one, two) = (run.file("one"), run.file("two"));
    fs::write(&one, "")?;
    fs::hard_link(&one, &two)?;
    let linked = write(&run, "gt-link", &two)?;

    let (inside, bind) = (run.file("inside"), run.file("bind"));
    fs::create_dir(&inside)?;
    fs::create_dir(&bind)?;
    let mount = Mount::new(&["--bind", &inside], &bind, run.deadline)?;
    let bound = write(&run, "gt-bind", &format!("{bind}/file"))?;
    drop(mount);
    run.flush()?;
    let Some(report) = run.finish(4 * len, 0)? else {
        return Ok(());
    };
    files_are(&report, "gt-after", renamed, &[(new, len)])?;
    files_are(
        &report,
        "gt-bind",
        bound,
        &[(format!("{inside}/file"), len)],
    )?;
    let files = report.files("gt-link", linked)?;
    let found: Vec<_> = files.keys().map(String::as_str).collect();
    ensure!(
        found == [one.as_str()] || found == [two.as_str()],
        "{found:?}"
    );
    Ok(())
}

/// A bulk writer that has exited, a database that commits and a log writer:
/// each has its bytes, its reason and its file.
pub fn mixed(mut run: Run<'_>) -> Result<()> {
    let (bulk, commits, log) = (sized(128 * MIB), sized(16 * MIB), 4 * MIB);
    run.trace()?;
    let file = |name| run.file(name);
    let (image, table, lines) = (file("image"), file("table"), file("lines"));
    let bulk_pid = run.to_end("gt-bulk", &["write", &image, "0", &bulk.to_string()])?;
    let db_pid = run.to_end("gt-db", &["commits", &table, &commits.to_string()])?;
    let log_pid = run.to_end("gt-log", &["write", &lines, "0", &log.to_string()])?;
    run.flush()?;
    run.metadata = 64 * MIB;
    let Some(report) = run.finish(bulk + commits + log, 0)? else {
        return Ok(());
    };
    let writers = [
        ("gt-bulk", bulk_pid, bulk, "sync", image),
        ("gt-db", db_pid, commits, "fdatasync", table),
        ("gt-log", log_pid, log, "sync", lines),
    ];
    for (comm, pid, len, reason, file) in writers {
        let parts = report.parts(comm, pid)?;
        near(comm, Part::sum(&parts)?, len)?;
        near(reason, bytes_for(&parts, &[reason])?, len)?;
        files_are(&report, comm, pid, &[(file, len)])?;
    }
    Ok(())
}

/// A spike is reported when it is over, with all its bytes and their owner.
pub fn spike(mut run: Run<'_>) -> Result<()> {
    let len = 128 * MIB;
    // In MiB/s. So low because few bytes may fall into the first and the last interval,
    // and on an emulated disk into all.
    let rule = ["--spike-floor", "1", "--spike-history", "0"];
    run.trace_with(&[&["-d", "0.25", "--explain-writeback"], &rule[..]].concat())?;
    let file = run.file("file");
    let pid = run.to_end("gt-spike", &["write", &file, "0", &len.to_string()])?;
    run.nothing_written_yet()?;
    run.flush()?;
    sleep(Duration::from_secs(2));
    let (dev, Some(report)) = (run.device_name(), run.finish(len, 0)?) else {
        return Ok(());
    };
    let spikes = report.0.iter().flat_map(|interval| &interval.spikes);
    let mut sum = 0;
    for spike in spikes {
        if spike.field("device")?["name"] != dev {
            continue;
        }
        let owners = spike.owners()?;
        let ours = |owner: &&Value| owner["comm"] == "gt-spike" && owner["pid"] == pid;
        for owner in owners.iter().filter(ours) {
            sum += data_of(owner)?;
        }
    }
    // On a slow machine, some intervals may be below even that.
    match emulated() {
        true => ensure!((len / 2..=len + len / 100).contains(&sum), "{sum} of {len}"),
        false => near("gt-spike's part of the spikes", sum, len)?,
    }
    Ok(())
}

fn run_file(dir: &str, n: usize) -> String {
    format!("{}/{n}", dir.trim_end_matches('/'))
}

fn run_over() -> crate::support::deadline::Deadline {
    crate::support::deadline::Deadline::after(Duration::from_secs(5))
}
