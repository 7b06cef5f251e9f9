//! A real file system on a block device whose bytes end up in memory.
//!
//! Nothing stays behind however the harness ends: it has its own mount namespace, the
//! backing file is unlinked as soon as the loop device holds it, and the loop device
//! and what is stacked on it free themselves with the unmount.

use std::ffi::CStr;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::command::run;
use super::counters::DeviceStat;
use super::deadline::Deadline;
use super::disk::Disk;
use super::format::Format;

/// The file systems that every case runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fs {
    Ext4,
    Xfs,
    Btrfs,
}

impl Fs {
    pub const ALL: [Fs; 3] = [Fs::Ext4, Fs::Xfs, Fs::Btrfs];

    /// Its name, as mount(8) knows it.
    pub fn name(self) -> &'static str {
        match self {
            Fs::Ext4 => "ext4",
            Fs::Xfs => "xfs",
            Fs::Btrfs => "btrfs",
        }
    }

    /// The command that makes it, without work left for later.
    pub fn mkfs(self) -> Command {
        let mut command = Command::new(format!("mkfs.{}", self.name()));
        command.args(match self {
            // mkfs writes all inodes, so there are only some more than the cases have
            // files.
            Fs::Ext4 => [
                "-qF",
                "-N8192",
                "-Elazy_itable_init=0,lazy_journal_init=0,nodiscard",
            ]
            .as_slice(),
            Fs::Xfs | Fs::Btrfs => ["-q", "-f", "-K"].as_slice(),
        });
        command
    }
}

impl fmt::Display for Fs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the block device of a file system is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum On {
    /// A loop device whose backing file is in memory.
    Memory,
    /// A loop device whose backing file is on another file system.
    File,
    /// dm-crypt on such a loop device in memory.
    Crypt,
    /// raid1 on two loop devices in memory.
    Mirror,
    /// A partition of a loop device in memory.
    Partition,
    /// dm-crypt on a partition.
    CryptOnPartition,
    /// A loop device in memory, for a file system that is not made with the defaults.
    Formatted(Format),
}

impl On {
    /// A word for names of directories.
    fn word(self) -> String {
        match self {
            On::Formatted(format) => format.name.to_owned(),
            _ => format!("{self:?}").to_lowercase(),
        }
    }

    fn format(self) -> Format {
        match self {
            On::Formatted(format) => format,
            _ => Format::PLAIN,
        }
    }
}

const MEMORY: &str = "/dev/shm";
const IMAGE: &str = "image";
/// The directory of a trial's files.
pub const TRIAL: &str = "trial";
const SIZE: u64 = 1 << 30;
const SETUP: Duration = Duration::from_secs(30);

/// A mounted file system. Dropping it unmounts it and frees everything.
pub struct Device {
    /// The file system on it.
    pub fs: Fs,
    dir: PathBuf,
    /// The options that it is mounted with.
    options: String,
    /// Whether it was mounted at all.
    mounted: bool,
    /// While a trial has it unmounted, these keep the disks, which would free themselves.
    unmounted: Mutex<Vec<File>>,
    /// The disk of the file system, followed by the disks below it.
    disks: Vec<Disk>,
    /// The disk of its journal, or of its second copy.
    second: Option<Disk>,
    /// The file system of the backing file, if that is not in memory.
    below: Option<Box<Device>>,
}

impl Device {
    /// Makes and mounts a new file system.
    pub fn create(fs: Fs) -> Result<Device> {
        Device::create_on(fs, On::Memory)
    }

    /// The same on this kind of device.
    pub fn create_on(fs: Fs, on: On) -> Result<Device> {
        let deadline = Deadline::after(SETUP);
        let below = match on {
            On::File => Some(Box::new(Device::create(fs)?)),
            _ => None,
        };
        let dir = format!("iotop-trace-{fs}-{}-{}", on.word(), process::id());
        let dir = Path::new(MEMORY).join(dir);
        fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let format = on.format();
        let mut device = Device {
            fs,
            dir,
            options: String::new(),
            mounted: false,
            unmounted: Mutex::default(),
            disks: Vec::new(),
            second: None,
            below,
        };
        device.disks = device.disks_on(on, deadline)?;
        if let Some(size) = format.second_size(SIZE) {
            device.second = Some(device.attach(Disk::on_file, size, deadline)?);
        }
        let second = device.second.as_ref().map(Disk::path);
        let path = device.disks[0].path();
        for mut mkfs in format.mkfs(fs, &path, second.as_deref()) {
            run(&mut mkfs, deadline)?;
        }
        device.options = format.options(second.as_deref());
        device.mount(deadline)?;
        device.mounted = true;
        for disk in device.disks.iter_mut().chain(&mut device.second) {
            disk.free(deadline)?;
        }
        Ok(device)
    }

