//! Who a task is, while that changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::MIB;
use super::io::lines;
use super::stage::{Stage, intervals, tid};
use super::support::command::run;
use super::support::fuse::{BINDFS, Server};
use super::support::ndjson::{Line, Report};
use super::support::process::end;
use super::support::tracer::{BINARY, Tracer};
use super::support::trial::LeftOut;
use super::title;

const SHORT: Duration = Duration::from_millis(300);
const INTERVAL: [&str; 2] = ["-d", "0.3"];

/// Cgroups of a trial in the version 2 hierarchy. Dropping them removes them.
struct Cgroups {
    top: PathBuf,
    hierarchy: PathBuf,
}

const SLICE: &str = "iotoptrial.slice";

impl Cgroups {
    fn new() -> Result<Cgroups> {
        let roots = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(PathBuf::from);
        let is_version_2 = |root: &PathBuf| root.join("cgroup.controllers").exists();
        let hierarchy = roots.into_iter().find(is_version_2);
        let hierarchy = hierarchy.ok_or_else(|| LeftOut::elsewhere("no cgroups of version 2"))?;
        let top = hierarchy.join(SLICE);
        fs::create_dir(&top)?;
        Ok(Cgroups { top, hierarchy })
    }

    fn enter(&self, pid: u64, unit: &str) -> Result<()> {
        let unit = self.top.join(unit);
        if !unit.exists() {
            fs::create_dir(&unit)?;
        }
        Ok(fs::write(unit.join("cgroup.procs"), pid.to_string())?)
    }

    fn leave(&self, pid: u64) -> Result<()> {
        Ok(fs::write(
            self.hierarchy.join("cgroup.procs"),
            pid.to_string(),
        )?)
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for unit in fs::read_dir(&self.top).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(unit.path());
        }
        if let Err(problem) = fs::remove_dir(&self.top) {
            eprintln!("cleaning up {}: {problem}", self.top.display());
        }
    }
}

/// The values of a field in a process's lines, without repetitions.
fn values<'a>(report: &'a Report, pid: u64, field: &str) -> Result<Vec<Option<&'a str>>> {
    let value = |line: &&'a Line| Ok(line.field(field)?.as_str());
    let lines = lines(report, &[("pid", pid)])?;
    let mut values: Vec<_> = lines.iter().map(value).collect::<Result<_>>()?;
    values.dedup();
    Ok(values)
}

/// With the kernel half a task that does something is seen in its new cgroup; without it,
/// also an idle one.
pub fn moved_to_another_cgroup(stage: &Stage<'_>) -> Result<()> {
    let cgroups = Cgroups::new()?;
    for options in [&INTERVAL[..], &["-d", "0.3", "--no-ebpf"]] {
        let mut actor = stage.actor("c-moved", &[&["chars", "1048576"], &["chars", "1048576"]])?;
        cgroups.enter(actor.pid(), "old.service")?;
        let tracer = Tracer::start(options)?;
        stage.step(&mut actor)?;
        intervals(2, SHORT);
        cgroups.enter(actor.pid(), "new.service")?;
        if options.contains(&"--no-ebpf") {
            intervals(2, SHORT);
        }
        stage.step(&mut actor)?;
        intervals(2, SHORT);
        let report = stage.report(tracer)?;
        cgroups.leave(actor.pid())?;
        let units = values(&report, actor.pid(), "unit")?;
        ensure!(
            units == [Some("old.service"), Some("new.service")],
            "{options:?}: {units:?}"
        );
    }
    Ok(())
}

/// Its name is the same, its command line is not.
pub fn program_of_the_same_name(stage: &Stage<'_>) -> Result<()> {
    for options in [&INTERVAL[..], &["-d", "0.3", "--no-ebpf"]] {
        let mut actor = stage.actor(
            "c-same",
            &[&["chars", "1048576"], &["exec", "chars", "2097152"]],
        )?;
        let tracer = Tracer::start(options)?;
        stage.step(&mut actor)?;
        intervals(2, SHORT);
        actor.go()?;
        // The new program waits to be told to begin.
        intervals(1, SHORT);
        stage.step(&mut actor)?;
        intervals(2, SHORT);
        let report = stage.report(tracer)?;
        let lines = values(&report, actor.pid(), "cmdline")?;
        let last = lines.last().copied().flatten().context("no line")?;
        let is_new = last.ends_with("/exe chars 2097152");
        ensure!(is_new && lines.len() == 2, "{options:?}: {lines:?}");
    }
    Ok(())
}

