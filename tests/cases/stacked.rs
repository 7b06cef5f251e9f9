//! Devices below and file systems above a file system: the writer still owns the bytes,
//! at the level that it writes to.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{
    Case, Group, MIB, explained, files_are, flushed_by_others, own_submission, owner, sized,
};
use crate::support::checks::near;
use crate::support::device::{Fs, On};
use crate::support::disk::Disk;
use crate::support::fuse::{BINDFS, Server};
use crate::support::mount::Mount;
use crate::support::ndjson::{Part, Report};
use crate::support::needs::Feature;
use crate::support::run::Run;

/// All stacks. What the device mapper copies is checked at the end of each run.
pub const GROUPS: [Group; 10] = [
    encrypted(
        Fs::Ext4,
        &[
            ("foreign_sync", flushed_by_others::foreign_sync),
            ("explained_background", explained::background),
            ("direct_io", own_submission::direct),
        ],
    ),
    encrypted(
        Fs::Xfs,
        &[("foreign_sync_on_xfs", flushed_by_others::foreign_sync)],
    ),
    encrypted(
        Fs::Btrfs,
        &[("foreign_sync_on_btrfs", flushed_by_others::foreign_sync)],
    ),
    Group {
        name: "dm_crypt",
        fs: Fs::Ext4,
        on: On::CryptOnPartition,
        feature: Some(Feature::Target("crypt")),
        program: Some("dmsetup"),
        cases: &[(
            "foreign_sync_on_a_partition",
            flushed_by_others::foreign_sync,
        )],
    },
    Group {
        name: "dm_crypt",
        fs: Fs::Ext4,
        on: On::Memory,
        feature: Some(Feature::Target("crypt")),
        program: Some("dmsetup"),
        cases: &[("direct_io_on_a_device_of_this_moment", set_up_late)],
    },
    Group {
        name: "partition",
        fs: Fs::Ext4,
        on: On::Partition,
        feature: None,
        program: None,
        cases: &[
            ("foreign_sync", flushed_by_others::foreign_sync),
            ("direct_io_held_back_by_io_max", own_submission::held_back),
            (
                "direct_io_held_back_by_turns",
                own_submission::held_back_by_turns,
            ),
            ("direct_io_by_turns_past_it", disk_and_partition),
        ],
    },
    Group {
        name: "raid1",
        fs: Fs::Ext4,
        on: On::Mirror,
        feature: Some(Feature::Target("raid")),
        program: Some("dmsetup"),
        cases: &[
            ("foreign_sync", flushed_by_others::foreign_sync),
            ("direct_io", own_submission::direct),
        ],
    },
    Group {
        name: "loop",
        fs: Fs::Ext4,
        on: On::File,
        feature: None,
        program: None,
        cases: &[
            ("writer_owns_above_and_loop_worker_below", both_levels),
            ("direct_io", own_submission::direct),
        ],
    },
    Group {
        name: "fuse",
        fs: Fs::Ext4,
        on: On::Memory,
        feature: Some(Feature::Fs("fuse")),
        program: Some(BINDFS),
        cases: &[
            ("server_owns_what_its_clients_write", served),
            ("server_submits_what_its_clients_sync", synced),
            ("client_owns_no_writes_of_what_it_maps", mapped),
        ],
    },
    Group {
        name: "overlay",
        fs: Fs::Ext4,
        on: On::Memory,
        feature: Some(Feature::Fs("overlay")),
        program: None,
        cases: &[
            ("writer_owns_its_bytes_by_their_real_path", overlaid),
            ("writer_owns_what_is_copied_up_for_it", copied_up),
        ],
    },
];

const fn encrypted(fs: Fs, cases: &'static [(&'static str, Case)]) -> Group {
    Group {
        name: "dm_crypt",
        fs,
        on: On::Crypt,
        feature: Some(Feature::Target("crypt")),
        program: Some("dmsetup"),
        cases,
    }
}

