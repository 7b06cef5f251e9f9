//! `iotop-trace doctor`: what this kernel offers, what is used of it and why,
//! and what is missing.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use caps::Capability;
use serde::Serialize;

use super::sources::{VMLINUX_BTF, attach, hidden_processes, without};
use crate::{
    causes::with_causes,
    cli::{Ebpf, ReportFormat},
    host::kernel::{
        self, capabilities::Capabilities, clock, counted::Counted, frames::Frames, hooks::On,
        sysctls::Sysctls,
    },
    host::{
        helper::Helper,
        sandbox::{self, Landlock, Needs, Protection, SandboxError},
    },
    probe::Probe,
    taskstats::TaskstatsSocket,
};

/// The capabilities that matter, with what each is for.
const CAPABILITIES: [(Capability, &str); 6] = [
    (Capability::CAP_BPF, "loading eBPF programs"),
    (
        Capability::CAP_PERFMON,
        "eBPF programs that read kernel memory",
    ),
    (Capability::CAP_SYS_ADMIN, "replaces both on any kernel"),
    (
        Capability::CAP_NET_ADMIN,
        "taskstats, if eBPF can't be used",
    ),
    (Capability::CAP_SYS_PTRACE, "other users' command lines"),
    (Capability::CAP_DAC_READ_SEARCH, "other users' files"),
];

/// The report.
#[derive(Debug, Serialize)]
pub struct Report {
    version: &'static str,
    kernel: Option<String>,
    btf: bool,
    tracefs: bool,
    lockdown: Option<String>,
    unprivileged_bpf_disabled: Option<u32>,
    task_delayacct: Option<bool>,
    capabilities: Vec<CapabilityLine>,
    ebpf: bool,
    hooks: Vec<Hook>,
    memory: Memory,
    task_counters: &'static str,
    taskstats_version: Option<u16>,
    limits: Vec<&'static str>,
    missing: Vec<String>,
    protection: Protection,
}

#[derive(Debug, Serialize)]
struct CapabilityLine {
    name: String,
    present: bool,
    purpose: &'static str,
}