/// It writes over its arguments, and then has them somewhere else. From the interval on in which
/// it does something with the new title, no line has the old one.
pub fn changed_title(stage: &Stage<'_>) -> Result<()> {
    title::can_be_elsewhere()?;
    let [first, second] = ["c-server: idle", "c-server: worker 7 of 12, /srv/data"];
    for options in [&INTERVAL[..], &["-d", "0.3", "--no-ebpf"]] {
        let steps: &[&[&str]] = &[
            &["chars", "1048576"],
            &["title", "in_place", first, "chars", "1048576"],
            &["title", "elsewhere", second, "chars", "1048576"],
        ];
        let mut actor = stage.actor("c-server", steps)?;
        let tracer = Tracer::start(options)?;
        for _ in steps {
            stage.step(&mut actor)?;
            intervals(2, SHORT);
        }
        let report = stage.report(tracer)?;
        let mut chars = 0;
        let mut titles = [None; 3];
        for line in lines(&report, &[("pid", actor.pid())])? {
            chars += line.maybe("write_char")?.unwrap_or(0);
            // Each step writes one MiB, and a word when it is done.
            let each = MIB + "done\n".len() as u64;
            let step = (chars.saturating_sub(1) / each).min(2);
            titles[usize::try_from(step)?].get_or_insert(line.field("cmdline")?);
        }
        let titles = titles.map(|title| title.and_then(Value::as_str));
        let [before, after, last] = titles;
        let is_old = before.is_some_and(|line| line.starts_with("/proc/self/exe chars"));
        let is_new = (after, last) == (Some(first), Some(second));
        ensure!(is_old && is_new, "{options:?}: {titles:?}");
    }
    Ok(())
}

/// Its other threads live on. The process has the main thread's name, and its command line.
pub fn main_thread_ended(stage: &Stage<'_>) -> Result<()> {
    let file = stage.file("steady");
    for options in [&["-P", "-d", "0.3"][..], &["-P", "-d", "0.3", "--no-ebpf"]] {
        let steps: &[&[&str]] = &[
            &["aside", "c-worker", "steadily", &file, "4096", "20"],
            &["leave"],
        ];
        let mut actor = stage.actor("c-leaver", steps)?;
        let said = stage.step(&mut actor)?;
        stage.step(&mut actor)?;
        let tracer = Tracer::start(options)?;
        intervals(3, SHORT);
        let report = stage.report(tracer)?;
        let comms = values(&report, actor.pid(), "comm")?;
        ensure!(comms == [Some("c-leaver")], "{options:?}: {comms:?}");
        let lines = values(&report, actor.pid(), "cmdline")?;
        let right = lines.len() == 1 && lines[0].is_some_and(|line| line.contains("then leave"));
        ensure!(right, "{options:?}: {lines:?}");
        let worker = tid(&said, "c-worker")?;
        ensure!(worker != actor.pid(), "the case is wrong");
    }
    Ok(())
}

/// A process that does not run until this is dropped.
struct Stopped(libc::pid_t);

impl Stopped {
    fn new(pid: u64) -> Result<Stopped> {
        let pid = libc::pid_t::try_from(pid)?;
        // SAFETY: a signal to a child that was not reaped.
        unsafe { libc::kill(pid, libc::SIGSTOP) };
        Ok(Stopped(pid))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // SAFETY: as above: it is stopped.
        unsafe { libc::kill(self.0, libc::SIGCONT) };
    }
}

/// No interval of a report is as long as this.
const TOO_LONG: f64 = 2.0;

fn are_short(report: &Report) -> Result<()> {
    for now in &report.0 {
        let length = now.system.field("interval_s")?;
        ensure!(
            length.as_f64().context("no number")? < TOO_LONG,
            "{length} s"
        );
    }
    Ok(())
}

/// The process waits in mmap(2) for a server that is gone. Whoever reads its command line waits
/// too.
pub fn locked_memory(stage: &Stage<'_>) -> Result<()> {
    if Command::new(BINDFS).arg("--version").output().is_err() {
        eprintln!("ignored: no {BINDFS}");
        return Ok(());
    }
    let (dir, shown) = (stage.file("dir"), stage.file("shown"));
    for dir in [&dir, &shown] {
        fs::create_dir(dir)?;
    }
    let file = format!("{shown}/file");
    for options in [&INTERVAL[..], &["-d", "0.3", "--no-ebpf"]] {
        let server = Server::start(&dir, &shown, stage.deadline)?;
        let mut actor = stage.actor("c-locked", &[&["map", &file], &["map_over"]])?;
        stage.step(&mut actor)?;
        let stopped = Stopped::new(server.pid())?;
        actor.go()?;
        sleep(SHORT);
        let stack = fs::read_to_string(format!("/proc/{}/stack", actor.pid()))?;
        ensure!(stack.contains("fuse"), "the case is wrong: {stack}");
        let tracer = Tracer::start(options)?;
        sleep(Duration::from_secs(4));
        drop(stopped);
        actor.done(stage.deadline)?;
        intervals(3, SHORT);
        let (report, said) = stage.report_and_complaint(tracer)?;
        are_short(&report)?;
        ensure!(
            report.0.len() > 6,
            "{options:?}: {} intervals",
            report.0.len()
        );
        let pid = actor.pid();
        let lines = values(&report, pid, "cmdline")?;
        let late = lines.get(1).copied().flatten().unwrap_or_default();
        let right = lines.len() == 2 && lines[0].is_none() && late.ends_with("then map_over");
        ensure!(right, "{options:?}: {lines:?}");
        let notice = format!("command line of process {pid} can't be read");
        ensure!(said.matches(&notice).count() == 1, "{options:?}: {said:?}");
    }
    Ok(())
}

