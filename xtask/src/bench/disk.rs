//! A fast disk: a file system on a loop device whose file is in memory.
//!
//! Memory and disk are mounted in this process's own mount namespace, the file
//! is unlinked as soon as the loop device holds it, and the loop device goes
//! with the mount: nothing stays behind, not even after a kill.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::process;

/// Where a disk is mounted whose files an unprivileged user needs: unlike a target
/// directory below /root, every user gets there.
pub const PLACE: &str = "/run/iotop-trace-bench";

/// The size of the disk. Its file in memory has holes where nothing was written.
const SIZE: u64 = 4 << 30;

/// What the disk is formatted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileSystem {
    Ext4,
    Xfs,
    Btrfs,
}

impl FileSystem {
    pub const ALL: [FileSystem; 3] = [FileSystem::Ext4, FileSystem::Xfs, FileSystem::Btrfs];

    pub fn name(self) -> &'static str {
        match self {
            FileSystem::Ext4 => "ext4",
            FileSystem::Xfs => "xfs",
            FileSystem::Btrfs => "btrfs",
        }
    }

    /// Makes the file system on a device. mkfs does all its work now, because later work
    /// would run beside a load, and discards nothing, because the disk is new.
    pub fn make(self, device: &LoopDevice) -> Result<()> {
        let options: &[&str] = match self {
            FileSystem::Ext4 => &[
                "-q",
                "-E",
                "lazy_itable_init=0,lazy_journal_init=0,nodiscard",
            ],
            FileSystem::Xfs | FileSystem::Btrfs => &["-q", "-K"],
        };
        let program = format!("mkfs.{}", self.name());
        process::output(Command::new(program).args(options).arg(&device.0))?;
        Ok(())
    }
}

/// A mounted file system. Dropping it unmounts it and frees the loop device.
pub struct Disk {
    // Dropped in this order.
    disk: Mount,
    memory: Mount,
}

impl Disk {
    /// Makes and mounts a new file system; `place` becomes its memory's mount
    /// point.
    pub fn create(place: &Path, file_system: FileSystem) -> Result<Disk> {
        let memory = Mount::memory(place)?;
        let device = LoopDevice::attach(&place.join("image"))?;
        file_system.make(&device)?;
        // The loop device is detached at the end of this function. While it is mounted,
        // that only asks for it at the end of the last use.
        Ok(Disk {
            disk: Mount::device(file_system, &device, place.join("disk"))?,
            memory,
        })
    }

    /// A file on the disk.
    pub fn file(&self, name: &str) -> PathBuf {
        self.disk.dir.join(name)
    }

    /// A file beside the disk, in memory: to read it takes no block I/O.
    pub fn file_in_memory(&self, name: &str) -> PathBuf {
        self.memory.dir.join(name)
    }

    /// Deletes the files on the disk and gives the memory back that they took.
    pub fn clear(&self) -> Result<()> {
        let list = || -> std::io::Result<()> {
            for entry in std::fs::read_dir(&self.disk.dir)? {
                let entry = entry?;
                if entry.file_type()?.is_file() {
                    std::fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        };
        list().with_context(|| format!("could not clear {}", self.disk.dir.display()))?;
        self.sync()?;
        process::output(Command::new("fstrim").arg(&self.disk.dir))?;
        Ok(())
    }

    /// Writes everything that is dirty, so that the next run starts clean.
    pub fn sync(&self) -> Result<()> {
        process::output(
            Command::new("sync")
                .arg("--file-system")
                .arg(&self.disk.dir),
        )?;
        Ok(())
    }
}

/// A mount. Dropping it unmounts it.
pub struct Mount {
    pub dir: PathBuf,
    mounted: bool,
}

/// How long an unmount is tried while something still uses the mount.
const IN_USE: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(100);

impl Mount {
    /// A file system in memory. Every user may create files there.
    pub fn memory(dir: &Path) -> Result<Mount> {
        Mount::new("tmpfs", "iotop-trace-bench", dir.to_owned())
    }

    /// The file system on a device.
    pub fn device(file_system: FileSystem, device: &LoopDevice, dir: PathBuf) -> Result<Mount> {
        Mount::new(file_system.name(), &device.0, dir)
    }

    fn new(kind: &str, source: &str, dir: PathBuf) -> Result<Mount> {
        std::fs::create_dir_all(&dir)
            .with_context(|| format!("could not create {}", dir.display()))?;
        process::output(
            Command::new("mount")
                .args(["-t", kind, "-o", "noatime", source])
                .arg(&dir),
        )?;
        Ok(Mount { dir, mounted: true })
    }

    /// Unmounts it now. Everything is written when this returns.
    pub fn unmount(mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            match process::output(Command::new("umount").arg(&self.dir)) {
                Ok(_) => break,
                Err(error) if start.elapsed() > IN_USE => return Err(error),
                Err(_) => sleep(AGAIN),
            }
        }
        self.mounted = false;
        Ok(())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazy: a loop device may let go of its file a moment later.
        if self.mounted {
            warn(process::output(
                Command::new("umount").arg("--lazy").arg(&self.dir),
            ));
        }
    }
}

/// A loop device by its path. Dropping it detaches it.
pub struct LoopDevice(String);

impl LoopDevice {
    /// A loop device on a new file that has no name any more.
    pub fn attach(image: &Path) -> Result<LoopDevice> {
        LoopDevice::of_size(image, SIZE)
    }

    /// The same with another size, in bytes.
    pub fn of_size(image: &Path, size: u64) -> Result<LoopDevice> {
        File::create_new(image)
            .and_then(|file| file.set_len(size))
            .with_context(|| format!("could not create {}", image.display()))?;
        let find = ["--find", "--show"];
        let device =
            process::output(Command::new("losetup").args(find).arg(image)).map(LoopDevice)?;
        std::fs::remove_file(image)
            .with_context(|| format!("could not remove {}", image.display()))?;
        Ok(device)
    }

    /// Its path.
    pub fn path(&self) -> &str {
        &self.0
    }

    /// Its name, without the directory.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        warn(process::output(
            Command::new("losetup").args(["--detach", &self.0]),
        ));
    }
}

fn warn(cleaned_up: Result<String>) {
    if let Err(error) = cleaned_up {
        eprintln!("warning: {error:#}");
    }
}
