//! The first process of a virtual machine: this binary, put there by `cargo xtask vm`.
//! It mounts what a system has mounted, loads the modules, runs what the plan says and
//! powers off.
//!
//! The kernel's own messages go to the first serial line, what the commands
//! print to the second.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{self, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::plan::{FILE, MARK, Plan, Said};

/// Selects version 1 of cgroups; on the kernel's command line, by systemd's name.
const CGROUP_V1: &str = "systemd.unified_cgroup_hierarchy=0";
/// Hides BTF, as on a kernel without it; on the kernel's command line.
const NO_BTF: &str = "iotop_trace.no_btf";

/// Whether this process is to be a virtual machine's init.
pub fn is_ours() -> bool {
    process::id() == 1 && is_guest()
}

/// Whether this is a virtual machine of `cargo xtask vm`.
pub fn is_guest() -> bool {
    Path::new(FILE).exists()
}

/// Runs the plan and powers off.
pub fn run() -> ! {
    if let Err(error) = live() {
        // If there is no second serial line, the first one still says why.
        eprintln!("{error:#}");
    }
    // SAFETY: sync(2) takes nothing; reboot(2) takes a number.
    unsafe {
        libc::sync();
        libc::reboot(libc::RB_POWER_OFF);
    }
    // Reached only if the kernel can't power off. It panics when init ends.
    process::exit(1)
}

fn live() -> Result<()> {
    mount("devtmpfs", "/dev", "devtmpfs", "")?;
    let mut line = OpenOptions::new().write(true).open("/dev/ttyS1")?;
    let end = work(&mut line);
    if let Err(error) = &end {
        say(&mut line, &Said::Failed(format!("{error:#}")))?;
    }
    say(&mut line, &Said::Over)?;
    // SAFETY: a descriptor we hold open: what is left goes out before the end.
    unsafe { libc::tcdrain(line.as_raw_fd()) };
    end
}

fn work(line: &mut File) -> Result<()> {
    for (source, target, kind, options) in [
        ("proc", "/proc", "proc", ""),
        ("sysfs", "/sys", "sysfs", ""),
        ("tmpfs", "/dev/shm", "tmpfs", "size=100%"),
        ("tmpfs", "/run", "tmpfs", ""),
    ] {
        mount(source, target, kind, options)?;
    }
    // No mount: the program under test may lie below /tmp.
    fs::create_dir_all("/tmp")?;
    let mut notes = vec![
        mount("tracefs", "/sys/kernel/tracing", "tracefs", ""),
        mount("securityfs", "/sys/kernel/security", "securityfs", ""),
        cgroups(),
    ];
    if asked_for(NO_BTF)? {
        notes.push(mount("tmpfs", "/sys/kernel/btf", "tmpfs", ""));
    }
    let plan = fs::read(FILE).with_context(|| format!("cannot read {FILE}"))?;
    let plan: Plan = serde_json::from_slice(&plan).with_context(|| FILE.to_owned())?;
    notes.extend(plan.modules.iter().map(|module| load(module)));
    notes.extend(plan.settings.iter().map(|(name, value)| set(name, value)));
    for problem in notes.into_iter().filter_map(Result::err) {
        say(line, &Said::Note(format!("{problem:#}")))?;
    }
    for (number, command) in plan.commands.iter().enumerate() {
        say(line, &Said::Begin(number))?;
        let status = to_end(&plan, command, line)?;
        say(line, &Said::End(number, status))?;
    }
    Ok(())
}

fn say(line: &mut File, said: &Said) -> io::Result<()> {
    // The newline first: a command may have left its last line without one.
    writeln!(line, "\n{MARK}{}", serde_json::to_string(said)?)
}

/// Whether the kernel's command line has this word.
fn asked_for(word: &str) -> io::Result<bool> {
    let line = fs::read_to_string("/proc/cmdline")?;
    Ok(line.split_whitespace().any(|one| one == word))
}

/// Version 2 with its controllers, or version 1 as systemd lays it out.
fn cgroups() -> Result<()> {
    let top = Path::new("/sys/fs/cgroup");
    if asked_for(CGROUP_V1)? {
        mount("tmpfs", "/sys/fs/cgroup", "tmpfs", "")?;
        for (name, kind, options) in [
            ("unified", "cgroup2", ""),
            ("memory", "cgroup", "memory"),
            ("blkio", "cgroup", "blkio"),
        ] {
            let dir = top.join(name);
            fs::create_dir(&dir)?;
            mount(kind, &dir.to_string_lossy(), kind, options)?;
        }
        return Ok(());
    }
    mount("cgroup2", "/sys/fs/cgroup", "cgroup2", "")?;
    let controllers = fs::read_to_string(top.join("cgroup.controllers"))?;
    for controller in controllers.split_whitespace() {
        let control = top.join("cgroup.subtree_control");
        fs::write(control, format!("+{controller}")).with_context(|| controller.to_owned())?;
    }
    Ok(())
}

fn mount(source: &str, target: &str, kind: &str, options: &str) -> Result<()> {
    fs::create_dir_all(target).with_context(|| format!("cannot create {target}"))?;
    let [source, place, fs, options] = [source, target, kind, options].map(CString::new);
    let (source, place, fs, options) = (source?, place?, fs?, options?);
    // SAFETY: four NUL-terminated strings that outlive the call.
    let done = unsafe {
        libc::mount(
            source.as_ptr(),
            place.as_ptr(),
            fs.as_ptr(),
            0,
            options.as_ptr().cast(),
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()).with_context(|| format!("cannot mount {target}")),
    }
}

/// Loads a module. The modules that it needs are loaded already.
fn load(path: &str) -> Result<()> {
    let module = File::open(path).with_context(|| format!("cannot open {path}"))?;
    // SAFETY: a descriptor we hold open and a NUL-terminated string.
    let done = unsafe {
        libc::syscall(
            libc::SYS_finit_module,
            module.as_raw_fd(),
            c"".as_ptr(),
            0 as libc::c_int,
        )
    };
    match (done, io::Error::last_os_error()) {
        (0, _) => Ok(()),
        (_, error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        (_, error) => Err(error).with_context(|| format!("cannot load {path}")),
    }
}

fn set(name: &str, value: &str) -> Result<()> {
    let file = Path::new("/proc/sys").join(name);
    fs::write(&file, value).with_context(|| format!("cannot write {value} to {}", file.display()))
}

/// Runs a command to its end, and reaps every other process that has ended.
fn to_end(plan: &Plan, command: &[String], line: &File) -> Result<i32> {
    let (program, arguments) = command.split_first().context("an empty command")?;
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(&plan.environment)
        .stdin(Stdio::null())
        .stdout(line.try_clone()?)
        .stderr(line.try_clone()?)
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    loop {
        let mut status = 0;
        // SAFETY: `status` outlives the call.
        let dead = unsafe { libc::waitpid(-1, &raw mut status, 0) };
        ensure!(dead > 0, io::Error::last_os_error());
        if u32::try_from(dead)? == child.id() {
            return Ok(match libc::WIFSIGNALED(status) {
                true => 128 + libc::WTERMSIG(status),
                false => libc::WEXITSTATUS(status),
            });
        }
    }
}
