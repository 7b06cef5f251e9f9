//! What goes on beside the program: everything that comes and goes, as fast as it can.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::bench::disk::{FileSystem, LoopDevice, Mount};
use crate::process;

/// How long a part of the load sleeps while the load rests.
const REST: Duration = Duration::from_millis(50);
/// Names that are used again, so that a directory does not grow.
const NAMES: u64 = 2000;
const BLOCK: usize = 4096;
const MIB: usize = 1 << 20;
/// The size of a file that is rewritten in place.
const REWRITTEN: u64 = 32 * MIB as u64;
/// The size of a device that comes and goes.
const DEVICE: u64 = 32 * MIB as u64;

/// One turn of a part of the load, in a directory of its own. It gets the turn's number.
type Turn = fn(&Path, u64) -> Result<()>;

/// On each file system.
const ON_FILES: [(&str, Turn); 5] = [
    ("files", files),
    ("rewrites", rewrite),
    ("fsyncs", append),
    ("direct", direct),
    ("truncates", truncate),
];

/// Once. The directory is in memory.
const ON_MACHINE: [(&str, Turn); 2] = [("devices", device), ("mounts", mount)];

/// A shell's subshells write to a file and exit; other processes execute a program.
const FORKS: &str = "while :; do (echo x >> forks); (echo y >> forks); /bin/true a b c; done";

/// The running load. Dropping it ends it.
pub struct Load {
    orders: Arc<Orders>,
    parts: Vec<(String, Arc<AtomicU64>, JoinHandle<Result<()>>)>,
    shells: Vec<Child>,
}

#[derive(Default)]
struct Orders {
    stop: AtomicBool,
    rest: AtomicBool,
}

impl Load {
    /// Starts it on these mounted file systems. `memory` is a directory in memory.
    pub fn start(disks: &[(FileSystem, PathBuf)], memory: &Path) -> Result<Load> {
        let mut load = Load {
            orders: Arc::default(),
            parts: Vec::new(),
            shells: Vec::new(),
        };
        for (fs, dir) in disks {
            for (name, turn) in ON_FILES {
                load.part(&format!("{name} on {}", fs.name()), &dir.join(name), turn)?;
            }
            let mut shell = Command::new("sh");
            shell.args(["-c", FORKS]).current_dir(dir);
            load.shells.push(shell.stdin(Stdio::null()).spawn()?);
        }
        for (name, turn) in ON_MACHINE {
            load.part(name, &memory.join(name), turn)?;
        }
        let (_, disk) = disks.first().context("no file system")?;
        load.part("cgroups", &disk.join("cgroups"), cgroup)?;
        Ok(load)
    }

    fn part(&mut self, name: &str, dir: &Path, turn: Turn) -> Result<()> {
        fs::create_dir(dir).with_context(|| format!("could not create {}", dir.display()))?;
        let (orders, dir) = (self.orders.clone(), dir.to_owned());
        let done = Arc::new(AtomicU64::new(0));
        let turns = done.clone();
        let thread = thread::Builder::new().name(name.chars().take(15).collect());
        let thread = thread.spawn(move || {
            while !orders.stop.load(Relaxed) {
                if orders.rest.load(Relaxed) {
                    thread::sleep(REST);
                } else {
                    turn(&dir, turns.load(Relaxed))?;
                    turns.fetch_add(1, Relaxed);
                }
            }
            Ok(())
        })?;
        self.parts.push((name.to_owned(), done, thread));
        Ok(())
    }

    /// Lets it rest, or go on.
    pub fn rest(&self, rest: bool) -> Result<()> {
        self.orders.rest.store(rest, Relaxed);
        let signal = if rest { libc::SIGSTOP } else { libc::SIGCONT };
        for shell in &self.shells {
            let pid = libc::pid_t::try_from(shell.id())?;
            // SAFETY: kill takes plain numbers; the shell was not waited for, so the number is
            // its own.
            unsafe { libc::kill(pid, signal) };
        }
        Ok(())
    }

    /// Ends it. Returns how many turns each part did.
    ///
    /// # Errors
    ///
    /// A part failed.
    pub fn stop(mut self) -> Result<Vec<(String, u64)>> {
        self.end();
        let mut turns = Vec::new();
        for (name, done, thread) in self.parts.drain(..) {
            let ended = thread.join();
            let ended = ended.unwrap_or_else(|_| Err(anyhow::anyhow!("it panicked")));
            ended.with_context(|| format!("{name}, after {} turns", done.load(Relaxed)))?;
            turns.push((name, done.load(Relaxed)));
        }
        Ok(turns)
    }

