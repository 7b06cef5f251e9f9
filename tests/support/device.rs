//! A real file system on a loop device whose backing file is in memory.
//!
//! The harness has a mount namespace of its own, the backing file is unlinked
//! as soon as the loop device holds it, and the loop device detaches itself
//! with the unmount: nothing stays behind however the harness ends.

use std::ffi::CStr;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::ptr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::command::run;
use super::counters::DeviceStat;
use super::deadline::Deadline;

/// The file systems every case runs on.
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
            Fs::Ext4 => ["-qFE", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"].as_slice(),
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

const MEMORY: &str = "/dev/shm";
const SIZE: u64 = 1 << 30;
const SETUP: Duration = Duration::from_secs(30);

/// A mounted file system. Dropping it unmounts it and frees everything.
pub struct Device {
    /// What is on it.
    pub fs: Fs,
    name: String,
    dir: PathBuf,
    mounted: bool,
    /// Has to be detached by us: the unmount does not do it yet.
    attached: bool,
}

impl Device {
    /// Makes and mounts a new file system.
    pub fn create(fs: Fs) -> Result<Device> {
        let deadline = Deadline::after(SETUP);
        let dir = Path::new(MEMORY).join(format!("iotop-trace-{fs}-{}", process::id()));
        fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let mut device = Device {
            fs,
            name: String::new(),
            dir,
            mounted: false,
            attached: false,
        };
        let path = device.attach(deadline)?;
        run(fs.mkfs().arg(&path), deadline)?;
        // noatime: a reader must not have anything written for it.
        let mut mount = Command::new("mount");
        mount.args(["-t", fs.name(), "-o", "noatime", &path]);
        run(mount.arg(&device.dir), deadline)?;
        device.mounted = true;
        // While it is mounted this only says "with the last user".
        run(Command::new("losetup").args(["--detach", &path]), deadline)?;
        device.attached = false;
        Ok(device)
    }

    fn attach(&mut self, deadline: Deadline) -> Result<String> {
        let image = self.dir.join("image");
        File::create_new(&image)?.set_len(SIZE)?;
        let mut losetup = Command::new("losetup");
        let path = run(losetup.args(["--find", "--show"]).arg(&image), deadline);
        fs::remove_file(&image)?;
        let path = path?.trim().to_owned();
        self.attached = true;
        self.name = path.trim_start_matches("/dev/").to_owned();
        ensure!(self.name.starts_with("loop"), "losetup gave {path}");
        Ok(path)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is mounted.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the block layer says was read and written.
    pub fn stat(&self) -> Result<DeviceStat> {
        DeviceStat::of(&self.name)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let deadline = Deadline::after(SETUP);
        let mut problems = Vec::new();
        if self.mounted {
            problems.extend(run(Command::new("umount").arg(&self.dir), deadline).err());
        }
        if self.attached {
            let path = format!("/dev/{}", self.name);
            let mut losetup = Command::new("losetup");
            problems.extend(run(losetup.args(["--detach", &path]), deadline).err());
        }
        problems.extend(fs::remove_dir(&self.dir).err().map(Into::into));
        for problem in problems {
            eprintln!("cleaning up {}: {problem:#}", self.dir.display());
        }
    }
}

/// Gives this process, and what it starts, a mount namespace of its own.
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