/// Bytes that are written to a mapped device count once, even if the device appeared
/// after the trace began: the kernel sends an event for it.
fn set_up_late(mut run: Run<'_>) -> Result<()> {
    let (size, len) = (32 * MIB, 16 * MIB);
    let image = PathBuf::from(format!("/dev/shm/iotop-trace-late-{}", process::id()));
    File::create(&image)?.set_len(size)?;
    let lower = Disk::on_file(&image, run.deadline);
    fs::remove_file(&image)?;
    let lower = lower?;
    run.trace()?;
    let upper = Disk::encrypted(&lower, size, run.deadline)?;
    // The tracer reads events ten times a second.
    sleep(Duration::from_millis(500));
    let (node, bytes) = (upper.path(), len.to_string());
    let pid = run.to_end("gt-late", &["direct", &node, &bytes])?;
    let (above, below) = (upper.name().to_owned(), lower.name().to_owned());
    let report = run.finish(0, 0)?;
    drop((upper, lower));
    let Some(report) = report else {
        return Ok(());
    };
    let mut written = 0;
    for part in report.parts("gt-late", pid)? {
        let device = &part.flush.field("device")?["name"];
        ensure!(*device == above, "gt-late owns bytes on {device}");
        written += part.bytes()?;
    }
    near("written for gt-late", written, len)?;
    near("copied", report.unattributed("stacked")?, len)?;
    let below = report.flushes_on(&below)?;
    ensure!(below.is_empty(), "{} flushes below", below.len());
    Ok(())
}

/// A task that writes to a partition and to the disk beyond it owns on each device what
/// it wrote there. Before 5.12, the block layer names the whole disk for both.
fn disk_and_partition(mut run: Run<'_>) -> Result<()> {
    let len = 16 * MIB;
    let partition = run.device_name();
    let device = fs::canonicalize(format!("/sys/class/block/{partition}"))?;
    let disk = device.parent().and_then(Path::file_name);
    let disk = disk.and_then(OsStr::to_str).context("no disk")?;
    let number =
        |name: &str| -> Result<u64> { Ok(fs::read_to_string(device.join(name))?.trim().parse()?) };
    let end = (number("start")? + number("size")?) * 512;
    run.trace()?;
    let (file, node) = (run.file("file"), format!("/dev/{disk}"));
    let (offset, bytes) = (end.to_string(), len.to_string());
    let work = ["direct_by_turns", &file, &node, &offset, &bytes];
    let pid = run.to_end("gt-turns", &work)?;
    run.flush()?;
    let Some(report) = run.finish(len, 0)? else {
        return Ok(());
    };
    for name in [partition.as_str(), disk] {
        let parts = report.parts("gt-turns", pid)?;
        let there = |part: &&Part<'_>| part.flush.field("device").is_ok_and(|d| d["name"] == name);
        let written: Result<u64> = parts.iter().filter(there).map(Part::bytes).sum();
        near(name, written?, len)?;
    }
    Ok(())
}

/// A file system in a file. The writer owns what is written to the loop device. The
/// loop device's worker dirties the backing file and owns that. The machine counts
/// both.
fn both_levels(mut run: Run<'_>) -> Result<()> {
    let len = sized(64 * MIB);
    run.trace()?;
    let file = run.file("file");
    let pid = run.to_end("gt-above", &["write", &file, "0", &len.to_string()])?;
    run.nothing_written_yet()?;
    run.flush()?;
    let (above, below) = (run.device_name(), run.name_below()?);
    let Some(report) = run.finish(len, 0)? else {
        return Ok(());
    };
    let mut written = 0;
    for part in report.parts("gt-above", pid)? {
        let device = &part.flush.field("device")?["name"];
        ensure!(*device == above, "gt-above owns bytes on {device}");
        written += part.bytes()?;
    }
    near("written for gt-above", written, len)?;
    let flushes = report.flushes_on(&above)?;
    // The file system's metadata passes through the loop device too.
    let passed: Result<u64> = flushes.iter().map(|flush| flush.number("bytes")).sum();
    let mut rewritten = 0;
    for flush in report.flushes_on(&below)? {
        for owner in flush.owners()? {
            let comm = owner["comm"].as_str().context("no comm")?;
            // Before 5.14, the worker is a thread with the device's name.
            let worker = comm.starts_with("kworker/") || comm == above;
            ensure!(worker, "{comm} owns {} below", owner["bytes"]);
            rewritten += owner["bytes"].as_u64().context("no bytes")?;
        }
    }
    near("written for the loop device's worker", rewritten, passed?)
}

/// What a client writes through FUSE, its server writes to the file below. As in the
/// kernel's own accounting, the server owns it and the client owns nothing.
fn served(mut run: Run<'_>) -> Result<()> {
    let len = 16 * MIB;
    let (server, file) = serve(&run)?;
    run.trace()?;
    let client = run.to_end("gt-client", &["write", &file, "0", &len.to_string()])?;
    run.nothing_written_yet()?;
    run.flush()?;
    let pid = server.pid();
    drop(server);
    let below = run.file("below/file");
    let Some(report) = run.finish(len, 0)? else {
        return Ok(());
    };
    let server = owner(&report, BINDFS, pid)?;
    near("written for the server", server.written, len)?;
    near("dirtied by the server", server.dirtied, len)?;
    files_are(&report, BINDFS, pid, &[(below, len)])?;
    owns_nothing(&report, client)
}

