//! A PostgreSQL server of the benchmark's own, without a port: it only listens on a
//! socket in the load's directory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{Missing, Place};
use crate::process;

/// Where Debian has the programs of each version, of which only some are in PATH.
const VERSIONS: &str = "/usr/lib/postgresql";
/// pgbench's rows: 100,000 for each.
const SCALE: &str = "2";
const CLIENTS: &str = "4";
/// Time limits for the start and the end of the server.
const START: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

pub fn missing() -> Option<Missing> {
    let missing = Missing {
        program: "PostgreSQL's server and pgbench",
        package: "postgresql",
    };
    directory().is_none().then_some(missing)
}

/// The directory of the newest server that has pgbench beside it.
fn directory() -> Option<PathBuf> {
    let versions = fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let mut numbers: Vec<u32> = versions
        .filter_map(|version| version.file_name().to_str()?.parse().ok())
        .collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    let of_debian = numbers
        .iter()
        .map(|number| Path::new(VERSIONS).join(number.to_string()).join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has_all = |dir: &PathBuf| {
        let programs = ["initdb", "postgres", "pgbench", "pg_isready"];
        programs.iter().all(|program| dir.join(program).is_file())
    };
    of_debian.chain(std::env::split_paths(&path)).find(has_all)
}

fn command(program: &str) -> Result<Command> {
    let directory = directory().context("there is no PostgreSQL")?;
    Ok(Command::new(directory.join(program)))
}

fn data(place: &Place) -> PathBuf {
    place.file("pgdata")
}

/// A client of the server in this place.
fn client(program: &str, place: &Place) -> Result<Command> {
    let mut client = command(program)?;
    client
        .arg("--host")
        .arg(&place.dir)
        .args(["--username", "bench"]);
    Ok(client)
}

/// Creates a server with pgbench's tables, unless there is one.
pub fn prepare(place: &Place) -> Result<()> {
    if data(place).exists() {
        return Ok(());
    }
    process::output(
        command("initdb")?
            .args(["--no-sync", "--auth=trust", "--username=bench", "--pgdata"])
            .arg(data(place)),
    )?;
    let server = Server::start(place)?;
    let mut tables = client("pgbench", place)?;
    process::output(tables.args(["--initialize", "--quiet", "--scale", SCALE, "postgres"]))?;
    server.stop()
}

/// A running server. Dropping it ends it at once.
pub struct Server {
    child: Child,
    log: PathBuf,
    stopped: bool,
}

impl Server {
    /// Starts it and waits until it takes connections.
    pub fn start(place: &Place) -> Result<Server> {
        let log = place.memory.join("postgresql.log");
        let messages =
            File::create(&log).with_context(|| format!("could not create {}", log.display()))?;
        let child = command("postgres")?
            .arg("-D")
            .arg(data(place))
            .arg("-k")
            .arg(&place.dir)
            .args(["-c", "listen_addresses="])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(messages)
            .spawn()
            .context("could not start postgres")?;
        let mut server = Server {
            child,
            log,
            stopped: false,
        };
        let start = Instant::now();
        while process::output(&mut client("pg_isready", place)?).is_err() {
            let exited = server.child.try_wait()?;
            if exited.is_some() || start.elapsed() > START {
                return Err(server.failed("does not take connections"));
            }
            sleep(PAUSE);
        }
        Ok(server)
    }

    /// Lets its clients do this many transactions each, and ends it.
    pub fn pgbench(self, place: &Place, transactions: u32) -> Result<()> {
        let mut pgbench = client("pgbench", place)?;
        pgbench
            .args(["--client", CLIENTS, "--transactions"])
            .arg(transactions.to_string())
            .arg("postgres");
        let report = process::output(&mut pgbench)?;
        ensure!(
            report.contains("number of failed transactions: 0")
                || !report.contains("failed transactions"),
            "{report}"
        );
        self.stop()
    }

    /// Ends it as `pg_ctl stop` does: it writes a checkpoint first.
    fn stop(mut self) -> Result<()> {
        self.signal(libc::SIGINT)?;
        let start = Instant::now();
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if start.elapsed() > STOP {
                bail!("PostgreSQL does not end");
            }
            sleep(PAUSE);
        };
        self.stopped = true;
        if status.success() {
            return Ok(());
        }
        Err(self.failed(&format!("ended with {status}")))
    }

    fn signal(&self, signal: libc::c_int) -> Result<()> {
        let pid = libc::pid_t::try_from(self.child.id())?;
        // SAFETY: takes no pointers; the child has not been waited for, so the number is
        // its own.
        let sent = unsafe { libc::kill(pid, signal) };
        ensure!(sent == 0, std::io::Error::last_os_error());
        Ok(())
    }

    fn failed(&self, what: &str) -> anyhow::Error {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        anyhow::anyhow!("PostgreSQL {what}:\n{}", log.trim_end())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.stopped || !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // SIGQUIT ends its children too, SIGKILL would not.
        drop(self.signal(libc::SIGQUIT));
        drop(self.child.wait());
    }
}
