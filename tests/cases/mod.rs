//! The cases. Each is a promise about who owns which bytes, checked on every file
//! system, and some also with devices stacked below or file systems above one.

mod at_the_same_time;
mod blocks;
mod commits;
pub mod cost;
pub mod cpus;
mod crowd;
mod edges;
mod explained;
mod flushed_by_others;
mod gone;
mod journals;
mod other_ways;
mod own_submission;
mod stacked;
pub mod without;

use anyhow::{Context, Result, ensure};

use crate::support::checks::near;
use crate::support::device::{Device, Fs, On};
use crate::support::ndjson::{Owner, Report};
use crate::support::needs::{Feature, emulated};
use crate::support::process::Writer;
use crate::support::run::{Run, Spoiled};

const MIB: u64 = 1 << 20;
/// The version 2 hierarchy, alone or beside version 1.
const UNIFIED: [&str; 2] = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

/// A size for a real machine; an emulated one writes an eighth of it.
fn sized(len: u64) -> u64 {
    if emulated() { len / 8 } else { len }
}

/// A case does all its work in one run.
pub type Case = fn(Run<'_>) -> Result<()>;

/// Cases that share a device.
#[derive(Clone, Copy)]
pub struct Group {
    pub name: &'static str,
    pub fs: Fs,
    pub on: On,
    /// The kernel feature that the cases need, which a kernel may lack, and the program
    /// that they need.
    pub feature: Option<Feature>,
    pub program: Option<&'static str>,
    pub cases: &'static [(&'static str, Case)],
}

/// Every case on every file system, then the stacks.
pub fn groups() -> impl Iterator<Item = Group> {
    let plain = |cases| {
        move |fs: Fs| Group {
            name: fs.name(),
            fs,
            on: On::Memory,
            feature: None,
            program: None,
            cases,
        }
    };
    Fs::ALL
        .map(plain(ALL))
        .into_iter()
        .chain([Fs::Ext4, Fs::Btrfs].map(plain(WITH_A_TIMER)))
        .chain(stacked::GROUPS)
        .chain(blocks::GROUPS)
        .chain(journals::groups())
        .chain([gone::GROUP, edges::GROUP])
        .chain(crowd::GROUPS)
}

/// Every case that runs on each file system, by name.
const ALL: &[(&str, Case)] = &[
    (
        "writer_exits_before_its_pages_are_flushed",
        flushed_by_others::writer_exits,
    ),
    ("foreign_sync", flushed_by_others::foreign_sync),
    (
        "second_writer_overwrites_dirty_pages",
        flushed_by_others::overwritten,
    ),
    ("unlinked_before_flush", flushed_by_others::unlinked),
    ("moved_by_compaction", flushed_by_others::migrated),
    ("two_writers_three_to_one", at_the_same_time::three_to_one),
    ("two_writers_share_one_file", at_the_same_time::one_file),
    ("threads_of_one_process", at_the_same_time::threads),
    (
        "processes_that_live_for_milliseconds",
        at_the_same_time::short_lived,
    ),
    ("own_fsync", own_submission::fsync),
    ("direct_io", own_submission::direct),
    ("direct_io_held_back_by_io_max", own_submission::held_back),
    ("mapped_stores", other_ways::mapped),
    ("reader_before_writer", other_ways::reader_first),
    ("dirty_before_the_trace", other_ways::dirty_before_the_trace),
    (
        "rewritten_before_its_bio_is_submitted",
        other_ways::rewritten,
    ),
    ("explained_background", explained::background),
    ("explained_periodic", explained::periodic),
    ("explained_syncfs", explained::syncfs),
    ("explained_syncfs_in_a_loop", explained::syncfs_in_a_loop),
    ("explained_sync", explained::sync),
    ("explained_fsync", explained::fsync),
    ("explained_sync_file_range", explained::sync_file_range),
    ("explained_memory_pressure", explained::memory_pressure),
    ("explained_two_units", explained::two_units),
    ("explained_deleted_file", explained::deleted),
    ("explained_fifty_files", explained::fifty_files),
    ("explained_files_that_are_read", explained::read),
    ("explained_links_and_mounts", explained::links_and_mounts),
    ("explained_mixed_load", explained::mixed),
    ("explained_spike", explained::spike),
    ("explained_commits_by_fsync", commits::by_fsync),
    ("explained_syncs_by_each_call", commits::syncs),
    (
        "blocks_first_of_sixteen_and_the_rest",
        blocks::one_folio::first_and_rest,
    ),
    (
        "blocks_overwritten_while_dirty",
        blocks::one_folio::overwritten,
    ),
    ("blocks_of_four_backends", blocks::one_folio::backends),
    (
        "blocks_beside_some_dirty_before_the_trace",
        blocks::one_folio::dirty_before,
    ),
    ("blocks_synced_then_evicted", blocks::one_folio::evicted),
    ("blocks_written_in_other_ways", blocks::ways::all),
    ("blocks_cut_off_by_truncation", blocks::dropped::truncated),
    ("blocks_punched_or_zeroed", blocks::dropped::holes),
    ("blocks_of_many_files", blocks::crowd::many_files),
    ("blocks_of_a_crowd", blocks::crowd::bystander),
    ("blocks_rewritten_beside_syncs", blocks::race::beside_syncs),
    ("blocks_appended_beside_syncs", blocks::race::appended),
    ("journal_of_an_fsync_loop", journals::loads::fsync_loop),
    ("journal_of_a_database", journals::loads::database),
    (
        "journal_synced_by_others",
        journals::committed::synced_by_others,
    ),
    (
        "journal_committed_after_exit",
        journals::committed::after_exit,
    ),
    (
        "journal_committed_by_umount",
        journals::committed::by_umount,
    ),
    ("journal_of_two_in_lockstep", journals::ratios::lockstep),
    ("journal_of_two_storms", journals::ratios::storms),
];