#[derive(Debug, Serialize)]
struct Hook {
    program: &'static str,
    on: String,
    purpose: &'static str,
    why: &'static str,
    verified_instructions: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Memory {
    tags_bytes: Option<u64>,
    ram_bytes: Option<u64>,
    other_maps_bytes: Option<u64>,
}

/// Examines this machine. It loads and attaches the kernel half for a moment.
/// Then it gives up its rights as a run does, to tell what protects a run here.
///
/// # Errors
///
/// The kernel does not let it give up its rights.
pub fn examine(ebpf: &Ebpf, helper: &Helper) -> Result<Report, SandboxError> {
    let (proc_root, sys_root) = (Path::new("/proc"), Path::new("/sys"));
    let settings = Sysctls::read(proc_root, sys_root);
    let capabilities = Capabilities::effective();
    let frames = Frames::read(proc_root, clock::page_size()).ok();
    let mut missing = Vec::new();
    let mut limits = Vec::new();
    let mut hooks = Vec::new();
    let mut memory = Memory {
        tags_bytes: frames.map(|frames| frames.table_bytes()),
        ram_bytes: frames.map(|frames| frames.present * clock::page_size()),
        other_maps_bytes: None,
    };
    let attached = attach(ebpf, proc_root, sys_root, false, Some(helper));
    match &attached {
        Ok(probe) => {
            hooks = attached_hooks(probe);
            limits = {
                let attached = probe.attached().iter().map(|one| one.hook.on);
                let refused = probe.refused().iter().map(|one| one.hook.on);
                let functions = attached.chain(refused).any(On::is_function);
                kernel::limits::of(probe.layout(), functions, probe.whole_folios())
            };
            let refused = probe.refused().iter().take(1);
            missing.extend(refused.map(|one| without(one).to_string()));
            let all = map_memory(proc_root);
            memory.other_maps_bytes = all
                .zip(memory.tags_bytes)
                .map(|(all, tags)| all - tags.min(all));
        }
        Err(error) => missing.push(format!("attribution (eBPF): {}", with_causes(error))),
    }
    let taskstats = TaskstatsSocket::open().and_then(|mut socket| {
        let own = socket.query(&[std::process::id()])?;
        Ok(own.first().map(|(_, stats)| stats.version))
    });
    let task_counters = match (&attached, &taskstats) {
        (Ok(_), _) => "an eBPF iterator over all tasks",
        (Err(_), Ok(_)) => "taskstats",
        (Err(_), Err(error)) => {
            missing.push(format!(
                "other users' task counters, SWAPIN and IO (taskstats): {}",
                with_causes(error)
            ));
            "/proc, for our own tasks only"
        }
    };
    let counted = match (&attached, &taskstats) {
        (Ok(probe), _) => probe.counted(),
        (Err(_), Ok(_)) => Counted::by_proc(proc_root, &settings),
        (Err(_), Err(_)) => Counted::NONE,
    };
    missing.extend(hidden_processes(proc_root, attached.is_ok()).map(|one| one.to_string()));
    if attached.is_ok() || taskstats.is_ok() {
        missing.extend(counted.unknown().map(str::to_owned));
    }
    if counted.delays && !settings.counts_delays() {
        missing.push(
            "SWAPIN and IO: delay accounting is off (kernel.task_delayacct is 0); `sysctl \
             kernel.task_delayacct=1` turns it on for tasks that start afterwards, `delayacct` on \
             the kernel's command line for all tasks"
                .to_owned(),
        );
    }
    let needs = Needs {
        maps: attached.is_ok(),
        taskstats: attached.is_err() && taskstats.is_ok(),
        traced_files: (attached.is_err() && taskstats.is_err()) || Needs::traced_files(proc_root),
        priorities: true,
    };
    let tracefs = settings.tracefs;
    let btf = sys_root.join(VMLINUX_BTF).exists();
    let protection = sandbox::enter(needs, None)?;
    Ok(Report {
        version: env!("CARGO_PKG_VERSION"),
        kernel: settings.release,
        btf,
        tracefs,
        lockdown: settings.lockdown,
        unprivileged_bpf_disabled: settings.unprivileged_bpf_disabled,
        task_delayacct: settings.task_delayacct,
        capabilities: CAPABILITIES
            .iter()
            .map(|(capability, purpose)| CapabilityLine {
                name: capability.to_string(),
                present: capabilities.has(*capability),
                purpose,
            })
            .collect(),
        ebpf: attached.is_ok(),
        hooks,
        memory,
        task_counters,
        taskstats_version: taskstats.ok().flatten(),
        limits,
        missing,
        protection,
    })
}

fn attached_hooks(probe: &Probe) -> Vec<Hook> {
    let hook = |attached: &crate::probe::Attached| Hook {
        program: attached.hook.program,
        on: attached.hook.on.to_string(),
        purpose: attached.hook.purpose,
        why: attached.hook.why,
        verified_instructions: attached.verified_instructions,
    };
    probe.attached().iter().map(hook).collect()
}

/// Memory of all BPF maps of this process (`memlock` of their fdinfo).
fn map_memory(proc_root: &Path) -> Option<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(proc_root.join("self/fdinfo")).ok()?.flatten() {
        let Ok(text) = fs::read_to_string(entry.path()) else {
            continue;
        };
        if text.contains("map_type:") {
            let line = text.lines().find_map(|line| line.strip_prefix("memlock:"));
            sum += line
                .and_then(|number| number.trim().parse::<u64>().ok())
                .unwrap_or(0);
        }
    }
    Some(sum)
}

impl Report {
    /// Whether writes can be attributed.
    pub fn is_healthy(&self) -> bool {
        self.ebpf
    }

    /// Prints the report.
    ///
    /// # Errors
    ///
    /// The output can't be written.
    pub fn print(&self, format: ReportFormat, out: &mut impl Write) -> io::Result<()> {
        match format {
            ReportFormat::Json => {
                serde_json::to_writer_pretty(&mut *out, self)?;
                writeln!(out)
            }
            ReportFormat::Text => self.print_text(out),
        }
    }

