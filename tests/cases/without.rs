//! Kernels and systems that lack something: everything else still works, and the
//! program and its doctor say what is missing.
//!
//! Some changes can't be undone, so these trials run only in virtual machines, after
//! all others.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::support::command::run;
use crate::support::deadline::Deadline;
use crate::support::device::{Device, Fs};
use crate::support::ndjson::Report;
use crate::support::process::Writer;
use crate::support::run::Run;
use crate::support::settings::Cgroup;
use crate::support::tracer::{BINARY, Tracer};

type Lack = fn() -> Result<()>;

/// In this order, because lockdown can't be lifted.
const ALL: [(&str, Lack); 6] = [
    ("btf", btf),
    ("capabilities", capabilities),
    ("kprobes", kprobes),
    ("cgroup_v2", cgroup_v2),
    ("lockdown_integrity", lockdown_integrity),
    ("lockdown_confidentiality", lockdown_confidentiality),
];

pub fn trials() -> Vec<Trial> {
    let trial = |(name, lack): (&str, Lack)| {
        Trial::test(format!("without::{name}"), move || {
            lack().map_err(|error| format!("{error:#}").into())
        })
    };
    ALL.map(trial).into()
}

const LEN: u64 = 8 << 20;
/// Never freed: it ends with the machine.
static DEVICE: OnceLock<Result<Device>> = OnceLock::new();
const NOBODY: u32 = 65534;

/// What a user sees of a writer of [`LEN`] bytes that exits before another task syncs
/// them.
struct Seen {
    report: Report,
    /// What the tracer printed on standard error.
    said: String,
    pid: u64,
    doctor: Value,
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

/// `settle` gets the writer's PID before the writer begins.
fn seen(settle: impl FnOnce(u64) -> Result<()>) -> Result<Seen> {
    let device = DEVICE.get_or_init(|| Device::create(Fs::Ext4));
    let device = device
        .as_ref()
        .map_err(|error| anyhow::anyhow!("{error:#}"))?;
    let run = Run::new(device, "without")?;
    let tracer = Tracer::start(&["-d", "0.5"])?;
    let mut writer = Writer::start(
        "gt-without",
        &["write", &run.file("file"), "0", &LEN.to_string()],
    )?;
    settle(writer.pid())?;
    writer.go()?;
    writer.done(soon())?;
    // The tracer looks a cgroup up in the next interval: the task must still exist
    // then.
    sleep(Duration::from_secs(1));
    let pid = writer.exit(soon())?;
    run.flush()?;
    let (report, said) = tracer.stop_and_tell("without")?;
    Ok(Seen {
        report,
        said,
        pid,
        doctor: doctor(&mut Command::new(BINARY))?,
    })
}

/// The doctor's facts. Checks that the doctor fails if eBPF is missing.
fn doctor(command: &mut Command) -> Result<Value> {
    let output = soon().output(command.args(["doctor", "--format", "json"]))?;
    let facts: Value = serde_json::from_slice(&output.stdout)?;
    let healthy = facts["ebpf"].as_bool().context("no field `ebpf`")?;
    ensure!(
        output.status.success() == healthy,
        "{}: {facts}",
        output.status
    );
    Ok(facts)
}

fn names(facts: &Value, word: &str) -> Result<()> {
    let missing = facts["missing"]
        .as_array()
        .context("no list of what is missing")?;
    let told = missing.iter().any(|line| line.to_string().contains(word));
    ensure!(told, "the doctor does not say {word}: {facts}");
    Ok(())
}

impl Seen {
    /// Checks that attribution is complete.
    fn is_whole(&self) -> Result<()> {
        let owners = self.report.owners()?;
        let owner = owners.get(&("gt-without", self.pid));
        let owner = owner.with_context(|| format!("no line of the writer; {}", self.said))?;
        ensure!(owner.written == LEN, "{} written", owner.written);
        ensure!(self.doctor["ebpf"] == true, "{}", self.doctor);
        Ok(())
    }

