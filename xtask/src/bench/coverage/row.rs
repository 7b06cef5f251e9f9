//! One load on one file system.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::device::Zeroes;
use super::tally::Tally;
use super::trace::Trace;
use super::volume::Volume;
use crate::bench::disk::FileSystem;
use crate::bench::load::user::User;
use crate::bench::load::{Load, Place};

/// Bytes.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub file_system: FileSystem,
    pub load: String,
    /// What the load's own tasks should have of the device's bytes, in percent.
    pub target: f64,
    /// What the device's own counter says was written, without WRITE_ZEROES.
    pub device: u64,
    pub write_zeroes: u64,
    pub discarded: u64,
    /// What the tracer says.
    pub traced: Tally,
}

impl Row {
    /// True if the tracer accounts for each byte that reached the device.
    pub fn adds_up(&self) -> bool {
        self.traced.written == self.device
    }

    /// The part of the device's bytes, in percent.
    pub fn percent(&self, bytes: u64) -> f64 {
        100.0 * bytes as f64 / self.device.max(1) as f64
    }

    /// What is charged to the load's own tasks, in percent.
    pub fn coverage(&self) -> f64 {
        self.percent(self.traced.own.total())
    }
}

/// Runs the load alone on a new file system, and after it `sync` and `umount`, all within
/// the trace. What the load needs is there and written before.
pub fn measure(
    program: &Path,
    memory: &Path,
    fs: FileSystem,
    load: &Load,
    user: User,
) -> Result<Row> {
    let run = || -> Result<Row> {
        let mut volume = Volume::create(fs, memory)?;
        let place = Place {
            dir: volume.dir().join("load"),
            memory: memory.to_owned(),
        };
        user.directory(&place.dir)?;
        load.prepare(user, &place)?;
        // An unmount leaves nothing in the journal that would go home within the trace.
        volume.unmount()?;
        volume.mount()?;
        volume.settle()?;
        let zeroes = Zeroes::watch(volume.name())?;
        let before = volume.stat()?;
        let trace = Trace::start(program, volume.name())?;
        ensure!(
            volume.stat()? == before,
            "something was written while the tracer attached"
        );
        load.run(user, &place, None)?;
        volume.sync()?;
        volume.unmount()?;
        let after = volume.stat()?;
        let write_zeroes = zeroes.bytes()?;
        let traced = Tally::of(&trace.stop()?, user.uid)?;
        Ok(Row {
            file_system: fs,
            load: load.name.to_owned(),
            target: load.target,
            device: after.written - before.written - write_zeroes,
            write_zeroes,
            discarded: after.discarded - before.discarded,
            traced,
        })
    };
    run().with_context(|| format!("{} on {}", load.name, fs.name()))
}
