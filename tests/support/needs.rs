//! What the trials need of the machine, and the messages if it is missing.

use std::env;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::command::run;
use super::deadline::{Deadline, slower};
use super::device::{Fs, own_mount_namespace};
use super::tracer::{BINARY, Tracer};
use super::trial::{LeftOut, REQUIRED, required};

/// Set to run the writers without a tracer, to check the harness itself.
const TRUTH_ONLY: &str = "IOTOP_TRACE_TRUTH_ONLY";

const LOOP_CONTROL: &str = "/dev/loop-control";

pub fn truth_only() -> bool {
    env::var_os(TRUTH_ONLY).is_some()
}

/// Whether the kernel has the types of a module, if it is one (since 5.11).
pub fn has_types_of(module: &str) -> bool {
    let is_module = Path::new("/sys/module")
        .join(module)
        .join("initstate")
        .exists();
    !is_module || Path::new("/sys/kernel/btf").join(module).exists()
}

/// Whether the machine is emulated. Its device is no slower than its writers, and its
/// tasks are switched at any place, so what depends on either may not happen.
pub fn emulated() -> bool {
    slower() > 1
}

/// The doctor's facts about this machine. Asked once, because the doctor loads every
/// program.
fn facts() -> Result<&'static Value> {
    static FACTS: OnceLock<Value> = OnceLock::new();
    if let Some(known) = FACTS.get() {
        return Ok(known);
    }
    let mut doctor = Command::new(BINARY);
    let facts = run(doctor.args(["doctor", "--format", "json"]), soon())?;
    let facts = serde_json::from_str(&facts)?;
    Ok(FACTS.get_or_init(|| facts))
}

fn runs(facts: &Value, programs: &[&str]) -> Result<bool> {
    let hooks = facts["hooks"].as_array().context("no hooks")?;
    let wanted = |hook: &Value| programs.iter().any(|&name| hook["program"] == name);
    Ok(hooks.iter().any(wanted))
}

/// Whether the kernel can preempt a task inside a tracepoint (7.x). A program there
/// misses the event of another task.
pub fn preemptible() -> Result<bool> {
    runs(facts()?, &["bio_submitted_again"])
}

/// Whether the doctor says that the kernel accepts a program on a function.
pub fn functions_can_be_hooked() -> Result<bool> {
    let facts = facts()?;
    let taken = runs(facts, &["bio_offered", "bio_held_back"])?;
    let told = facts["missing"]
        .as_array()
        .context("no list of what is missing")?;
    let told = told
        .iter()
        .any(|line| line.to_string().contains("blk_throtl_bio"));
    ensure!(
        taken != told,
        "the doctor has to say one or the other: {facts}"
    );
    // All kernels of the matrix accept it.
    ensure!(taken || !emulated(), "refused here: {facts}");
    Ok(taken)
}

/// What this machine offers; determined once, when the first trial runs.
pub struct Needs {
    namespace: Result<()>,
    /// A lock, held for as long as this process lives.
    alone: OnceLock<Result<File>>,
    ebpf: OnceLock<Result<()>>,
}

impl Needs {
    /// Must be called before any thread is started.
    pub fn enter() -> Needs {
        Needs {
            namespace: own_mount_namespace().context("no mount namespace of our own (root?)"),
            alone: OnceLock::new(),
            ebpf: OnceLock::new(),
        }
    }

    /// Fails with [`LeftOut`] if trials on this file system can't run.
    pub fn check(&self, fs: Fs) -> Result<()> {
        self.look(fs)
            .map_err(|error| LeftOut::missing(format!("{error:#}")))
    }

    fn look(&self, fs: Fs) -> Result<()> {
        if let Err(missing) = &self.namespace {
            anyhow::bail!("{missing:#}");
        }
        let mut mkfs = Command::new(fs.mkfs().get_program());
        run(mkfs.arg("-V"), soon())?;
        kernel_has(fs.name())?;
        if let Err(missing) = self.alone.get_or_init(alone) {
            anyhow::bail!("{missing:#}");
        }
        match self.ebpf.get_or_init(ebpf) {
            Err(missing) => anyhow::bail!("{missing:#}"),
            Ok(()) => Ok(()),
        }
    }
}

/// A kernel feature that some trials need besides a file system to write to. If the
/// kernel lacks it, they are ignored, required or not: the kernels of the virtual
/// machines have all features.
#[derive(Clone, Copy)]
pub enum Feature {
    /// A file system without a device.
    Fs(&'static str),
    /// A target of the device mapper.
    Target(&'static str),
}

impl Feature {
    /// Fails with [`LeftOut`] if the kernel lacks it.
    pub fn check(self) -> Result<()> {
        self.look()
            .map_err(|error| LeftOut::elsewhere(format!("{error:#}")))
    }

    fn look(self) -> Result<()> {
        match self {
            Feature::Fs(name) => kernel_has(name),
            Feature::Target(name) => {
                let _ = run(Command::new("modprobe").arg(format!("dm_{name}")), soon());
                let misc = fs::read_to_string("/proc/misc")?;
                let mapper = misc.contains("device-mapper");
                ensure!(mapper, "the kernel has no device mapper");
                // If dmsetup is missing, that is reported elsewhere.
                let targets = run(Command::new("dmsetup").arg("targets"), soon());
                let known = targets.map(|all| all.lines().any(|line| line.starts_with(name)));
                let known = known.unwrap_or(true);
                ensure!(known, "the kernel's device mapper has no target {name}");
                Ok(())
            }
        }
    }
}

/// Fails with [`LeftOut`] if the program is not installed.
pub fn program(name: &str) -> Result<()> {
    let found = run(Command::new(name).arg("--version"), soon());
    found
        .map(drop)
        .map_err(|error| LeftOut::missing(format!("{error:#}")))
}

fn kernel_has(fs: &str) -> Result<()> {
    let known = || -> Result<bool> {
        let all = fs::read_to_string("/proc/filesystems")?;
        Ok(all.split_whitespace().any(|word| word == fs))
    };
    if !known()? {
        // If this loads the module, the list shows it.
        let _ = run(Command::new("modprobe").arg(fs), soon());
    }
    ensure!(known()?, "the kernel does not know {fs}");
    Ok(())
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

/// Waits for other runs of these trials to end: their sync(2) would write back our
/// pages.
fn alone() -> Result<File> {
    let file = File::open(LOOP_CONTROL).context("the kernel has no loop devices")?;
    let deadline = Deadline::after(Duration::from_secs(600));
    // SAFETY: a file descriptor we hold open.
    while unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
        ensure!(!deadline.left().is_zero(), "another run does not end");
        sleep(Duration::from_millis(200));
    }
    Ok(file)
}

fn ebpf() -> Result<()> {
    if truth_only() {
        ensure!(
            !required(),
            "{TRUTH_ONLY} leaves out what {REQUIRED} asks for"
        );
        return Ok(());
    }
    let mut tracer = Tracer::start(&["-d", "0.1"])?;
    let works = tracer.has_ebpf();
    ensure!(works?, tracer.explain("the tracer runs without eBPF"));
    Ok(())
}
