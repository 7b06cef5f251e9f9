//! Loads that `coverage` and `attribution` start as another user. Each is one process
//! tree in one directory, and does what programs usually do to a disk.

mod postgres;
mod stress_ng;
pub mod user;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{files, fio};
use crate::process;
use postgres::Server;

pub struct Load {
    pub name: &'static str,
    /// What its own tasks should have of the bytes that reach the device, in percent.
    pub target: f64,
    work: Work,
}

#[derive(Debug, Clone, Copy)]
enum Work {
    Fsync,
    Sqlite {
        journal: &'static str,
    },
    Storm,
    Untar,
    GitCommit,
    /// From memory: another file system, so that data is copied.
    Copy,
    /// Within the file system. cp lets the files share their data where it can be shared.
    CopyWithin,
    Fio,
    Pgbench,
    StressNg {
        class: &'static str,
    },
}

/// What a load needs and this machine does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    pub program: &'static str,
    /// Debian's package that has it.
    pub package: &'static str,
}

const TARGET: f64 = 97.0;

pub const FSYNC: Load = Load {
    name: "fsync loop (append 300 B + fsync)",
    // On btrfs each fsync writes superblocks, which belong to no task.
    target: 95.0,
    work: Work::Fsync,
};

pub const PGBENCH: Load = Load {
    name: "pgbench (PostgreSQL)",
    target: TARGET,
    work: Work::Pgbench,
};

pub const ALL: &[Load] = &[
    FSYNC,
    Load {
        name: "sqlite inserts, WAL",
        target: TARGET,
        work: Work::Sqlite { journal: "WAL" },
    },
    Load {
        name: "sqlite inserts, rollback journal",
        target: TARGET,
        work: Work::Sqlite { journal: "DELETE" },
    },
    Load {
        name: "create, rename, unlink storm",
        target: TARGET,
        work: Work::Storm,
    },
    Load {
        name: "untar of 10,000 files",
        target: TARGET,
        work: Work::Untar,
    },
    Load {
        name: "git commit of 10,000 files",
        target: TARGET,
        work: Work::GitCommit,
    },
    Load {
        name: "cp -r of 10,000 files",
        target: TARGET,
        work: Work::Copy,
    },
    Load {
        name: "cp -r within the file system",
        target: TARGET,
        work: Work::CopyWithin,
    },
    Load {
        name: "fio mixed with fdatasync",
        target: TARGET,
        work: Work::Fio,
    },
    PGBENCH,
    Load {
        name: "stress-ng, file-system stressors",
        target: TARGET,
        work: Work::StressNg {
            class: "filesystem",
        },
    },
    Load {
        name: "stress-ng, I/O stressors",
        target: TARGET,
        work: Work::StressNg { class: "io" },
    },
];

const APPENDS: u32 = 400;
const APPENDED: [u8; 300] = [b'x'; 300];
const INSERTS: usize = 400;
const STORM: u32 = 5000;
const FIO_SIZE: u64 = 128 * files::MIB;
/// Reads as many as it writes, and commits now and then, as a database without a log.
const FIO: &str = "size=128m rw=randrw bs=4k io_size=64m fdatasync=16";
/// Transactions of each of pgbench's clients.
const TRANSACTIONS: u32 = 5000;

/// Where a load works.
pub struct Place {
    /// A directory of the user that runs the load.
    pub dir: PathBuf,
    /// A directory in memory, for what is not a part of the load.
    pub memory: PathBuf,
}

/// A process that prepares or runs a load.
#[derive(clap::Args)]
pub struct Options {
    #[arg(long)]
    name: String,
    #[arg(long)]
    dir: PathBuf,
    #[arg(long)]
    memory: PathBuf,
    #[arg(long)]
    count: Option<u32>,
    /// Only what has to be there before the load
    #[arg(long)]
    prepare: bool,
}

/// Does a part of a load in this process.
pub fn run(options: &Options) -> Result<()> {
    let load = ALL.iter().find(|load| load.name == options.name);
    let load = load.with_context(|| format!("there is no load {:?}", options.name))?;
    let place = Place {
        dir: options.dir.clone(),
        memory: options.memory.clone(),
    };
    if options.prepare {
        load.prepare_here(&place)
    } else {
        load.run_here(&place, options.count)
    }
}

impl Load {
    /// The first program that it needs and that is missing.
    pub fn missing(&self) -> Option<Missing> {
        let needed = |program, package| {
            let missing = process::find(program).is_none();
            missing.then_some(Missing { program, package })
        };
        match self.work {
            Work::Fsync | Work::Storm | Work::Untar | Work::Copy | Work::CopyWithin => None,
            Work::Sqlite { .. } => needed("sqlite3", "sqlite3"),
            Work::GitCommit => needed("git", "git"),
            Work::Fio => needed("fio", "fio"),
            Work::Pgbench => postgres::missing(),
            Work::StressNg { .. } => stress_ng::missing(),
        }
    }

    /// Does as the user what has to be done once, before the load.
    pub fn prepare(&self, user: user::User, place: &Place) -> Result<()> {
        if matches!(
            self.work,
            Work::Untar | Work::GitCommit | Work::Copy | Work::CopyWithin
        ) {
            files::pack_small_files(&place.archive())?;
        }
        user.run(&place.dir, self.arguments(place).arg("--prepare"))
            .with_context(|| format!("could not prepare {}", self.name))
    }

    /// Runs the load as the user. `count` is how often it does what it does, if it is not
    /// to be what is usual.
    pub fn run(&self, user: user::User, place: &Place, count: Option<u32>) -> Result<()> {
        let mut arguments = self.arguments(place);
        if let Some(count) = count {
            arguments.arg("--count").arg(count.to_string());
        }
        user.run(&place.dir, &mut arguments)
            .with_context(|| format!("could not run {}", self.name))
    }