/// Processes with long and hostile command lines. Dropping it ends them.
struct LongLines(Vec<Child>);

impl LongLines {
    fn new(count: usize) -> Result<LongLines> {
        let mut lines = LongLines(Vec::new());
        let escapes = "\x1b".repeat(64 << 10);
        for _ in 0..count {
            let mut shell = Command::new("sh");
            shell.args(["-c", "read line", "c-long", &escapes]);
            lines.0.push(shell.stdin(Stdio::piped()).spawn()?);
        }
        Ok(lines)
    }
}

impl Drop for LongLines {
    fn drop(&mut self) {
        for child in &mut self.0 {
            end(child);
        }
    }
}

/// The most memory that a tracer may use.
const MOST_KIB: u64 = 64 << 10;

pub fn long_command_lines(stage: &Stage<'_>) -> Result<()> {
    let children = LongLines::new(400)?;
    let tracer = Tracer::start(&["-d", "0.5"])?;
    intervals(4, Duration::from_millis(500));
    let report = stage.report(tracer)?;
    are_short(&report)?;
    for child in &children.0 {
        let lines = values(&report, child.id().into(), "cmdline")?;
        let [Some(line)] = lines[..] else {
            anyhow::bail!("{} command lines", lines.len());
        };
        let right = line.starts_with("sh -c read line c-long") && line.ends_with('…');
        ensure!(right && line.len() < 5000, "{} bytes", line.len());
    }
    let peak = peak_of_table()?;
    ensure!(peak < MOST_KIB, "{peak} KiB of memory");
    Ok(())
}

/// The most memory that a tracer used while it printed tables, in KiB.
fn peak_of_table() -> Result<u64> {
    let mut tracer = Command::new(BINARY)
        .args(["-b", "-d", "0.5"])
        .stdout(Stdio::null())
        .spawn()?;
    sleep(Duration::from_secs(5));
    let status = fs::read_to_string(format!("/proc/{}/status", tracer.id()));
    end(&mut tracer);
    let status = status?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
    Ok(peak.context("no VmHWM")?.parse()?)
}

/// On a hybrid system a runtime may move its containers in version 1 only. A child that is dead
/// before it is seen is its container's, too.
pub fn container_of_version_1(stage: &Stage<'_>) -> Result<()> {
    let hierarchy = Path::new("/sys/fs/cgroup/systemd");
    if !hierarchy.join("cgroup.procs").exists() {
        return Err(LeftOut::elsewhere("this system is not a hybrid one"));
    }
    drop(Cgroups::new()?);
    let id = "ab12".repeat(16);
    let docker = hierarchy.join("docker");
    let own = docker.join(&id);
    let had_docker = docker.exists();
    fs::create_dir_all(&own)?;
    let file = stage.file("container");
    let script = format!(
        "echo $$ > {}/cgroup.procs; for i in 1 2 3 4; do \
         dd if=/dev/zero of={file} bs=64k count=16 conv=fsync status=none; sleep 0.2; done; \
         sleep 1; \
         echo $$ > {}/cgroup.procs",
        own.display(),
        hierarchy.display()
    );
    let tracer = Tracer::start(&INTERVAL)?;
    let ran = run(Command::new("sh").args(["-c", &script]), stage.deadline);
    sleep(SHORT * 2);
    let report = stage.report(tracer)?;
    fs::remove_dir(&own)?;
    if !had_docker {
        fs::remove_dir(&docker)?;
    }
    ran?;
    let mut bytes = 0;
    for line in report.0.iter().flat_map(|now| &now.tasks) {
        let caused = line.maybe("block_write_bytes")?.unwrap_or(0);
        if line.text("comm")? == "dd" && caused != 0 {
            let container = line.field("container")?;
            ensure!(container == "docker:ab12ab12ab12", "{container}");
            bytes += caused;
        }
    }
    ensure!(bytes >= 4 * MIB, "{bytes} bytes");
    Ok(())
}
