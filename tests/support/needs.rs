//! What the trials need of the machine, and what to say where it is missing.

use std::env;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::command::run;
use super::deadline::Deadline;
use super::device::{Fs, own_mount_namespace};
use super::tracer::Tracer;

/// Set where the trials have to run (CI): what is missing is a failure, never a skip.
const REQUIRED: &str = "IOTOP_TRACE_REQUIRE_EBPF";
/// Set to run the writers without a tracer, to check the harness itself.
const TRUTH_ONLY: &str = "IOTOP_TRACE_TRUTH_ONLY";

pub fn required() -> bool {
    env::var_os(REQUIRED).is_some()
}

pub fn truth_only() -> bool {
    env::var_os(TRUTH_ONLY).is_some()
}

/// What this machine offers; asked once, when the first trial runs.
pub struct Needs {
    namespace: Result<()>,
    ebpf: OnceLock<Result<()>>,
}

impl Needs {
    /// To be called before any thread has been started.
    pub fn enter() -> Needs {
        Needs {
            namespace: own_mount_namespace().context("no mount namespace of our own (root?)"),
            ebpf: OnceLock::new(),
        }
    }

    /// An error that says why trials on this file system cannot run.
    pub fn check(&self, fs: Fs) -> Result<()> {
        if let Err(missing) = &self.namespace {
            anyhow::bail!("{missing:#}");
        }
        ensure!(
            Path::new("/dev/loop-control").exists(),
            "no /dev/loop-control: the kernel has no loop devices"
        );
        let mut mkfs = Command::new(fs.mkfs().get_program());
        run(mkfs.arg("-V"), Deadline::after(Duration::from_secs(10)))?;
        match self.ebpf.get_or_init(ebpf) {
            Err(missing) => anyhow::bail!("{missing:#}"),
            Ok(()) => Ok(()),
        }
    }
}

fn ebpf() -> Result<()> {
    if truth_only() {
        return Ok(());
    }
    let mut tracer = Tracer::start(&["-d", "0.1"])?;
    let works = tracer.has_ebpf();
    ensure!(works?, tracer.explain("the tracer runs without eBPF"));
    Ok(())
}
