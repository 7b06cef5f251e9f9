//! Limits of the environment: the program runs within them or says which one is too low. It
//! never panics, hangs or is killed.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{BINARY, NDJSON, complaint, is_root, json_lines, soon};

const MIB: u64 = 1 << 20;

/// What the kernel half needs is said to be this much, with the tags of 24 GiB of memory.
const MUCH: u64 = 160;

#[cfg(target_env = "gnu")]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
type Resource = libc::c_int;

/// Runs one interval with a soft and a hard limit.
fn run_with(resource: Resource, soft: u64, hard: Option<u64>) -> Result<Output> {
    let mut command = Command::new(BINARY);
    command.args(NDJSON).args(["-n", "1"]);
    let limit = move || {
        let mut limit = libc::rlimit {
            rlim_cur: soft,
            rlim_max: soft,
        };
        // SAFETY: both calls use a struct of this function, between fork and exec.
        let set = unsafe {
            let mut old = limit;
            libc::getrlimit(resource, &raw mut old);
            limit.rlim_max = hard.unwrap_or(old.rlim_max);
            libc::setrlimit(resource, &raw const limit)
        };
        match set {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: the closure makes two system calls and allocates nothing.
    unsafe { command.pre_exec(limit) };
    soon().output(&mut command)
}

/// Checks that a run has its rows, or says what limit is too low. True if it has them.
fn runs_or_says(output: &Output, limit: &str) -> Result<bool> {
    let said = complaint(output);
    ensure!(
        !said.contains("panicked") && !said.contains("backtrace"),
        "{said}"
    );
    match output.status.code() {
        Some(0) => {
            let lines = json_lines(output)?;
            let tasks = lines.iter().filter(|line| line["type"] == "task");
            ensure!(tasks.count() > 1, "no tasks: {lines:?}, {said}");
            let known = lines[0]["block_write_bytes"] != Value::Null;
            ensure!(
                known || !is_root() || said.contains(limit),
                "no word: {said}"
            );
            Ok(true)
        }
        Some(1) => {
            ensure!(said.contains(limit), "no word: {said}");
            ensure!(output.stdout.is_empty(), "data in spite of the failure");
            Ok(false)
        }
        _ => anyhow::bail!("{}: {said}", output.status),
    }
}

/// Regression: with 80 files it ended with 1, and with 15 it had no tasks.
#[test]
fn any_limit_of_open_files_is_enough_or_is_named() -> Result<()> {
    let limits = (5..=120).step_by(5).chain((140..=300).step_by(20));
    let mut ran = Vec::new();
    for limit in limits {
        let output = run_with(libc::RLIMIT_NOFILE, limit, Some(limit))?;
        let runs = runs_or_says(&output, "open files, but the limit");
        if runs.with_context(|| format!("{limit} files"))? {
            ran.push(limit);
        }
    }
    ensure!(ran.contains(&80) && !ran.contains(&5), "{ran:?}");
    Ok(())
}

#[test]
fn the_soft_limit_of_open_files_is_raised() -> Result<()> {
    let output = run_with(libc::RLIMIT_NOFILE, 20, None)?;
    ensure!(output.status.success(), "{}", complaint(&output));
    let lines = json_lines(&output)?;
    let known = lines[0]["block_write_bytes"] != Value::Null;
    ensure!(known || !is_root(), "no eBPF: {}", complaint(&output));
    Ok(())
}

/// Regression: it aborted with a backtrace.
#[test]
fn any_limit_of_address_space_is_enough_or_is_named() -> Result<()> {
    let mut ran = Vec::new();
    // Below 24 MiB, the dynamic linker fails.
    for limit in [24]
        .into_iter()
        .chain((32..=128).step_by(16))
        .chain([192, 256, 512])
    {
        let output = run_with(libc::RLIMIT_AS, limit * MIB, Some(limit * MIB))?;
        let runs = runs_or_says(&output, "address space, but the limit");
        if runs.with_context(|| format!("{limit} MiB"))? {
            ran.push(limit);
        }
    }
    ensure!(ran.contains(&64) && !ran.contains(&24), "{ran:?}");
    Ok(())
}

/// A memory cgroup. Dropping it removes it.
struct Memory(PathBuf);

impl Memory {
    /// `None` if no memory cgroup can be made here.
    fn new(bytes: u64) -> Result<Option<Memory>> {
        let name = format!("iotop-trace-test-{}", std::process::id());
        let (unified, version_1) = (
            Path::new("/sys/fs/cgroup"),
            Path::new("/sys/fs/cgroup/memory"),
        );
        let subtree = fs::read_to_string(unified.join("cgroup.subtree_control"));
        let delegated = subtree.is_ok_and(|text| text.contains("memory"));
        let (parent, file) = match delegated {
            true => (unified, "memory.max"),
            false => (version_1, "memory.limit_in_bytes"),
        };
        let cgroup = parent.join(name);
        if !is_root() || !parent.join("cgroup.procs").exists() || fs::create_dir(&cgroup).is_err() {
            return Ok(None);
        }
        let memory = Memory(cgroup);
        fs::write(memory.0.join(file), bytes.to_string())?;
        Ok(Some(memory))
    }

    fn run(&self) -> Result<Output> {
        let script = "echo $$ > \"$0\" && exec \"$@\"";
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .arg(self.0.join("cgroup.procs"));
        command.arg(BINARY).args(NDJSON).args(["-n", "1"]);
        soon().output(&mut command)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // The kernel may still be taking back the memory of the program that has ended.
        for _ in 0..50 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// Regression: in 30 MiB, it was killed.
#[test]
fn any_limit_of_a_memory_cgroup_is_enough_or_is_named() -> Result<()> {
    let (mut ran, mut with_ebpf) = (Vec::new(), Vec::new());
    for limit in [4, 8, 16, 30, 60, 90, 100, 110, 120, MUCH] {
        let Some(memory) = Memory::new(limit * MIB)? else {
            let required = std::env::var_os("IOTOP_TRACE_REQUIRE_EBPF").is_some();
            ensure!(
                !required,
                "eBPF is required, but no memory cgroup can be made"
            );
            eprintln!("ignored: no memory cgroup can be made");
            return Ok(());
        };
        let output = memory.run()?;
        let runs = runs_or_says(&output, "of memory, but ");
        if runs.with_context(|| format!("{limit} MiB"))? {
            ran.push(limit);
            let known = json_lines(&output)?[0]["block_write_bytes"] != Value::Null;
            with_ebpf.extend(known.then_some(limit));
        }
    }
    ensure!(ran.contains(&30) && !ran.contains(&4), "{ran:?}");
    ensure!(!with_ebpf.contains(&60), "{with_ebpf:?}");
    Ok(())
}
