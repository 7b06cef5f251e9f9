//! The mixed load: a database, a logger, a backup that exits, and containers that come and go. Each
//! writes in a directory of its own, so that the right owner of every file is known.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::bench::load::user::User;
use crate::bench::load::{PGBENCH, Place};
use crate::process;

/// A directory, and the command that writes there.
pub const OWNERS: [(&str, &str); 4] = [
    ("db", "postgres"),
    ("log", "applog"),
    ("backup", "tar"),
    ("containers", "dd"),
];

/// The container's name, as reports print it.
pub const CONTAINER: &str = "docker:0123456789ab";
const CONTAINER_CGROUP: &str =
    "docker-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope";

/// Ten lines a second; the file is replaced every 1,000 lines.
const LOGGER: &str = r#"#!/bin/sh
cd "$1" || exit 1
n=0
while :; do
    echo "request $n took a while, and this line says so at some length: 0123456789 0123456789" >> app.log
    n=$((n + 1))
    [ $((n % 1000)) -ne 0 ] || mv app.log app.log.1
    sleep 0.1
done
"#;

/// A task enters the container, and what it starts writes five files.
const CONTAINER_SCRIPT: &str = r#"
echo $$ > "$1/cgroup.procs" || exit 1
cd "$2" || exit 1
for n in 1 2 3 4 5; do
    dd if=/dev/zero of=data$n bs=64k count=16 conv=fsync status=none || exit 1
done
"#;

/// What the database does a minute, for each of its clients.
const TRANSACTIONS: u32 = 300;
const EVERY_MINUTE: Duration = Duration::from_secs(60);
const EVERY_BACKUP: Duration = Duration::from_secs(120);
const EVERY_CONTAINER: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);
/// Files of the tree that is backed up.
const FILES: u32 = 500;

/// The running load. Dropping it ends it.
pub struct Mixed {
    stop: Arc<AtomicBool>,
    parts: Vec<JoinHandle<Result<()>>>,
    logger: Child,
}

/// Where the load is.
#[derive(Clone)]
pub struct Where {
    /// On the disk.
    pub disk: PathBuf,
    pub memory: PathBuf,
}

impl Where {
    fn place(&self) -> Place {
        Place {
            dir: self.disk.join("db"),
            memory: self.memory.clone(),
        }
    }
}

/// Makes what has to be there before.
pub fn prepare(at: &Where) -> Result<()> {
    let user = User::nobody()?;
    for (dir, _) in OWNERS {
        fs::create_dir(at.disk.join(dir))?;
    }
    user.directory(&at.place().dir)?;
    PGBENCH.prepare(user, &at.place())?;
    let tree = at.memory.join("tree");
    fs::create_dir(&tree)?;
    for n in 0..FILES {
        fs::write(tree.join(n.to_string()), vec![b'x'; 8 << 10])?;
    }
    let program = at.memory.join("applog");
    fs::write(&program, LOGGER)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

impl Mixed {
    pub fn start(at: &Where) -> Result<Mixed> {
        let logger = Command::new(at.memory.join("applog"))
            .arg(at.disk.join("log"))
            .stdin(Stdio::null())
            .spawn()
            .context("could not start the logger")?;
        let mut mixed = Mixed {
            stop: Arc::default(),
            parts: Vec::new(),
            logger,
        };
        mixed.part(at, EVERY_MINUTE, transactions);
        mixed.part(at, EVERY_BACKUP, backup);
        mixed.part(at, EVERY_CONTAINER, container);
        Ok(mixed)
    }

    /// Does this at once, and again and again.
    fn part(&mut self, at: &Where, every: Duration, turn: fn(&Where) -> Result<()>) {
        let (stop, at) = (self.stop.clone(), at.clone());
        self.parts.push(thread::spawn(move || {
            while !stop.load(Relaxed) {
                let start = Instant::now();
                turn(&at)?;
                while start.elapsed() < every && !stop.load(Relaxed) {
                    sleep(PAUSE);
                }
            }
            Ok(())
        }));
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// A part of it failed.
    pub fn stop(mut self) -> Result<()> {
        self.end();
        for part in self.parts.drain(..) {
            let ended = part.join();
            ended.unwrap_or_else(|_| Err(anyhow!("a part of the load panicked")))?;
        }
        Ok(())
    }

    fn end(&mut self) {
        self.stop.store(true, Relaxed);
        // Either fails only when it has ended already.
        drop(self.logger.kill());
        drop(self.logger.wait());
    }
}

impl Drop for Mixed {
    fn drop(&mut self) {
        self.end();
        for part in self.parts.drain(..) {
            drop(part.join());
        }
    }
}

fn transactions(at: &Where) -> Result<()> {
    PGBENCH.run(User::nobody()?, &at.place(), Some(TRANSACTIONS))
}

/// As a nightly backup does: writes an archive and gives it its name.
fn backup(at: &Where) -> Result<()> {
    let dir = at.disk.join("backup");
    let mut tar = Command::new("tar");
    tar.arg("--create").arg("--file").arg(dir.join("new.tar"));
    process::output(tar.arg("--directory").arg(&at.memory).arg("tree"))?;
    fs::rename(dir.join("new.tar"), dir.join("last.tar"))?;
    Ok(())
}

fn container(at: &Where) -> Result<()> {
    let tops = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
    let top = tops
        .into_iter()
        .find(|top| top.join("cgroup.procs").exists());
    let top = top.context("no cgroups of version 2 are mounted")?;
    let cgroup = top.join(CONTAINER_CGROUP);
    fs::create_dir(&cgroup)?;
    let mut shell = Command::new("sh");
    shell.args(["-c", CONTAINER_SCRIPT, "sh"]).arg(&cgroup);
    let written = process::output(shell.arg(at.disk.join("containers")));
    let removed = fs::remove_dir(&cgroup);
    written?;
    removed.with_context(|| format!("could not remove {}", cgroup.display()))
}
