//! Block devices to put a file system on: a loop device, and what the device
//! mapper stacks on it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::command::run;
use super::deadline::Deadline;

const MIB: u64 = 1 << 20;
/// Sectors have 512 bytes here, whatever the device's own size is.
const SECTOR: u64 = 512;
/// Any key will do whose halves differ, as XTS requires.
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

const CLEANUP: Duration = Duration::from_secs(10);

/// A block device. Dropping it frees it, or lets the last user free it.
pub struct Disk {
    /// Its name in /sys/class/block.
    name: String,
    /// The command that frees it, until that was run.
    free: Option<Command>,
}

impl Disk {
    /// A loop device on a file.
    pub fn on_file(image: &Path, deadline: Deadline) -> Result<Disk> {
        let mut losetup = Command::new("losetup");
        let path = run(losetup.args(["--find", "--show"]).arg(image), deadline)?;
        let path = path.trim();
        let name = path.trim_start_matches("/dev/").to_owned();
        ensure!(name.starts_with("loop"), "losetup gave {path}");
        let mut free = Command::new("losetup");
        free.args(["--detach", path]);
        Ok(Disk {
            name,
            free: Some(free),
        })
    }

    /// A partition of a loop device: all of it except its first and its last MiB.
    pub fn partition(image: &Path, size: u64, deadline: Deadline) -> Result<Disk> {
        let mut losetup = Command::new("losetup");
        losetup.args(["--find", "--show", "--partscan"]).arg(image);
        let whole = run(&mut losetup, deadline)?;
        let whole = whole.trim();
        let mut free = Command::new("losetup");
        free.args(["--detach", whole]);
        let disk = Disk {
            name: format!("{}p1", whole.trim_start_matches("/dev/")),
            free: Some(free),
        };
        let mut add = Command::new("addpart");
        let [start, length] = [MIB, size - 2 * MIB].map(|bytes| (bytes / SECTOR).to_string());
        run(add.args([whole, "1", &start, &length]), deadline)?;
        Ok(disk)
    }

    /// An encrypted device on another one.
    pub fn encrypted(lower: &Disk, size: u64, deadline: Deadline) -> Result<Disk> {
        let target = format!("crypt aes-xts-plain64 {KEY} 0 {} 0", lower.path());
        Disk::mapped(lower, &target, size, deadline)
    }

    /// Two devices with the same content, by md's raid1, as LVM has it.
    pub fn mirrored(legs: [&Disk; 2], size: u64, deadline: Deadline) -> Result<Disk> {
        let [one, two] = legs.map(Disk::path);
        // Two parameters: no chunks, and no synchronisation of the new legs.
        let target = format!("raid raid1 2 0 nosync 2 - {one} - {two}");
        Disk::mapped(legs[0], &target, size, deadline)
    }

    fn mapped(lower: &Disk, target: &str, size: u64, deadline: Deadline) -> Result<Disk> {
        let mapping = format!("iotop-trace-{}", lower.name);
        let table = format!("0 {} {target}", size / SECTOR);
        let mut create = Command::new("dmsetup");
        run(
            create.args(["create", &mapping, "--table", &table]),
            deadline,
        )?;
        let mut free = Command::new("dmsetup");
        free.args(["remove", "--deferred", &mapping]);
        let mut disk = Disk {
            name: String::new(),
            free: Some(free),
        };
        let mut info = Command::new("dmsetup");
        info.args(["info", "--columns", "--noheadings", "-o", "minor", &mapping]);
        disk.name = format!("dm-{}", run(&mut info, deadline)?.trim());
        Ok(disk)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path of its node.
    pub fn path(&self) -> String {
        format!("/dev/{}", self.name)
    }

    /// Frees it. While something uses it, this only asks for that at the end of the
    /// last use.
    pub fn free(&mut self, deadline: Deadline) -> Result<()> {
        if let Some(mut free) = self.free.take() {
            run(&mut free, deadline)?;
        }
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(problem) = self.free(Deadline::after(CLEANUP)) {
            eprintln!("cleaning up {}: {problem:#}", self.name);
        }
    }
}
