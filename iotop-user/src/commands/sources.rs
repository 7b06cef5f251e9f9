//! Opens the sources. A source that can't be opened is left out, and a notice says so.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    causes::{root, with_causes},
    cli::Ebpf,
    collect::Sources,
    host::{
        Notice,
        helper::Helper,
        hidepid,
        kernel::{
            btf::{Btf, BtfError},
            capabilities::Capabilities,
            clock,
            counted::Counted,
            frames::{Frames, FramesError},
            hooks::{self, NoTracepoint},
            layout::{self, LayoutError, Machine},
            memory,
            reasons::Reasons,
            sysctls::Sysctls,
            uevents::BlockEvents,
        },
        room::{self, Need, Shortage},
        sandbox::{self, Needs, Protection, SandboxError},
    },
    probe::{Kernel, OBJECT, Probe, ProbeError, Refused},
    taskstats::{ExitListener, TaskstatsError, TaskstatsSocket},
};

/// The kernel's own BTF (5.4, CONFIG_DEBUG_INFO_BTF).
pub const VMLINUX_BTF: &str = "kernel/btf/vmlinux";

/// The file systems whose types are read, where they are loaded modules (5.11).
const MODULES: [&str; 4] = ["btrfs", "ext4", "jbd2", "xfs"];

/// The sources, and what is missing among them.
pub struct Opened {
    /// What the sampling loop needs to read them.
    pub needs: Needs,
    /// What could be opened.
    pub sources: Sources,
    /// What could not be opened, why, and what to do about it.
    pub notices: Vec<Notice>,
    /// The tasks' numbers are valid in our own /proc: we are not in a PID namespace
    /// other than the first.
    pub own_pids: bool,
}

impl Opened {
    /// Gives up all rights but those that the sampling loop needs, then starts the threads that
    /// sampling needs.
    ///
    /// # Errors
    ///
    /// The kernel refused.
    pub fn give_up(&mut self) -> Result<Protection, GiveUpError> {
        self.give_up_but(None)
    }

    /// The same, but files in this directory may be written and removed.
    ///
    /// # Errors
    ///
    /// The kernel refused.
    pub fn give_up_but(&mut self, directory: Option<&Path>) -> Result<Protection, GiveUpError> {
        let protection = sandbox::enter(self.needs, directory)?;
        if let Some(exits) = &mut self.sources.exits {
            exits.start()?;
        }
        Ok(protection)
    }
}