    /// Checks that there is no eBPF, for a reason that contains `word`; that the task's
    /// counters and vmstat are complete; and that what only eBPF reports is unknown,
    /// never 0.
    fn is_left_without_ebpf(&self, word: &str) -> Result<()> {
        ensure!(self.said.contains(word), "no {word} in {:?}", self.said);
        ensure!(self.doctor["ebpf"] == false, "{}", self.doctor);
        names(&self.doctor, word)?;
        let (mut written, mut exited, mut pgpgout) = (0, false, 0);
        for interval in &self.report.0 {
            for field in ["block_write_bytes", "attributed_write_bytes"] {
                ensure!(interval.system.maybe(field)?.is_none(), "{field} is known");
            }
            pgpgout += interval.system.number("pgpgout_bytes")?;
            for line in &interval.tasks {
                if line.number("pid")? != self.pid {
                    continue;
                }
                ensure!(
                    line.maybe("block_write_bytes")?.is_none(),
                    "bytes without eBPF"
                );
                written += line.maybe("write_bytes")?.unwrap_or(0);
                exited |= line.flag("exited")?;
            }
        }
        ensure!(written == LEN, "taskstats has {written} bytes of {LEN}");
        ensure!(exited, "nothing says that the writer has exited");
        ensure!(pgpgout >= LEN, "vmstat has {pgpgout} bytes");
        Ok(())
    }
}

fn mount(kind: &str, options: &str, target: &str) -> Result<()> {
    let mut mount = Command::new("mount");
    mount.args(["-t", kind, "-o", options, kind, target]);
    run(&mut mount, soon()).map(drop)
}

fn unmount(target: &str) -> Result<()> {
    run(Command::new("umount").arg(target), soon()).map(drop)
}

/// A kernel without BTF (no CONFIG_DEBUG_INFO_BTF).
fn btf() -> Result<()> {
    let place = "/sys/kernel/btf";
    mount("tmpfs", "size=4k", place)?;
    let seen = seen(|_| Ok(()));
    unmount(place)?;
    let seen = seen?;
    ensure!(seen.doctor["btf"] == false, "{}", seen.doctor);
    seen.is_left_without_ebpf("CONFIG_DEBUG_INFO_BTF")
}

/// A user without capabilities, while kernel.unprivileged_bpf_disabled is 1, which
/// can't be undone.
fn capabilities() -> Result<()> {
    fs::write("/proc/sys/kernel/unprivileged_bpf_disabled", "1")?;
    let nobody = || {
        let mut command = Command::new(BINARY);
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
        command
    };
    let facts = doctor(&mut nobody())?;
    ensure!(facts["unprivileged_bpf_disabled"] == 1, "{facts}");
    names(&facts, "CAP_BPF")?;
    let mut tracer = nobody();
    let output = soon().output(tracer.args(["--export", "ndjson", "-d", "0.5", "-n", "2"]))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", output.status);
    ensure!(said.contains("CAP_BPF"), "{said:?}");
    let lines: Vec<String> = String::from_utf8(output.stdout)?
        .lines()
        .map(str::to_owned)
        .collect();
    for interval in Report::parse(&lines)?.0 {
        interval.system.number("pgpgout_bytes")?;
        ensure!(interval.system.maybe("block_write_bytes")?.is_none());
        let own = interval
            .tasks
            .iter()
            .find(|line| line.text("comm").is_ok_and(|comm| comm == "iotop-trace"));
        let own = own.context("no line of our own task")?;
        own.number("read_char")?;
        ensure!(own.maybe("block_write_bytes")?.is_none());
    }
    // Root is not affected.
    seen(|_| Ok(()))?.is_whole()
}

/// Kprobes are off. The program uses none.
fn kprobes() -> Result<()> {
    let place = "/sys/kernel/debug";
    mount("debugfs", "rw", place)?;
    let switch = Path::new(place).join("kprobes/enabled");
    fs::write(&switch, "0")?;
    let seen = seen(|_| Ok(()));
    fs::write(&switch, "1")?;
    unmount(place)?;
    seen?.is_whole()
}

/// Only version 1 of cgroups: a task's unit comes from systemd's hierarchy.
fn cgroup_v2() -> Result<()> {
    let top = "/sys/fs/cgroup";
    let control = Path::new(top).join("cgroup.subtree_control");
    // There is no such file if version 2 is mounted beside version 1.
    if control.exists() {
        for controller in fs::read_to_string(&control)?.split_whitespace() {
            fs::write(&control, format!("-{controller}"))?;
        }
    }
    run(Command::new("umount").args(["--recursive", top]), soon())?;
    mount("tmpfs", "rw", top)?;
    // Controllers may stay with version 2 long after its cgroups are gone, so this
    // hierarchy has none.
    let hierarchy = Path::new(top).join("systemd");
    fs::create_dir(&hierarchy)?;
    mount("cgroup", "none,name=systemd", &hierarchy.to_string_lossy())?;
    let unit = Cgroup::new(&["/sys/fs/cgroup/systemd"], "gt-old.service")?;
    let seen = seen(|pid| unit.take(pid))?;
    seen.is_whole()?;
    for interval in &seen.report.0 {
        for line in &interval.tasks {
            if line.number("pid")? == seen.pid && line.field("cgroup")? == "/gt-old.service" {
                ensure!(line.field("unit")? == "gt-old.service");
                return Ok(());
            }
        }
    }
    anyhow::bail!("no line has the writer's cgroup")
}

fn lock_down(mode: &str) -> Result<()> {
    let file = "/sys/kernel/security/lockdown";
    fs::write(file, mode).with_context(|| format!("cannot write {mode} to {file}"))
}

/// Secure boot's mode: eBPF programs may still read the kernel's memory.
fn lockdown_integrity() -> Result<()> {
    lock_down("integrity")?;
    let seen = seen(|_| Ok(()))?;
    ensure!(seen.doctor["lockdown"] == "integrity", "{}", seen.doctor);
    seen.is_whole()
}

/// No eBPF program may read the kernel's memory.
fn lockdown_confidentiality() -> Result<()> {
    lock_down("confidentiality")?;
    let seen = seen(|_| Ok(()))?;
    ensure!(
        seen.doctor["lockdown"] == "confidentiality",
        "{}",
        seen.doctor
    );
    seen.is_left_without_ebpf("lockdown")
}
