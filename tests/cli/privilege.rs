//! What a run keeps of root's rights, read from the kernel while it runs.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::fs::{CWD, Mode, XattrFlags, mkfifoat, setxattr};
use serde_json::Value;
use tempfile::TempDir;

use super::deadline::lines_of;
use super::{BINARY, NDJSON, complaint, is_root, run, soon};

const CAP_DAC_READ_SEARCH: u64 = 1 << 2;
const CAP_NET_ADMIN: u64 = 1 << 12;
const CAP_BPF: u64 = 1 << 39;

/// A run that has printed its first interval. Dropping it ends it.
struct Running {
    child: Child,
    /// While this is held, its output is read: a closed pipe would end it.
    _lines: Receiver<String>,
}

impl Running {
    fn start(command: &mut Command) -> Result<Running> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let lines = lines_of(stdout);
        let first = soon().line(&lines);
        let running = Running {
            child,
            _lines: lines,
        };
        ensure!(first?.is_some(), "no line at all");
        Ok(running)
    }

    /// The status of each of its threads and of its helper, by name.
    fn tasks(&self) -> Result<Vec<Status>> {
        let own = self.child.id().to_string();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children"))?;
        let mut tasks = Vec::new();
        for pid in children.split_whitespace().chain([own.as_str()]) {
            for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
                // A thread may have ended since.
                tasks.extend(Status::read(&entry?.path()).ok());
            }
        }
        Ok(tasks)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a task's status (proc_pid_status(5)).
struct Status(BTreeMap<String, String>);

impl Status {
    fn read(task: &Path) -> Result<Status> {
        let text = fs::read_to_string(task.join("status"))?;
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let lines = lines.map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        Ok(Status(lines.collect()))
    }

    fn text(&self, name: &str) -> Result<&str> {
        let value = self.0.get(name).with_context(|| format!("no {name}"))?;
        Ok(value)
    }

    fn set(&self, name: &str) -> Result<u64> {
        Ok(u64::from_str_radix(self.text(name)?, 16)?)
    }

    /// Checks that the task has no capability but these, and no way to another.
    fn check(&self, allowed: u64) -> Result<()> {
        let name = self.text("Name")?;
        for set in ["CapInh", "CapAmb", "CapBnd"] {
            ensure!(self.set(set)? == 0, "{name}: {set} {}", self.text(set)?);
        }
        for set in ["CapPrm", "CapEff"] {
            let kept = self.set(set)?;
            ensure!(kept & !allowed == 0, "{name}: {set} {kept:x}");
        }
        ensure!(self.text("NoNewPrivs")? == "1", "{name}: NoNewPrivs");
        ensure!(self.text("Seccomp")? == "2", "{name}: Seccomp");
        Ok(())
    }
}

#[test]
fn every_thread_has_only_the_capabilities_that_it_needs() -> Result<()> {
    if !is_root() {
        eprintln!("ignored: only root has capabilities to give up");
        return Ok(());
    }
    for (more, allowed, threads) in [
        (&[][..], CAP_BPF | CAP_DAC_READ_SEARCH, &["writer"][..]),
        (
            &["--no-ebpf"],
            CAP_NET_ADMIN | CAP_DAC_READ_SEARCH,
            &["writer", "exit-records"],
        ),
    ] {
        let running = Running::start(Command::new(BINARY).args(NDJSON).args(more))?;
        let tasks = running.tasks()?;
        let named = |name: &str| {
            tasks
                .iter()
                .find(|task| task.text("Name").ok() == Some(name))
        };
        for task in &tasks {
            task.check(allowed).with_context(|| format!("{more:?}"))?;
        }
        let main = named("iotop-trace").context("no main thread")?;
        ensure!(
            main.set("CapEff")? == allowed,
            "{more:?}: less than it needs"
        );
        let helper = named("iotop-helper").context("no helper")?;
        ensure!(helper.set("CapPrm")? == 0, "{more:?}: the helper");
        for thread in threads {
            ensure!(named(thread).is_some(), "{more:?}: no thread {thread}");
        }
    }
    Ok(())
}