/// The periodic work of xfs has no interval of its own for each file system.
const WITH_A_TIMER: &[(&str, Case)] = &[("explained_commits_by_timer", commits::by_timer)];

/// Runs a case, and repeats it if the kernel's own timing spoilt it.
pub fn run(name: &str, case: Case, device: &Device) -> Result<()> {
    for _ in 0..3 {
        match case(Run::new(device, name)?) {
            Err(error) if error.is::<Spoiled>() => eprintln!("{error}: trying again"),
            end => return end,
        }
    }
    case(Run::new(device, name)?)
}

/// Starts writers, lets all go at once and waits for all. Returns their process ids.
fn together<'a>(run: &Run<'_>, writers: &[(&'a str, &[&str])]) -> Result<Vec<(&'a str, u64)>> {
    let started: Result<Vec<_>> = writers
        .iter()
        .map(|&(comm, work)| Ok((comm, Writer::start(comm, work)?)))
        .collect();
    let mut started = started?;
    for (_, writer) in &mut started {
        writer.go()?;
    }
    for (_, writer) in &mut started {
        writer.done(run.deadline)?;
    }
    started
        .into_iter()
        .map(|(comm, writer)| Ok((comm, writer.exit(run.deadline)?)))
        .collect()
}

/// What the report says of the process `pid` with the name `comm`.
fn owner(report: &Report, comm: &str, pid: u64) -> Result<Owner> {
    let owner = report.owners()?.remove(&(comm, pid));
    owner.with_context(|| format!("no task line of {comm}, process {pid}"))
}

/// What was written for it; 0 if it has no line at all.
fn written_for(report: &Report, comm: &str, pid: u64) -> Result<u64> {
    let owners = report.owners()?;
    Ok(owners.get(&(comm, pid)).map_or(0, |owner| owner.written))
}

/// Checks that a writer has these files with these bytes, and no others.
fn files_are(report: &Report, comm: &str, pid: u64, expected: &[(String, u64)]) -> Result<()> {
    let files = report.files(comm, pid)?;
    for (path, len) in expected {
        let found = files.get(path);
        let found = found.with_context(|| format!("{comm}: {path} is not among {files:?}"))?;
        near(path, *found, *len)?;
    }
    ensure!(files.len() == expected.len(), "{comm}: {files:?}");
    Ok(())
}
