//! Each block of a file belongs to the task that dirtied it first, however large
//! the folio that it lies in.

pub mod crowd;
mod device;
pub mod dropped;
mod journal;
pub mod one_folio;
pub mod race;
pub mod ways;

use anyhow::{Context, Result, ensure};

use super::{Group, owner};
use crate::support::checks::near;
use crate::support::device::{Fs, On};
use crate::support::format::DATA_JOURNAL;
use crate::support::ndjson::{Owner, Report};
use crate::support::run::Run;

const KIB: u64 = 1 << 10;
const PAGE: u64 = 4 * KIB;
/// Sixteen pages, of which one task dirties the first and another one the rest.
const SIXTEEN: u64 = 16 * PAGE;

/// The cases that need another kind of device.
pub const GROUPS: [Group; 2] = [
    Group {
        name: "data_journal",
        fs: Fs::Ext4,
        on: On::Formatted(DATA_JOURNAL),
        feature: None,
        program: None,
        cases: &[("blocks_logged_and_written_home", journal::logged)],
    },
    Group {
        name: "block_device",
        fs: Fs::Ext4,
        on: On::Memory,
        feature: None,
        program: None,
        cases: &[("blocks_of_the_device_itself", device::first_and_rest)],
    },
];

/// The arguments that name the first page of each sixteen in `len` bytes.
fn first_of_sixteen(len: u64) -> [String; 4] {
    [0, len / 16, PAGE, SIXTEEN - PAGE].map(|number| number.to_string())
}

/// The arguments that name all other pages.
fn rest_of_sixteen(len: u64) -> [String; 4] {
    [PAGE, len / 16 * 15, SIXTEEN - PAGE, PAGE].map(|number| number.to_string())
}

/// The arguments of a writer that works on pieces of a file.
fn work<'a>(what: &[&'a str], pieces: &'a [String; 4]) -> Vec<&'a str> {
    let pieces = pieces.iter().map(String::as_str);
    what.iter().copied().chain(pieces).collect()
}

/// Writes a file that is then clean and in the page cache, in folios as large as the
/// kernel makes them.
fn clean_file(run: &Run<'_>, len: u64) -> Result<String> {
    let file = run.file("file");
    run.to_end("gt-before", &["write", &file, "0", &len.to_string()])?;
    run.flush()?;
    Ok(file)
}

/// Checks that a writer dirtied and owns `len` bytes, no more and no less, and that all
/// of them were written.
fn owns(report: &Report, comm: &str, pid: u64, len: u64) -> Result<()> {
    let owner = owner(report, comm, pid)?;
    let check = || {
        near("written", owner.written, len)?;
        near("dirtied", owner.dirtied, len)?;
        near("shared", owner.shared, 0)?;
        nothing_left(&owner)
    };
    check().with_context(|| format!("{comm}: {owner:?}"))
}

/// Checks that nothing is pending and that nothing was dropped.
fn nothing_left(owner: &Owner) -> Result<()> {
    let (pending, cancelled) = (owner.pending, owner.cancelled);
    ensure!(pending == 0, "{pending} bytes are pending");
    ensure!(cancelled == 0, "{cancelled} bytes were dropped");
    Ok(())
}
