//! A file system on a loop device of its own, that can be unmounted within a trace.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::device::Stat;
use crate::bench::disk::{FileSystem, LoopDevice, Mount};
use crate::process;

/// Nothing may be written for this long before a trace begins.
const QUIET: Duration = Duration::from_secs(1);
const SETTLE: Duration = Duration::from_secs(20);

/// Dropping it frees everything.
pub struct Volume {
    // Dropped in this order.
    mount: Option<Mount>,
    device: LoopDevice,
    fs: FileSystem,
    place: PathBuf,
}

impl Volume {
    /// Makes and mounts a new file system; its image is in `memory`.
    pub fn create(fs: FileSystem, memory: &Path) -> Result<Volume> {
        let device = LoopDevice::attach(&memory.join("image"))?;
        fs.make(&device)?;
        let mut volume = Volume {
            mount: None,
            device,
            fs,
            place: memory.join("disk"),
        };
        volume.mount()?;
        Ok(volume)
    }

    pub fn mount(&mut self) -> Result<()> {
        let mount = Mount::device(self.fs, &self.device, self.place.clone())?;
        self.mount = Some(mount);
        Ok(())
    }

    pub fn unmount(&mut self) -> Result<()> {
        self.mount.take().context("not mounted")?.unmount()
    }

    /// Where it is mounted.
    pub fn dir(&self) -> &Path {
        &self.place
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        self.device.name()
    }

    pub fn stat(&self) -> Result<Stat> {
        Stat::of(self.name())
    }

    pub fn sync(&self) -> Result<()> {
        let mut sync = Command::new("sync");
        process::output(sync.arg("--file-system").arg(&self.place)).map(drop)
    }

    /// Writes all that is dirty and waits until nothing more is written.
    pub fn settle(&self) -> Result<()> {
        self.sync()?;
        let start = Instant::now();
        let mut last = self.stat()?;
        loop {
            sleep(QUIET);
            let now = self.stat()?;
            if now == last {
                return Ok(());
            }
            ensure!(
                start.elapsed() < SETTLE,
                "{} does not stop writing to {}",
                self.fs.name(),
                self.name()
            );
            last = now;
        }
    }
}