    /// This program, as it has to be started by another user.
    fn arguments(&self, place: &Place) -> Command {
        // The path of this program may lead through a directory that is closed to the
        // user.
        let mut command = Command::new("/proc/self/exe");
        command
            .args(["bench", "load", "--name", self.name, "--dir"])
            .arg(&place.dir)
            .arg("--memory")
            .arg(&place.memory);
        command
    }

    fn prepare_here(&self, place: &Place) -> Result<()> {
        match self.work {
            Work::Fsync
            | Work::Sqlite { .. }
            | Work::Storm
            | Work::Untar
            | Work::StressNg { .. } => Ok(()),
            Work::Copy if place.source().exists() => Ok(()),
            Work::Copy => untar(place, &place.source()),
            Work::GitCommit | Work::CopyWithin => untar(place, &place.tree()),
            Work::Fio => files::fill(&place.file("fio"), FIO_SIZE, files::MIB),
            Work::Pgbench => postgres::prepare(place),
        }
    }

    fn run_here(&self, place: &Place, count: Option<u32>) -> Result<()> {
        match self.work {
            Work::Fsync => append(&place.file("log"), count.unwrap_or(APPENDS)),
            Work::Sqlite { journal } => insert(&place.file("db"), journal),
            Work::Storm => storm(&place.dir).context("the storm"),
            Work::Untar => untar(place, &place.tree()),
            Work::GitCommit => commit(&place.tree()),
            Work::Copy => copy(&place.source(), &place.tree()),
            Work::CopyWithin => copy(&place.tree(), &place.file("copy")),
            Work::Fio => fio::run(&place.file("fio"), FIO).map(drop),
            Work::StressNg { class } => stress_ng::run(class, &place.dir),
            Work::Pgbench => Server::start(place)?.pgbench(place, count.unwrap_or(TRANSACTIONS)),
        }
    }
}

impl Place {
    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Where the small files are unpacked.
    fn tree(&self) -> PathBuf {
        self.file("tree")
    }

    /// The same in memory.
    fn source(&self) -> PathBuf {
        self.memory.join("small")
    }

    fn archive(&self) -> PathBuf {
        self.memory.join("small.tar")
    }
}

fn append(path: &Path, count: u32) -> Result<()> {
    let append = || -> io::Result<()> {
        let mut file = File::options().create(true).append(true).open(path)?;
        for _ in 0..count {
            file.write_all(&APPENDED)?;
            file.sync_all()?;
        }
        Ok(())
    };
    append().with_context(|| format!("could not append to {}", path.display()))
}

/// Each insert is a transaction.
fn insert(database: &Path, journal: &str) -> Result<()> {
    let begin = format!(
        "PRAGMA journal_mode={journal}; PRAGMA synchronous=FULL; \
         CREATE TABLE rows(id INTEGER PRIMARY KEY, text TEXT);"
    );
    let inserts = "INSERT INTO rows(text) VALUES(hex(randomblob(50)));".repeat(INSERTS);
    let mut sqlite = Command::new("sqlite3");
    sqlite.arg(database).arg(begin + &inserts);
    process::output(&mut sqlite).map(drop)
}

/// As a mail queue does: creates small files, gives each its final name, and removes one
/// in three again.
fn storm(dir: &Path) -> io::Result<()> {
    let dirs = [dir.join("new"), dir.join("cur")];
    dirs.iter().try_for_each(fs::create_dir)?;
    let [new, cur] = dirs;
    for n in 0..STORM {
        let (before, after) = (new.join(n.to_string()), cur.join(n.to_string()));
        fs::write(&before, APPENDED)?;
        fs::rename(&before, &after)?;
        if n % 3 == 0 {
            fs::remove_file(&after)?;
        }
    }
    Ok(())
}

fn untar(place: &Place, tree: &Path) -> Result<()> {
    fs::create_dir(tree).with_context(|| format!("could not create {}", tree.display()))?;
    let mut tar = Command::new("tar");
    tar.arg("--extract").arg("--file").arg(place.archive());
    process::output(tar.arg("--directory").arg(tree)).map(drop)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    process::output(Command::new("cp").arg("-r").arg(from).arg(to)).map(drop)
}

fn commit(tree: &Path) -> Result<()> {
    // No helper may go on in the background when the load has ended.
    let steps: [&[&str]; 3] = [
        &["init", "--quiet"],
        &["add", "--all"],
        &[
            "-c",
            "gc.auto=0",
            "-c",
            "maintenance.auto=false",
            "-c",
            "user.name=bench",
            "-c",
            "user.email=bench@localhost",
            "commit",
            "--quiet",
            "--message=All of them",
        ],
    ];
    for step in steps {
        let mut git = Command::new("git");
        git.current_dir(tree).args(step);
        git.env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        process::output(&mut git)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for load in ALL {
            let same = ALL.iter().filter(|other| other.name == load.name);
            assert_eq!(same.count(), 1, "{}", load.name);
        }
    }

    #[test]
    fn the_storm_leaves_two_of_three() -> Result<()> {
        let dir = tempfile::tempdir()?;
        storm(dir.path())?;
        assert_eq!(fs::read_dir(dir.path().join("new"))?.count(), 0);
        let left = fs::read_dir(dir.path().join("cur"))?.count();
        assert_eq!(left as u32, STORM - STORM.div_ceil(3));
        Ok(())
    }

    #[test]
    fn an_append_loop_goes_on_where_it_ended() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let log = dir.path().join("log");
        append(&log, 2)?;
        append(&log, 1)?;
        assert_eq!(fs::metadata(&log)?.len(), 3 * 300);
        Ok(())
    }
}
