//! One workload: how it is prepared, what it does, and what it leaves behind.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use super::disk::Disk;
use super::load::user::User;
use super::load::{Load, Missing, Place};
use super::{cpu, files, fio};
use crate::process;

pub struct Workload {
    pub name: &'static str,
    pub work: Work,
    pub pages: Pages,
    /// Runs for one measurement of its share of CPU: a short run has few ticks.
    pub runs: u32,
    /// Budget: the tracer's share of CPU in percent.
    pub share: Option<f64>,
    /// Budget: ns of the tracer's programs for each page written.
    pub ns_a_page: Option<f64>,
}

pub enum Work {
    /// fio with these options on the file of 1 GiB, none of it in memory.
    Fio(&'static str),
    /// The same on a file that is in memory, clean, in large folios.
    CachedFio(&'static str),
    /// Unpacks small files, writes them to the disk, removes them.
    Untar,
    /// Removes a file that is in memory, clean, in folios of one page.
    Unlink,
    /// Starts a process that ends at once, again and again.
    Forks,
    /// A load of `coverage` that does what it does so many times, as another user.
    AsUser(&'static Load, u32),
}

/// What the disk has to do. Figures for a page are about these pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    Written,
    Read,
    Neither,
}

/// What one run did.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// fio: bytes a second. Others: whole runs a second.
    pub rate: f64,
    /// CPU time of fio's own threads for each I/O, ns. Others: none.
    pub own_cpu: Option<f64>,
    /// CPU time of the whole machine for each I/O of fio or each run, ns:
    /// flushers, loop workers, the tracer, and whatever else runs.
    pub all_cpu: f64,
}

const FILE_SIZE: u64 = 1024 * files::MIB;
const CACHED_SIZE: u64 = 256 * files::MIB;
const UNLINKED_SIZE: u64 = 512 * files::MIB;
const FORKS: &str = "i=0; while [ $i -lt 1500 ]; do /bin/true; i=$((i + 1)); done";

impl Workload {
    /// Writes the file of 1 GiB, so that no run has to fill the disk's memory.
    pub fn lay_out(&self, disk: &Disk) -> Result<()> {
        let file = disk.file("file");
        if matches!(self.work, Work::Fio(_)) && !file.exists() {
            files::fill(&file, FILE_SIZE, files::MIB)?;
        }
        if let Work::AsUser(load, _) = self.work {
            let (user, place) = place(disk)?;
            load.prepare(user, &place)?;
        }
        disk.sync()
    }

    /// Comes before every run. Nothing is dirty afterwards.
    pub fn prepare(&self, disk: &Disk) -> Result<()> {
        self.drop_pages(disk)?;
        match self.work {
            Work::Fio(_) | Work::Forks | Work::AsUser(..) => {}
            Work::CachedFio(_) => files::fill(&self.file(disk), CACHED_SIZE, files::MIB)?,
            Work::Unlink => files::fill(&self.file(disk), UNLINKED_SIZE, files::PAGE)?,
            Work::Untar => files::pack_small_files(&disk.file_in_memory("small.tar"))?,
        }
        disk.sync()
    }

    pub fn run(&self, disk: &Disk) -> Result<Outcome> {
        let (user, place) = place(disk)?;
        let busy = cpu::busy()?;
        let start = Instant::now();
        let report = match self.work {
            Work::Fio(options) | Work::CachedFio(options) => {
                Some(fio::run(&self.file(disk), options)?)
            }
            Work::Untar => untar(disk).map(|()| None)?,
            Work::Unlink => std::fs::remove_file(self.file(disk)).map(|()| None)?,
            Work::Forks => process::output(Command::new("sh").args(["-c", FORKS])).map(|_| None)?,
            Work::AsUser(load, count) => load.run(user, &place, Some(count)).map(|()| None)?,
        };
        let seconds = start.elapsed().as_secs_f64();
        let all_cpu = cpu::busy()?.saturating_sub(busy).as_nanos() as f64;
        Ok(match report {
            Some(report) => Outcome {
                rate: report.bytes_per_second,
                own_cpu: Some(report.cpu_ns / report.ios),
                all_cpu: all_cpu / report.ios,
            },
            None => Outcome {
                rate: 1.0 / seconds,
                own_cpu: None,
                all_cpu,
            },
        })
    }

    /// Drops the pages of the file that fio used, which must be clean.
    pub fn drop_pages(&self, disk: &Disk) -> Result<()> {
        match self.work {
            Work::Fio(_) | Work::CachedFio(_) => files::drop_pages(&self.file(disk)),
            Work::Untar | Work::Unlink | Work::Forks | Work::AsUser(..) => Ok(()),
        }
    }

    fn file(&self, disk: &Disk) -> PathBuf {
        disk.file(match self.work {
            Work::CachedFio(_) => "cached",
            Work::Unlink => "unlinked",
            Work::Fio(_) | Work::Untar | Work::Forks | Work::AsUser(..) => "file",
        })
    }

    /// What it needs and this machine does not have.
    pub fn missing(&self) -> Option<Missing> {
        match self.work {
            Work::AsUser(load, _) => load.missing(),
            _ => None,
        }
    }

    /// The outcome's rate, for people to read.
    pub fn rate(&self, rate: f64) -> String {
        match self.work {
            Work::Fio(_) | Work::CachedFio(_) => {
                format!("{:.0} MiB/s", rate / files::MIB as f64)
            }
            Work::Untar | Work::Unlink | Work::Forks | Work::AsUser(..) => {
                format!("{:.2} s", 1.0 / rate)
            }
        }
    }
}

/// The other user, and where its load works.
fn place(disk: &Disk) -> Result<(User, Place)> {
    let user = User::nobody()?;
    let place = Place {
        dir: disk.file("load"),
        memory: disk.file_in_memory("load"),
    };
    user.directory(&place.dir)?;
    user.directory(&place.memory)?;
    Ok((user, place))
}

fn untar(disk: &Disk) -> Result<()> {
    let tree = disk.file("tree");
    std::fs::create_dir(&tree).with_context(|| format!("could not create {}", tree.display()))?;
    process::output(
        Command::new("tar")
            .arg("--extract")
            .arg("--file")
            .arg(disk.file_in_memory("small.tar"))
            .arg("--directory")
            .arg(&tree),
    )?;
    disk.sync()?;
    process::output(Command::new("rm").arg("--recursive").arg(&tree))?;
    Ok(())
}