#[test]
fn the_helper_is_the_user_behind_sudo() -> Result<()> {
    if !is_root() {
        eprintln!("ignored: only root can be somebody else");
        return Ok(());
    }
    let mut command = Command::new(BINARY);
    command.args(NDJSON).arg("--no-ebpf");
    command.env("SUDO_UID", "65534").env("SUDO_GID", "65533");
    let running = Running::start(&mut command)?;
    for task in running.tasks()? {
        let of = |name| -> Result<Vec<String>> {
            let ids = task.text(name)?.split_whitespace();
            Ok(ids.map(str::to_owned).collect())
        };
        let (uid, gid) = match task.text("Name")? {
            "iotop-helper" => ("65534", "65533"),
            _ => ("0", "0"),
        };
        ensure!(of("Uid")?.iter().all(|id| id == uid), "{:?}", of("Uid")?);
        ensure!(of("Gid")?.iter().all(|id| id == gid), "{:?}", of("Gid")?);
        if uid != "0" {
            ensure!(!of("Groups")?.contains(&"0".to_owned()), "root's group");
        }
    }
    Ok(())
}

/// However the program ends, the helper ends too.
#[test]
fn a_killed_run_leaves_no_helper() -> Result<()> {
    let mut running = Running::start(Command::new(BINARY).args(NDJSON).arg("--no-ebpf"))?;
    let own = running.child.id();
    let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children"))?;
    let helper = children.trim().to_owned();
    ensure!(!helper.is_empty(), "no helper");
    running.child.kill()?;
    running.child.wait()?;
    let deadline = soon();
    let lives = || {
        let status = fs::read_to_string(format!("/proc/{helper}/status")).unwrap_or_default();
        status.contains("iotop-helper") && !status.contains("zombie")
    };
    while lives() {
        ensure!(!deadline.left().is_zero(), "the helper still runs");
        sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// With file capabilities the program has rights that its user does not have. The user's files
/// are not opened with them, and no thread can get others.
#[test]
fn file_capabilities_open_none_of_the_users_files() -> Result<()> {
    if !is_root() {
        eprintln!("ignored: only root can give capabilities to a file");
        return Ok(());
    }
    const CAP_PERFMON: u64 = 1 << 38;
    let given = CAP_BPF | CAP_PERFMON | CAP_DAC_READ_SEARCH;
    let directory = TempDir::new()?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    let binary = directory.path().join("iotop-trace");
    fs::copy(BINARY, &binary)?;
    // struct vfs_cap_data of include/uapi/linux/capability.h: version 2, effective, then the
    // permitted and inheritable sets, low words first.
    let words = [0x0200_0001, given as u32, 0, (given >> 32) as u32, 0];
    let value: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    setxattr(&binary, "security.capability", &value, XattrFlags::empty())?;
    let as_nobody = |args: &[&str]| {
        let mut command = Command::new(&binary);
        command.uid(65534).gid(65534).current_dir("/").args(args);
        command
    };
    let running = Running::start(&mut as_nobody(&NDJSON))?;
    for task in running.tasks()? {
        let name = task.text("Name")?;
        let kept = task.set("CapPrm")?;
        let allowed = match name {
            "iotop-helper" => 0,
            _ => CAP_BPF | CAP_DAC_READ_SEARCH,
        };
        ensure!(kept & !allowed == 0, "{name}: {kept:x}");
        ensure!(task.text("NoNewPrivs")? == "1", "{name}: NoNewPrivs");
        ensure!(task.text("Seccomp")? == "2", "{name}: Seccomp");
        if name == "iotop-trace" {
            ensure!(kept == allowed, "the kernel half does not run: {kept:x}");
        }
    }
    drop(running);
    let secret = directory.path().join("secret.o");
    fs::write(&secret, "SECRET")?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
    let secret = secret.to_str().context("a plain path")?;
    let output = soon().output(&mut as_nobody(&["-b", "-n", "1", "--ebpf-object", secret]))?;
    let said = complaint(&output);
    ensure!(
        said.contains("Permission denied"),
        "{}: {said}",
        output.status
    );
    Ok(())
}

#[test]
fn an_object_file_is_read_with_the_rights_of_the_user() -> Result<()> {
    if !is_root() {
        eprintln!("ignored: only root can give rights");
        return Ok(());
    }
    let directory = TempDir::new()?;
    let secret = directory.path().join("secret.o");
    fs::write(&secret, "SECRET")?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
    let file = secret.to_str().context("a plain path")?;
    let as_user = |path: &str| {
        let mut command = Command::new(BINARY);
        command.args(["-b", "-n", "1", "-d", "0.1", "--ebpf-object", path]);
        command.env("SUDO_UID", "65534").env("SUDO_GID", "65534");
        soon().output(&mut command)
    };
    let output = as_user(file)?;
    let said = complaint(&output);
    ensure!(output.status.code() == Some(1), "{}: {said}", output.status);
    ensure!(said.contains("Permission denied"), "{said}");
    // Root itself may read it, but it is no object. What is in it is not shown.
    let output = run(&["-b", "-n", "1", "--ebpf-object", file])?;
    let said = complaint(&output);
    ensure!(output.status.code() == Some(1), "{}: {said}", output.status);
    ensure!(!said.contains("SECRET"), "{said}");
    // A pipe blocks nothing, and a device without an end fills nothing.
    let pipe = directory.path().join("pipe");
    mkfifoat(CWD, &pipe, Mode::RUSR)?;
    let pipe = pipe.to_str().context("a plain path")?;
    for path in [pipe, "/dev/zero"] {
        let output = run(&["-b", "-n", "1", "--ebpf-object", path])?;
        let said = complaint(&output);
        ensure!(said.contains("not a regular file"), "{path}: {said}");
    }
    Ok(())
}

#[test]
fn the_doctor_says_which_protection_is_on() -> Result<()> {
    if !is_root() {
        eprintln!("ignored: only root has rights to give up");
        return Ok(());
    }
    let output = run(&["doctor", "--format", "json"])?;
    let facts: Value =
        serde_json::from_slice(&output.stdout).with_context(|| complaint(&output))?;
    let protection = &facts["protection"];
    for name in ["no_new_privs", "bounding_set_empty", "seccomp"] {
        ensure!(protection[name] == true, "{name}: {protection}");
    }
    // SAFETY: with this flag the call only returns a version.
    let landlock = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1) } > 0;
    let said = if landlock { "on" } else { "missing" };
    ensure!(protection["landlock"] == said, "{protection}");
    let text = String::from_utf8(run(&["doctor"])?.stdout)?;
    for words in ["protection of a run", "CAP_BPF", "seccomp", "Landlock"] {
        ensure!(text.contains(words), "no {words}: {text}");
    }
    Ok(())
}

