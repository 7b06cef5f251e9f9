//! A block device without a file system.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process;

use anyhow::Result;

use super::super::MIB;
use super::{first_of_sixteen, owns, rest_of_sixteen, work};
use crate::support::checks::near;
use crate::support::counters::DeviceStat;
use crate::support::disk::Disk;
use crate::support::run::Run;

/// Tasks that write to a device through its node own their bytes, block by block.
pub fn first_and_rest(mut run: Run<'_>) -> Result<()> {
    let len = 16 * MIB;
    let image = PathBuf::from(format!("/dev/shm/iotop-trace-node-{}", process::id()));
    File::create(&image)?.set_len(len)?;
    let disk = Disk::on_file(&image, run.deadline);
    fs::remove_file(&image)?;
    let disk = disk?;
    let node = disk.path();
    // Keeps the device open: the last close would write all of it and drop its page
    // cache.
    let open = File::open(&node)?;
    run.to_end("gt-before", &["write", &node, "0", &len.to_string()])?;
    run.to_end("gt-sync", &["sync_file", &node])?;
    let before = DeviceStat::of(disk.name())?;
    run.trace()?;
    let (first, rest) = (first_of_sixteen(len), rest_of_sixteen(len));
    let first = run.to_end("gt-first", &work(&["pieces", &node], &first))?;
    let rest = run.to_end("gt-rest", &work(&["pieces", &node], &rest))?;
    run.to_end("gt-sync", &["sync_file", &node])?;
    let written = DeviceStat::of(disk.name())?.since(before).written;
    near("the case is wrong: written", written, len)?;
    let report = run.finish(0, 0)?;
    drop(open);
    let Some(report) = report else {
        return Ok(());
    };
    owns(&report, "gt-first", first, len / 16)?;
    owns(&report, "gt-rest", rest, len / 16 * 15)
}