    fn mount(&self, deadline: Deadline) -> Result<()> {
        let mut mount = Command::new("mount");
        mount.args(["-t", self.fs.name(), "-o", &self.options]);
        mount.arg(self.disks[0].path()).arg(&self.dir);
        run(&mut mount, deadline).map(drop)
    }

    /// Lets `unmount` unmount it, and keeps its disks until [`Device::mount_again`].
    pub fn unmounted_by(&self, unmount: impl FnOnce(&str) -> Result<u64>) -> Result<u64> {
        let nodes = self.disks.iter().chain(&self.second).map(Disk::path);
        let nodes: io::Result<Vec<File>> = nodes.map(File::open).collect();
        let nodes = nodes?;
        let pid = unmount(&self.dir.to_string_lossy())?;
        *self.keeps() = nodes;
        Ok(pid)
    }

    /// Mounts it if a trial has unmounted it.
    pub fn mount_again(&self, deadline: Deadline) -> Result<()> {
        let mut keeps = self.keeps();
        if !keeps.is_empty() {
            self.mount(deadline)?;
            keeps.clear();
        }
        Ok(())
    }

    /// Makes another file system on the second disk of one that a trial has unmounted, and
    /// mounts it in its place. The trial has to unmount it.
    pub fn mount_another(&self, fs: Fs, deadline: Deadline) -> Result<()> {
        let second = self
            .second
            .as_ref()
            .context("there is no second disk")?
            .path();
        // mkfs.xfs has the disk itself write zeros. That is among the disk's writes, and no page
        // is in it.
        let image = self.dir.join(IMAGE);
        File::create_new(&image)?.set_len(SIZE)?;
        let made = run(fs.mkfs().arg(&image), deadline).and_then(|_| replace(&second, &image));
        fs::remove_file(&image)?;
        made?;
        let mut mount = Command::new("mount");
        mount.args(["-t", fs.name(), "-o", "noatime", &second]);
        run(mount.arg(&self.dir), deadline)?;
        fs::create_dir(self.dir.join(TRIAL)).context("creating the trial's directory")
    }

    fn keeps(&self) -> MutexGuard<'_, Vec<File>> {
        let keeps = self.unmounted.lock();
        keeps.unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is mounted now.
    pub fn is_mounted(&self) -> bool {
        self.mounted && self.keeps().is_empty()
    }

    fn disks_on(&self, on: On, deadline: Deadline) -> Result<Vec<Disk>> {
        let whole = || self.attach(Disk::on_file, SIZE, deadline);
        let partition = || {
            let disk = |image: &Path, end| Disk::partition(image, SIZE, end);
            self.attach(disk, SIZE, deadline)
        };
        let encrypted = |lower: Disk, size| {
            let upper = Disk::encrypted(&lower, size, deadline)?;
            Ok(vec![upper, lower])
        };
        match on {
            On::Memory | On::File | On::Formatted(_) => Ok(vec![whole()?]),
            On::Partition => Ok(vec![partition()?]),
            On::Crypt => encrypted(whole()?, SIZE),
            On::CryptOnPartition => encrypted(partition()?, SIZE / 2),
            On::Mirror => {
                let [first, second] = [whole()?, whole()?];
                let mirror = Disk::mirrored([&first, &second], SIZE, deadline)?;
                Ok(vec![mirror, first, second])
            }
        }
    }

    /// Creates a backing file, and a disk on it.
    fn attach(
        &self,
        disk: impl Fn(&Path, Deadline) -> Result<Disk>,
        size: u64,
        deadline: Deadline,
    ) -> Result<Disk> {
        let place = self.below.as_ref().map_or(&self.dir, |below| &below.dir);
        let image = place.join(IMAGE);
        File::create_new(&image)?.set_len(size)?;
        let disk = disk(&image, deadline);
        if self.below.is_none() {
            fs::remove_file(&image)?;
        }
        disk
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        self.disks[0].name()
    }