/// Why a run can't give up its rights.
#[derive(Debug, thiserror::Error)]
pub enum GiveUpError {
    /// A right can't be given up.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The thread that receives exit records can't be started.
    #[error(transparent)]
    Exits(#[from] TaskstatsError),
}

/// Why there is no kernel half.
#[derive(Debug, thiserror::Error)]
pub enum NoKernelHalf {
    /// The user switched it off.
    #[error("switched off with --no-ebpf")]
    Off,
    /// The process has no permission to load it.
    #[error("it needs CAP_BPF and CAP_PERFMON; run it with sudo")]
    NotPermitted,
    /// The kernel has no BTF, or one that can't be read.
    #[error("{0}; it needs a kernel with CONFIG_DEBUG_INFO_BTF")]
    Btf(#[from] BtfError),
    /// The kernel lacks something that the kernel half needs.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The kernel lacks a tracepoint.
    #[error(transparent)]
    Hook(#[from] NoTracepoint),
    /// The size of the tag table can't be determined.
    #[error(transparent)]
    Frames(#[from] FramesError),
    /// A limit of this process leaves too little room.
    #[error(transparent)]
    Room(#[from] Shortage),
    /// The length of the kernel's tick is not known.
    #[error("clock_getres() does not report the length of a tick of CLOCK_MONOTONIC_COARSE")]
    NoClock,
    /// The object file can't be read with the rights of the user who runs the program.
    #[error("{path}: {source}")]
    Object {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The kernel does not let any eBPF program read its memory.
    #[error(
        "the kernel is locked down for confidentiality (/sys/kernel/security/lockdown), so no \
         eBPF program may read its memory. Boot with lockdown=integrity on the kernel's command \
         line, or without lockdown="
    )]
    LockedDown,
    /// The kernel half can't be loaded or attached.
    #[error(transparent)]
    Probe(#[from] ProbeError),
}

/// Opens every source. `flushes` turns on flushes and paths in the kernel half. If the
/// kernel half can't be used, that is a notice and the rest is opened, unless the user
/// named its file or requires it.
///
/// # Errors
///
/// The kernel half that the user named or requires can't be used.
pub fn open(ebpf: &Ebpf, flushes: bool, helper: Arc<Helper>) -> Result<Opened, NoKernelHalf> {
    let (proc_root, sys_root) = (PathBuf::from("/proc"), PathBuf::from("/sys"));
    let settings = Sysctls::read(&proc_root, &sys_root);
    let mut notices = Vec::new();
    let probe = match (
        attach(ebpf, &proc_root, &sys_root, flushes, Some(&helper)),
        ebpf,
    ) {
        (Ok(probe), _) => Some(probe),
        (Err(error), Ebpf::File(_) | Ebpf::Required) => return Err(error),
        (Err(error), _) => {
            notices.push(Notice::NoEbpf(with_causes(&error)));
            None
        }
    };
    // The kernel half reads the task counters itself, exactly and without a call per
    // task. Taskstats is needed only without it.
    let (mut taskstats, mut exits) = (None, None);
    if probe.is_none() {
        match TaskstatsSocket::open() {
            Ok(socket) => taskstats = Some(socket),
            Err(error) => notices.push(Notice::NoTaskstats(with_causes(&error))),
        }
        match ExitListener::register(&sys_root) {
            Ok(listener) => exits = Some(listener),
            Err(error) if taskstats.is_some() => {
                notices.push(Notice::NoExitRecords(with_causes(&error)));
            }
            Err(_) => {}
        }
    }
    let counted = match (&probe, &taskstats) {
        (Some(probe), _) => probe.counted(),
        (None, Some(_)) => Counted::by_proc(&proc_root, &settings),
        (None, None) => Counted::NONE,
    };
    if probe.is_some() || taskstats.is_some() {
        notices.extend(counted.unknown().map(Notice::NotCounted));
    }
    if counted.delays && !settings.counts_delays() {
        notices.push(Notice::DelaysOff);
    }
    if probe.is_some() && settings.first_pid_namespace == Some(false) {
        notices.push(Notice::OwnPidNamespace);
    }
    notices.extend(hidden_processes(&proc_root, probe.is_some()));
    notices.extend(probe.iter().flat_map(Probe::refused).take(1).map(without));
    let block_events = probe.as_ref().and_then(|_| BlockEvents::listen().ok());
    memory::return_free();
    let own_pids = settings.first_pid_namespace != Some(false);
    let needs = Needs {
        maps: probe.is_some(),
        taskstats: taskstats.is_some() || exits.is_some(),
        // Without both, the counters come from /proc/PID/io.
        traced_files: (probe.is_none() && taskstats.is_none()) || Needs::traced_files(&proc_root),
        priorities: false,
    };
    Ok(Opened {
        needs,
        sources: Sources {
            helper: Some(helper),
            probe,
            taskstats,
            exits,
            block_events,
            counted,
            own_pids,
            proc_root,
            sys_root,
        },
        notices,
        own_pids,
    })
}

/// The notice that /proc hides processes. `ebpf` says that the kernel half lists them.
pub fn hidden_processes(proc_root: &Path, ebpf: bool) -> Option<Notice> {
    let hidepid = hidepid::hiding(proc_root, &Capabilities::effective())?;
    Some(Notice::HiddenProcesses {
        hidepid,
        listed: ebpf,
    })
}

/// The notice about a refused program: what is unknown without it.
pub fn without(refused: &Refused) -> Notice {
    let Refused { hook, error } = refused;
    let unknown = format!(
        "{} is unknown: this kernel refuses {} ({})",
        hook.purpose,
        hook.on,
        root(error)
    );
    match hook.on.is_function() {
        true => Notice::IoMaxUnseen(format!(
            "{unknown}; kernels with CONFIG_FUNCTION_TRACER and CONFIG_BPF_JIT, such as those of \
             distributions, accept it"
        )),
        false => Notice::Refused(format!(
            "{unknown}; please report it with the output of `iotop-trace doctor`"
        )),
    }
}

/// Loads and attaches the kernel half. `flushes` turns on flushes and paths. `helper` reads the
/// file that the user names.
///
/// # Errors
///
/// Why the kernel half can't be used.
pub fn attach(
    ebpf: &Ebpf,
    proc_root: &Path,
    sys_root: &Path,
    flushes: bool,
    helper: Option<&Helper>,
) -> Result<Probe, NoKernelHalf> {
    let (object, name) = match ebpf {
        Ebpf::Off => return Err(NoKernelHalf::Off),
        Ebpf::BuiltIn | Ebpf::Required => (OBJECT.to_vec(), "the built-in object".to_owned()),
        Ebpf::File(path) => {
            let object = match helper {
                Some(helper) => helper.object(),
                None => Err(io::ErrorKind::Unsupported.into()),
            };
            let object = object.map_err(|source| NoKernelHalf::Object {
                path: path.clone(),
                source,
            })?;
            (object, path.display().to_string())
        }
    };
    if !Capabilities::effective().may_load_ebpf() {
        return Err(NoKernelHalf::NotPermitted);
    }
    let page_size = clock::page_size();
    let frames = Frames::read(proc_root, page_size)?;
    // Before the kernel's types are read, which takes the most memory.
    let need = Need::kernel_half(frames.table_bytes());
    room::check(&need, proc_root, sys_root)?;
    let mut btf = Btf::from_file(&sys_root.join(VMLINUX_BTF))?;
    for module in MODULES {
        if let Ok(types) = fs::read(sys_root.join("kernel/btf").join(module)) {
            btf.add_module(&types)?;
        }
    }
    let settings = Sysctls::read(proc_root, sys_root);
    let machine = Machine {
        page_size,
        tags: frames.tags,
        jiffy: clock::jiffy().ok_or(NoKernelHalf::NoClock)?,
        tasks_seen: 1 << 16,
        version: settings.version(),
    };
    let kernel = Kernel {
        layout: layout::resolve(&btf, &machine)?,
        hooks: hooks::choose(&btf, machine.version)?,
        reasons: Reasons::of(&btf),
        tick: machine.tick(),
        dirty_expire: settings.dirty_expire.unwrap_or_default(),
        written_by_block: hooks::written_by_block(&btf, machine.version),
    };
    match Probe::attach(&object, &name, kernel, flushes) {
        Ok(probe) => Ok(probe),
        Err(ProbeError::Program { .. })
            if settings.lockdown.as_deref() == Some("confidentiality") =>
        {
            Err(NoKernelHalf::LockedDown)
        }
        Err(error) => Err(error.into()),
    }
}