/// If a client calls fsync, the server submits the writes itself.
fn synced(mut run: Run<'_>) -> Result<()> {
    let len = 16 * MIB;
    let (server, file) = serve(&run)?;
    run.trace()?;
    let client = run.to_end("gt-client", &["fsync", &file, &len.to_string()])?;
    let pid = server.pid();
    drop(server);
    let Some(report) = run.finish(len, 0)? else {
        return Ok(());
    };
    let server = owner(&report, BINDFS, pid)?;
    near("submitted by the server", server.written_self, len)?;
    owns_nothing(&report, client)
}

/// A client dirties the pages that it maps. They are written to the server and not by a
/// bio, so the client owns no writes, and none of its pages stays pending.
fn mapped(mut run: Run<'_>) -> Result<()> {
    let len = 16 * MIB;
    let (server, file) = serve(&run)?;
    run.trace()?;
    let client = run.to_end("gt-client", &["mmap", &file, &len.to_string()])?;
    run.flush()?;
    let pid = server.pid();
    drop(server);
    let Some(report) = run.finish(len, 0)? else {
        return Ok(());
    };
    let server = owner(&report, BINDFS, pid)?;
    near("written for the server", server.written, len)?;
    let client = owner(&report, "gt-client", client)?;
    near("dirtied by the client", client.dirtied, len)?;
    let nothing = client.written + client.estimated() + client.cancelled + client.pending == 0;
    ensure!(nothing, "the client is charged: {client:?}");
    Ok(())
}

/// Starts a server that shows a directory of the trial elsewhere. Also returns the path
/// of a file there.
fn serve(run: &Run<'_>) -> Result<(Server, String)> {
    let (below, shown) = (run.file("below"), run.file("shown"));
    fs::create_dir(&below)?;
    fs::create_dir(&shown)?;
    let server = Server::start(&below, &shown, run.deadline)?;
    Ok((server, format!("{shown}/file")))
}

fn owns_nothing(report: &Report, client: u64) -> Result<()> {
    let client = owner(report, "gt-client", client)?;
    let nothing = client.written + client.estimated() + client.dirtied == 0;
    ensure!(nothing, "the client is charged: {client:?}");
    Ok(())
}

/// Bytes that are written through an overlay go to its upper directory, and the writer
/// owns them.
fn overlaid(mut run: Run<'_>) -> Result<()> {
    let len = sized(64 * MIB);
    let overlay = overlay(&run)?;
    run.trace()?;
    let (file, real) = (run.file("merged/file"), run.file("upper/file"));
    let pid = run.to_end("gt-over", &["write", &file, "0", &len.to_string()])?;
    run.nothing_written_yet()?;
    run.flush()?;
    drop(overlay);
    let Some(report) = run.finish(len, 0)? else {
        return Ok(());
    };
    let owner = owner(&report, "gt-over", pid)?;
    near("written for gt-over", owner.written, len)?;
    near("dirtied by gt-over", owner.dirtied, len)?;
    files_are(&report, "gt-over", pid, &[(real, len)])
}

/// A task that writes one page to a file of the lower directory owns the copy of the
/// whole file.
fn copied_up(mut run: Run<'_>) -> Result<()> {
    let len = sized(32 * MIB);
    let overlay = overlay(&run)?;
    let lower = run.file("lower/file");
    run.to_end("gt-before", &["write", &lower, "0", &len.to_string()])?;
    run.flush()?;
    // The kernel may have dropped some pages, and copying must not read the device.
    run.to_end("gt-warm", &["read", &lower])?;
    run.trace()?;
    let file = run.file("merged/file");
    let pid = run.to_end("gt-page", &["write", &file, "0", "4096"])?;
    run.flush()?;
    drop(overlay);
    let Some(report) = run.finish(len, 0)? else {
        return Ok(());
    };
    let owner = owner(&report, "gt-page", pid)?;
    near("written for gt-page", owner.written, len)?;
    near("submitted by gt-page itself", owner.written_self, len)
}

fn overlay(run: &Run<'_>) -> Result<Mount> {
    let [lower, upper, work, merged] =
        ["lower", "upper", "work", "merged"].map(|dir| run.file(dir));
    for dir in [&lower, &upper, &work, &merged] {
        fs::create_dir(dir)?;
    }
    let dirs = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    let arguments = ["-t", "overlay", "overlay", "-o", &dirs];
    Mount::new(&arguments, &merged, run.deadline)
}