/// A user without root has nothing to give up, and is limited all the same.
#[test]
fn a_run_without_root_is_limited_too() -> Result<()> {
    let directory = TempDir::new()?;
    let binary = directory.path().join("iotop-trace");
    let mut command = match is_root() {
        true => {
            fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
            fs::copy(BINARY, &binary)?;
            let mut command = Command::new(&binary);
            command.uid(65534).gid(65534).current_dir("/");
            command
        }
        false => Command::new(BINARY),
    };
    let running = Running::start(command.args(NDJSON))?;
    for task in running.tasks()? {
        let name = task.text("Name")?;
        ensure!(task.text("NoNewPrivs")? == "1", "{name}: NoNewPrivs");
        ensure!(task.text("Seccomp")? == "2", "{name}: Seccomp");
        ensure!(task.set("CapPrm")? == 0, "{name}: capabilities");
    }
    Ok(())
}

/// Each sentence of docs/security.md names its test: the tests have to be there.
#[test]
fn the_security_page_names_tests_that_exist() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/security.md"))?;
    let mut sources = String::new();
    let mut directories = vec![root.join("tests"), root.join("iotop-user/src")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            match path.extension() {
                _ if path.is_dir() => directories.push(path),
                Some(extension) if extension == "rs" => sources += &fs::read_to_string(&path)?,
                _ => {}
            }
        }
    }
    // Names of tests have many words; names of the kernel's have few.
    let is_word = |name: &str| name.chars().all(|c| c == '_' || c.is_ascii_lowercase());
    let is_test = |name: &&str| name.matches('_').count() >= 3 && is_word(name);
    let named: Vec<&str> = page.split('`').skip(1).step_by(2).filter(is_test).collect();
    ensure!(named.len() > 20, "{named:?}");
    for name in named {
        let found = [format!("fn {name}("), format!("\"{name}\"")];
        ensure!(
            found.iter().any(|one| sources.contains(one)),
            "docs/security.md names {name}, and there is no such test"
        );
    }
    Ok(())
}