    fn print_protection(&self, out: &mut impl Write) -> io::Result<()> {
        let Protection {
            capabilities,
            bounding_set_empty,
            seccomp,
            landlock,
            ..
        } = &self.protection;
        let kept = match capabilities.is_empty() {
            true => "none".to_owned(),
            false => capabilities.join(" "),
        };
        let regained = match bounding_set_empty {
            true => "no (no_new_privs, empty bounding set, locked securebits)",
            false => "no (no_new_privs; emptying the bounding set takes CAP_SETPCAP)",
        };
        let calls = match seccomp {
            true => "only those of the sampling loop (seccomp)",
            false => "all: this kernel has no CONFIG_SECCOMP_FILTER",
        };
        let files = match landlock {
            Landlock::On => "reads only /proc, /sys and the time zone (Landlock)",
            Landlock::Missing => {
                "reads what its user may, writes none (seccomp): this kernel has no Landlock, or \
                 lacks it in lsm="
            }
            Landlock::Unfit => {
                "reads what its user may, writes none (seccomp): Landlock would hide other \
                 processes here"
            }
        };
        writeln!(out, "\nprotection of a run, once everything is open")?;
        for (name, value) in [
            ("capabilities kept", kept.as_str()),
            ("others come back", regained),
            ("system calls", calls),
            ("files", files),
        ] {
            writeln!(out, "  {name:<20}{value}")?;
        }
        Ok(())
    }

    fn print_text(&self, out: &mut impl Write) -> io::Result<()> {
        let yes = |yes| if yes { "yes" } else { "no" };
        let unknown = || "unknown".to_owned();
        writeln!(out, "iotop-trace {}", self.version)?;
        writeln!(
            out,
            "kernel              {}",
            self.kernel.as_deref().unwrap_or("unknown")
        )?;
        writeln!(
            out,
            "BTF                 {} (/sys/{VMLINUX_BTF})",
            yes(self.btf)
        )?;
        writeln!(
            out,
            "tracefs             {} (not needed)",
            yes(self.tracefs)
        )?;
        writeln!(
            out,
            "lockdown            {}",
            self.lockdown.as_deref().unwrap_or("not built in")
        )?;
        let unprivileged = self
            .unprivileged_bpf_disabled
            .map_or_else(unknown, |n| n.to_string());
        writeln!(
            out,
            "unprivileged bpf    kernel.unprivileged_bpf_disabled = {unprivileged}"
        )?;
        let delays = self
            .task_delayacct
            .map_or("not on this kernel".to_owned(), |on| {
                u32::from(on).to_string()
            });
        writeln!(out, "delay accounting    kernel.task_delayacct = {delays}")?;
        let taskstats = self
            .taskstats_version
            .map_or("no".to_owned(), |v| format!("version {v}"));
        writeln!(out, "taskstats           {taskstats}")?;
        writeln!(out, "task counters from  {}", self.task_counters)?;
        writeln!(out, "\ncapabilities")?;
        for line in &self.capabilities {
            writeln!(
                out,
                "  {:<22}{:<5}{}",
                line.name,
                yes(line.present),
                line.purpose
            )?;
        }
        self.print_protection(out)?;
        writeln!(out, "\nhooks")?;
        if self.hooks.is_empty() {
            writeln!(out, "  none")?;
        }
        for hook in &self.hooks {
            let verified = hook
                .verified_instructions
                .map_or_else(unknown, |n| n.to_string());
            writeln!(
                out,
                "  {:<35}{} ({verified} instructions verified)",
                hook.on, hook.purpose
            )?;
            writeln!(out, "  {:<35}{}", "", hook.why)?;
        }
        writeln!(out, "\nmemory in the kernel")?;
        let mib = |bytes: Option<u64>| {
            bytes.map_or("none".to_owned(), |b| {
                format!("{:.1} MiB", b as f64 / 1048576.0)
            })
        };
        let share = self
            .memory
            .tags_bytes
            .zip(self.memory.ram_bytes)
            .filter(|(_, ram)| *ram != 0)
            .map_or(String::new(), |(tags, ram)| {
                format!(
                    ", {:.2} % of {}",
                    tags as f64 * 100.0 / ram as f64,
                    mib(Some(ram))
                )
            });
        writeln!(
            out,
            "  page tags           {}{share}",
            mib(self.memory.tags_bytes)
        )?;
        writeln!(
            out,
            "  everything else     {}",
            mib(self.memory.other_maps_bytes)
        )?;
        let limits = self.limits.iter().map(|line| (*line).to_owned()).collect();
        for (heading, lines) in [
            ("limits of this kernel", &limits),
            ("missing", &self.missing),
        ] {
            writeln!(out, "\n{heading}")?;
            if lines.is_empty() {
                writeln!(out, "  nothing")?;
            }
            for line in lines {
                writeln!(out, "  {line}")?;
            }
        }
        Ok(())
    }
}
