//! A disk that can be taken away, so that another one gets its number and its name.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::support::command::run;
use super::support::deadline::Deadline;

const MIB: u64 = 1 << 20;
const SIZE: u64 = 64 * MIB;
const CLEANUP: Duration = Duration::from_secs(10);
/// Sectors have 512 bytes here, whatever the device's own size is.
const SECTOR: u64 = 512;

// From linux/loop.h.
const LOOP_CTL_ADD: libc::Ioctl = 0x4c80;
const LOOP_CTL_REMOVE: libc::Ioctl = 0x4c81;

/// A loop device that the kernel adds for us, with a backing file in memory. Dropping it
/// removes the device itself: the next one with the number begins with counters of 0.
pub struct Replaceable {
    number: i32,
}

impl Replaceable {
    /// Adds the loop device with this number, which must not exist.
    pub fn add(number: i32, deadline: Deadline) -> Result<Replaceable> {
        control(LOOP_CTL_ADD, number).with_context(|| format!("adding loop{number}"))?;
        let disk = Replaceable { number };
        let image = format!(
            "/dev/shm/iotop-trace-{}-{}",
            disk.name(),
            std::process::id()
        );
        File::create_new(&image)?.set_len(SIZE)?;
        let mut losetup = Command::new("losetup");
        losetup.args(["--partscan", &disk.path(), &image]);
        let attached = run(&mut losetup, deadline);
        fs::remove_file(&image)?;
        attached?;
        Ok(disk)
    }

    /// Its name.
    pub fn name(&self) -> String {
        format!("loop{}", self.number)
    }

    /// The path of its node.
    pub fn path(&self) -> String {
        format!("/dev/{}", self.name())
    }

    /// Adds a partition of 8 MiB. Returns its name.
    pub fn add_partition(&self, number: u64, deadline: Deadline) -> Result<String> {
        let [start, length] = [number * 8 * MIB, 8 * MIB].map(|bytes| (bytes / SECTOR).to_string());
        let mut add = Command::new("addpart");
        add.args([&self.path(), &number.to_string(), &start, &length]);
        run(&mut add, deadline)?;
        Ok(format!("{}p{number}", self.name()))
    }

    /// Removes a partition.
    pub fn remove_partition(&self, number: u64, deadline: Deadline) -> Result<()> {
        let mut remove = Command::new("delpart");
        remove.args([&self.path(), &number.to_string()]);
        run(&mut remove, deadline).map(drop)
    }
}

impl Drop for Replaceable {
    fn drop(&mut self) {
        let deadline = Deadline::after(CLEANUP);
        let detached = run(Command::new("losetup").args(["-d", &self.path()]), deadline);
        let removed = loop {
            // The detached file is let go a moment later.
            match control(LOOP_CTL_REMOVE, self.number) {
                Err(error) if is_busy(&error) && !deadline.left().is_zero() => {
                    sleep(Duration::from_millis(10));
                }
                end => break end,
            }
        };
        let problems = [detached.err(), removed.err().map(Into::into)];
        for problem in problems.into_iter().flatten() {
            eprintln!("cleaning up {}: {problem:#}", self.name());
        }
    }
}

fn is_busy(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ResourceBusy
}

fn control(request: libc::Ioctl, number: i32) -> io::Result<()> {
    let control = File::open("/dev/loop-control")?;
    // SAFETY: a file descriptor we hold open, and a number.
    match unsafe { libc::ioctl(control.as_raw_fd(), request, number) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// The number of a block device.
pub fn number_of(name: &str) -> Result<String> {
    let text = fs::read_to_string(Path::new("/sys/class/block").join(name).join("dev"))?;
    let number = text.trim().to_owned();
    ensure!(number.contains(':'), "{name}: {number}");
    Ok(number)
}