    fn end(&mut self) {
        self.orders.stop.store(true, Relaxed);
        for mut shell in self.shells.drain(..) {
            // Either fails only when it has ended already.
            drop(shell.kill());
            drop(shell.wait());
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
        for (_, _, thread) in self.parts.drain(..) {
            drop(thread.join());
        }
    }
}

/// Creates a file, renames it over an older one, and removes another.
fn files(dir: &Path, turn: u64) -> Result<()> {
    let name = |n: u64| dir.join((n % NAMES).to_string());
    fs::write(dir.join("new"), [b'f'; 2 * BLOCK])?;
    fs::rename(dir.join("new"), name(turn))?;
    if turn.is_multiple_of(3) {
        // There is none yet in the first turns.
        let _ = fs::remove_file(name(turn + NAMES / 2));
    }
    Ok(())
}

fn open(dir: &Path, flags: i32) -> Result<File> {
    let path = dir.join("file");
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create(true)
        .truncate(false)
        .custom_flags(flags);
    options
        .open(&path)
        .with_context(|| path.display().to_string())
}

/// A place in the file that is rewritten: all over it, the same in each run.
fn place(turn: u64, size: usize) -> u64 {
    let size = size as u64;
    (turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) % (REWRITTEN / size) * size
}

fn rewrite(dir: &Path, turn: u64) -> Result<()> {
    let file = open(dir, 0)?;
    for n in 0..64 {
        file.write_all_at(&[b'r'; BLOCK], place(64 * turn + n, BLOCK))?;
    }
    Ok(())
}

fn append(dir: &Path, turn: u64) -> Result<()> {
    let mut file = open(dir, 0)?;
    if turn.is_multiple_of(4096) {
        file.set_len(0)?;
    }
    file.seek(SeekFrom::End(0))?;
    file.write_all(&[b'a'; 300])?;
    file.sync_all()?;
    Ok(())
}

/// O_DIRECT needs an aligned buffer.
#[repr(align(4096))]
struct Aligned([u8; 16 * BLOCK]);

fn direct(dir: &Path, turn: u64) -> Result<()> {
    let file = open(dir, libc::O_DIRECT)?;
    let buffer = Box::new(Aligned([b'd'; 16 * BLOCK]));
    file.write_all_at(&buffer.0, place(turn, 16 * BLOCK))?;
    Ok(())
}

/// Writes what is dropped before it is written to the disk.
fn truncate(dir: &Path, _: u64) -> Result<()> {
    let mut file = open(dir, 0)?;
    file.write_all(&vec![b't'; MIB])?;
    file.set_len(0)?;
    Ok(())
}

/// A task in a new cgroup writes a file.
fn cgroup(dir: &Path, turn: u64) -> Result<()> {
    let top = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        .into_iter()
        .map(Path::new);
    let mut tops = top.filter(|top| top.join("cgroup.procs").exists());
    let top = tops.next().context("no cgroups of version 2 are mounted")?;
    let cgroup = top.join(format!("iotop-trace-soak-{}-{turn}", std::process::id()));
    fs::create_dir(&cgroup)?;
    let script = "echo $$ > \"$1/cgroup.procs\" && echo x > \"$2\"";
    let mut shell = Command::new("sh");
    shell
        .args(["-c", script, "sh"])
        .arg(&cgroup)
        .arg(dir.join((turn % NAMES).to_string()));
    let written = process::output(&mut shell);
    let removed = fs::remove_dir(&cgroup);
    written?;
    removed.with_context(|| format!("could not remove {}", cgroup.display()))
}

/// A new device with a file system, which is mounted, written to and unmounted.
fn device(dir: &Path, turn: u64) -> Result<()> {
    let image = dir.join("image");
    let device = LoopDevice::of_size(&image, DEVICE)?;
    let mut mkfs = Command::new("mkfs.ext4");
    process::output(mkfs.args(["-q", "-F"]).arg(device.path()))?;
    let mount = Mount::device(FileSystem::Ext4, &device, dir.join("mount"))?;
    fs::write(mount.dir.join("file"), vec![turn as u8; MIB])?;
    mount.unmount()
}

fn mount(dir: &Path, _: u64) -> Result<()> {
    let mount = Mount::memory(&dir.join("mount"))?;
    fs::write(mount.dir.join("file"), [b'm'; BLOCK])?;
    mount.unmount()
}