    /// The names of the devices that the file system writes to.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let first = std::iter::once(self.name());
        first.chain(self.second.as_ref().map(Disk::name))
    }

    /// The names of the devices below it.
    pub fn lower(&self) -> impl Iterator<Item = &str> {
        self.disks[1..].iter().map(Disk::name)
    }

    /// Bytes that were written to the devices below it.
    pub fn written_below(&self) -> Result<u64> {
        let stats = self.lower().map(DeviceStat::of);
        stats.map(|stat| Ok(stat?.written)).sum()
    }

    /// The device of its backing file, if that is not in memory.
    pub fn below(&self) -> Option<&Device> {
        self.below.as_deref()
    }

    /// Where it is mounted.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The block layer's counters for the device and its second one, or for the first
    /// device below it if there are any: md counts a write again that dm has counted for
    /// the same device.
    pub fn stat(&self) -> Result<DeviceStat> {
        let first = DeviceStat::of(self.lower().next().unwrap_or(self.name()))?;
        match &self.second {
            None => Ok(first),
            Some(second) => Ok(first.and(DeviceStat::of(second.name())?)),
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let deadline = Deadline::after(SETUP);
        let mut problems = Vec::new();
        if self.is_mounted() {
            problems.extend(run(Command::new("umount").arg(&self.dir), deadline).err());
        }
        problems.extend(fs::remove_dir(&self.dir).err().map(Into::into));
        for problem in problems {
            eprintln!("cleaning up {}: {problem:#}", self.dir.display());
        }
    }
}

/// Freezes a file system, which writes all that is left to write, and thaws it.
pub fn settle(dir: &Path) -> Result<()> {
    // From linux/fs.h.
    const FIFREEZE: libc::Ioctl = 0xc004_5877u32 as libc::Ioctl;
    const FITHAW: libc::Ioctl = 0xc004_5878u32 as libc::Ioctl;
    let dir = File::open(dir)?;
    for request in [FIFREEZE, FITHAW] {
        // SAFETY: a file descriptor we hold open; the argument is not used.
        let done = unsafe { libc::ioctl(dir.as_raw_fd(), request, 0) };
        if done != 0 {
            return Err(io::Error::last_os_error()).context("freezing or thawing");
        }
    }
    Ok(())
}

/// Discards what a disk has, and copies the data of a file with holes to it.
fn replace(disk: &str, image: &Path) -> Result<()> {
    // From linux/fs.h.
    const BLKDISCARD: libc::Ioctl = 0x1277;
    let (image, disk) = (
        File::open(image)?,
        OpenOptions::new().write(true).open(disk)?,
    );
    let all = [0, SIZE];
    // SAFETY: a file descriptor we hold open, and two numbers that live until the call returns.
    let done = unsafe { libc::ioctl(disk.as_raw_fd(), BLKDISCARD, &raw const all) };
    ensure!(done == 0, io::Error::last_os_error());
    let mut at = 0;
    // SAFETY: takes a file descriptor we hold open and numbers.
    let seek = |from, whence| unsafe { libc::lseek(image.as_raw_fd(), from, whence) };
    loop {
        let data = seek(at, libc::SEEK_DATA);
        // ENXIO: there is no more data.
        let Ok(start) = u64::try_from(data) else {
            return Ok(disk.sync_all()?);
        };
        at = seek(data, libc::SEEK_HOLE);
        let mut bytes = vec![0; usize::try_from(at - data)?];
        image.read_exact_at(&mut bytes, start)?;
        disk.write_all_at(&bytes, start)?;
    }
}

/// Moves this process, and what it starts, into a new mount namespace.
pub fn own_mount_namespace() -> io::Result<()> {
    const ROOT: &CStr = c"/";
    // SAFETY: takes a flag only; called before any thread has been started.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: ROOT is NUL-terminated; the pointers that may be null are null.
    let done = unsafe {
        libc::mount(
            ptr::null(),
            ROOT.as_ptr(),
            ptr::null(),
            libc::MS_REC | libc::MS_PRIVATE,
            ptr::null(),
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
