//! A fast disk: a file system on a loop device whose file is in memory.
//!
//! Memory and disk are mounted in this process's own mount namespace, the file
//! is unlinked as soon as the loop device holds it, and the loop device goes
//! with the mount: nothing stays behind, not even after a kill.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// The size of the disk. Its file in memory has holes where nothing was written.
const SIZE: u64 = 4 << 30;

/// What the disk is formatted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FileSystem {
    Ext4,
    Xfs,
    Btrfs,
}

impl FileSystem {
    pub fn name(self) -> &'static str {
        match self {
            FileSystem::Ext4 => "ext4",
            FileSystem::Xfs => "xfs",
            FileSystem::Btrfs => "btrfs",
        }
    }

    /// Makes the file system on a device. mkfs does all its work now, because later work
    /// would run beside a load, and discards nothing, because the disk is new.
    fn make(self, device: &str) -> Result<()> {
        let options: &[&str] = match self {
            FileSystem::Ext4 => &[
                "-q",
                "-E",
                "lazy_itable_init=0,lazy_journal_init=0,nodiscard",
            ],
            FileSystem::Xfs | FileSystem::Btrfs => &["-q", "-K"],
        };
        let program = format!("mkfs.{}", self.name());
        process::output(Command::new(program).args(options).arg(device))?;
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
        let memory = Mount::new("tmpfs", "iotop-trace-bench", place.to_owned())?;
        let device = LoopDevice::attach(&place.join("image"))?;
        file_system.make(&device.0)?;
        // The loop device is detached at the end of this function. While it is mounted,
        // that only asks for it at the end of the last use.
        Ok(Disk {
            disk: Mount::new(file_system.name(), &device.0, place.join("disk"))?,
            memory,
        })
    }

    /// A file on the disk.
    pub fn file(&self, name: &str) -> PathBuf {
        self.disk.0.join(name)
    }

    /// A file beside the disk, in memory: to read it takes no block I/O.
    pub fn file_in_memory(&self, name: &str) -> PathBuf {
        self.memory.0.join(name)
    }

    /// Deletes the files on the disk and gives the memory back that they took.
    pub fn clear(&self) -> Result<()> {
        let list = || -> std::io::Result<()> {
            for entry in std::fs::read_dir(&self.disk.0)? {
                let entry = entry?;
                if entry.file_type()?.is_file() {
                    std::fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        };
        list().with_context(|| format!("could not clear {}", self.disk.0.display()))?;
        self.sync()?;
        process::output(Command::new("fstrim").arg(&self.disk.0))?;
        Ok(())
    }

    /// Writes everything that is dirty, so that the next run starts clean.
    pub fn sync(&self) -> Result<()> {
        process::output(Command::new("sync").arg("--file-system").arg(&self.disk.0))?;
        Ok(())
    }
}

/// A mount. Dropping it unmounts it.
struct Mount(PathBuf);

impl Mount {
    fn new(kind: &str, source: &str, dir: PathBuf) -> Result<Mount> {
        std::fs::create_dir_all(&dir)
            .with_context(|| format!("could not create {}", dir.display()))?;
        process::output(
            Command::new("mount")
                .args(["-t", kind, "-o", "noatime", source])
                .arg(&dir),
        )?;
        Ok(Mount(dir))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazy: a loop device may let go of its file a moment later.
        warn(process::output(
            Command::new("umount").arg("--lazy").arg(&self.0),
        ));
    }
}

/// A loop device by its path. Dropping it detaches it.
struct LoopDevice(String);

impl LoopDevice {
    /// A loop device on a new file that has no name any more.
    fn attach(image: &Path) -> Result<LoopDevice> {
        File::create_new(image)
            .and_then(|file| file.set_len(SIZE))
            .with_context(|| format!("could not create {}", image.display()))?;
        let find = ["--find", "--show"];
        let device =
            process::output(Command::new("losetup").args(find).arg(image)).map(LoopDevice)?;
        std::fs::remove_file(image)
            .with_context(|| format!("could not remove {}", image.display()))?;
        Ok(device)
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
