//! Limits which system calls this process can make (seccomp(2)).
//!
//! The sampling loop gets a list of what it needs. A call that is not on it fails with EPERM, and
//! whoever made it reports that as for any other failed call. The kernel writes each into its
//! log, with the number of the call (`audit: type=1326`), so a call that the list lacks is found.
//! In a build with debug assertions, which is what the tests run, such a call ends the program.

use std::{collections::BTreeMap, io};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use self::Allowed::{Always, If, Never};

/// What the sampling loop may do beyond the usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extra {
    /// Set the I/O priority of tasks.
    pub priorities: bool,
    /// openat2(2), which can't be told to read only: its flags are in memory, where seccomp does
    /// not look. Landlock has to do that.
    pub openat2: bool,
    /// Create, write and remove files. Which ones is not limited here.
    pub files: bool,
}

/// Limits every thread of this process to what the sampling loop needs. Returns false if the
/// kernel has no seccomp filters.
///
/// # Errors
///
/// The kernel refused the filter.
pub fn sampling_loop(extra: Extra) -> io::Result<bool> {
    let other = match cfg!(debug_assertions) {
        true => SeccompAction::KillProcess,
        false => SeccompAction::Errno(libc::EPERM as u32),
    };
    // As on a kernel that has no such call: the C library then uses clone(2), whose flags can be
    // looked at, and our look-up of paths uses openat(2).
    let unknown = SeccompAction::Errno(libc::ENOSYS as u32);
    let mut missing = vec![(libc::SYS_clone3, Always)];
    if !extra.openat2 {
        missing.push((libc::SYS_openat2, Always));
    }
    let missing = compile(missing, SeccompAction::Allow, unknown)?;
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let refused = compile(refused_quietly(extra), SeccompAction::Allow, refused)?;
    let allowed = compile(allowed(extra), other, SeccompAction::Allow)?;
    Ok(install(&missing, 0)?
        && install(&refused, 0)?
        && install(&allowed, libc::SECCOMP_FILTER_FLAG_LOG)?)
}

/// Refuses what only an attacker would call, in the process that has the user's rights. A list of
/// what it needs can't be given: the modules of the name service differ from machine to machine.
///
/// # Errors
///
/// The kernel refused the filter.
pub fn refuse_escapes() -> io::Result<()> {
    let escapes = ESCAPES.iter().map(|call| (*call, Always)).collect();
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let filter = compile(escapes, SeccompAction::Allow, refused)?;
    install(&filter, libc::SECCOMP_FILTER_FLAG_LOG)?;
    Ok(())
}

/// What would give more rights, more of the kernel, or another process's memory.
const ESCAPES: [libc::c_long; 32] = [
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_by_handle_at,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_kexec_load,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_acct,
];

/// What libraries try in a usual run, and can do without: the terminal is opened for writing when
/// it is gone, and a performance event attaches the program of a file system that is loaded later
/// (it takes CAP_PERFMON, which is gone too).
fn refused_quietly(extra: Extra) -> Vec<(libc::c_long, Allowed)> {
    let writes = |flags| {
        let bits = [libc::O_WRONLY, libc::O_RDWR, libc::O_CREAT, libc::O_TRUNC];
        If(bits
            .map(|bit| masked(flags, bit as u64, bit as u64))
            .to_vec())
    };
    let mut refused = vec![(libc::SYS_perf_event_open, Always)];
    if !extra.files {
        refused.push((libc::SYS_openat, writes(2)));
        #[cfg(target_arch = "x86_64")]
        refused.push((libc::SYS_open, writes(1)));
    }
    refused
}

/// When a call is listed in a filter.
enum Allowed {
    Always,
    /// If one of these holds.
    If(Vec<SeccompCondition>),
    /// The kernel of this machine may know it, this build does not use it.
    Never,
}

/// The calls of the sampling loop.
fn allowed(extra: Extra) -> Vec<(libc::c_long, Allowed)> {
    // Files, for reading: see `refused_quietly`.
    let mut calls = vec![
        (libc::SYS_openat, Always),
        (libc::SYS_close, Always),
        (libc::SYS_read, Always),
        (libc::SYS_readv, Always),
        (libc::SYS_pread64, Always),
        (libc::SYS_lseek, Always),
        (libc::SYS_getdents64, Always),
        (libc::SYS_fstat, Always),
        (libc::SYS_newfstatat, Always),
        (libc::SYS_statx, Always),
        (libc::SYS_readlinkat, Always),
        (libc::SYS_faccessat, Always),
        (libc::SYS_faccessat2, Always),
        (libc::SYS_fadvise64, Always),
        (libc::SYS_getcwd, Always),
    ];
    // What is open already: output, the terminal, netlink, the helper, and pipes between threads.
    calls.extend([
        (libc::SYS_write, Always),
        (libc::SYS_writev, Always),
        (libc::SYS_sendto, Always),
        (libc::SYS_sendmsg, Always),
        (libc::SYS_recvfrom, Always),
        (libc::SYS_recvmsg, Always),
        (libc::SYS_shutdown, Always),
        (libc::SYS_setsockopt, Always),
        (libc::SYS_getsockopt, Always),
        (libc::SYS_socketpair, If(vec![is(0, libc::AF_UNIX as u64)])),
        (libc::SYS_pipe2, Always),
        (libc::SYS_eventfd2, Always),
        (libc::SYS_dup, Always),
        (libc::SYS_dup3, Always),
        (libc::SYS_fcntl, Always),
        (libc::SYS_ppoll, Always),
        (libc::SYS_epoll_create1, Always),
        (libc::SYS_epoll_ctl, Always),
        (libc::SYS_epoll_pwait, Always),
        (libc::SYS_timerfd_create, Always),
        (libc::SYS_timerfd_settime, Always),
        // Without TIOCSTI, which types into the user's shell.
        (libc::SYS_ioctl, If(IOCTLS.map(|call| is(1, call)).to_vec())),
    ]);
    // Memory, but never memory that can be executed.
    let executable = libc::PROT_EXEC as u64;
    calls.extend([
        (libc::SYS_mmap, If(vec![masked(2, executable, 0)])),
        (libc::SYS_mprotect, If(vec![masked(2, executable, 0)])),
        (libc::SYS_munmap, Always),
        (libc::SYS_mremap, Always),
        (libc::SYS_madvise, Always),
        (libc::SYS_brk, Always),
    ]);
    // Threads, but no processes and no namespaces.
    let thread = libc::CLONE_THREAD as u64;
    calls.extend([
        (libc::SYS_clone, If(vec![masked(0, thread, thread)])),
        // Other filters refuse these.
        (libc::SYS_clone3, Always),
        (libc::SYS_openat2, Always),
        (libc::SYS_perf_event_open, Always),
        (libc::SYS_exit, Always),
        (libc::SYS_exit_group, Always),
        (libc::SYS_futex, Always),
        (libc::SYS_rseq, Always),
        (libc::SYS_set_robust_list, Always),
        (libc::SYS_set_tid_address, Always),
        (libc::SYS_membarrier, Always),
        (libc::SYS_sched_yield, Always),
        (libc::SYS_sched_getaffinity, Always),
        (libc::SYS_getpid, Always),
        (libc::SYS_gettid, Always),
        (libc::SYS_getppid, Always),
        (libc::SYS_getuid, Always),
        (libc::SYS_geteuid, Always),
        (libc::SYS_getgid, Always),
        (libc::SYS_getegid, Always),
        (libc::SYS_getrusage, Always),
        // Reading a limit, not setting one.
        (libc::SYS_prlimit64, If(vec![is_null(2)])),
        // glibc names its memory.
        (
            libc::SYS_prctl,
            If(vec![
                is(0, libc::PR_SET_NAME as u64),
                is(0, libc::PR_SET_VMA as u64),
            ]),
        ),
        // Our own thread's priority. Another's takes CAP_SYS_NICE, which may be here.
        (libc::SYS_sched_setscheduler, If(vec![is(0, 0)])),
        (libc::SYS_sched_setattr, If(vec![is(0, 0)])),
        (libc::SYS_setpriority, If(vec![is(1, 0)])),
    ]);
    // Signals: our own handlers, and ^Z for the whole process group. 0 only asks whether a task
    // exists.
    calls.extend([
        (libc::SYS_rt_sigaction, Always),
        (libc::SYS_rt_sigprocmask, Always),
        (libc::SYS_rt_sigreturn, Always),
        (libc::SYS_rt_sigtimedwait, Always),
        (libc::SYS_restart_syscall, Always),
        (libc::SYS_sigaltstack, Always),
        (
            libc::SYS_kill,
            If(vec![is(1, 0), is(1, libc::SIGTSTP as u64)]),
        ),
        (libc::SYS_tgkill, If(vec![is(0, own_pid())])),
    ]);
    // Time, and other numbers about this machine and its tasks.
    calls.extend([
        (libc::SYS_clock_gettime, Always),
        (libc::SYS_clock_getres, Always),
        (libc::SYS_clock_nanosleep, Always),
        (libc::SYS_nanosleep, Always),
        (libc::SYS_gettimeofday, Always),
        (libc::SYS_getrandom, Always),
        (libc::SYS_uname, Always),
        (libc::SYS_sysinfo, Always),
        (libc::SYS_getcpu, Always),
        (libc::SYS_sched_getscheduler, Always),
        (libc::SYS_getpriority, Always),
        (libc::SYS_ioprio_get, Always),
        (libc::SYS_capget, Always),
        // A thread that needs no capability gives up its own. It can't add one.
        (libc::SYS_capset, Always),
        (
            libc::SYS_ioprio_set,
            if extra.priorities { Always } else { Never },
        ),
        (
            libc::SYS_bpf,
            If(BPF.map(|command| is(0, command)).to_vec()),
        ),
    ]);
    if extra.files {
        calls.extend([
            (libc::SYS_pwrite64, Always),
            (libc::SYS_ftruncate, Always),
            (libc::SYS_fdatasync, Always),
            (libc::SYS_unlinkat, Always),
            #[cfg(target_arch = "x86_64")]
            (libc::SYS_unlink, Always),
        ]);
    }
    calls.extend(OLD.map(|call| (call, Always)));
    calls
}

/// Calls that architectures newer than x86-64 do not have. A C library may use either.
#[cfg(target_arch = "x86_64")]
const OLD: [libc::c_long; 11] = [
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_readlink,
    libc::SYS_access,
    libc::SYS_poll,
    libc::SYS_epoll_wait,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_time,
    libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: [libc::c_long; 0] = [];

/// The terminal's modes and size, and whether a descriptor blocks. `TCGETS2` and the `TCSETS2`
/// family of asm-generic/ioctls.h are what newer C libraries use.
const IOCTLS: [u64; 11] = [
    libc::TCGETS,
    libc::TCSETS,
    libc::TCSETSW,
    libc::TCSETSF,
    libc::TCGETS2,
    libc::TCSETS2,
    libc::TCSETSW2,
    libc::TCSETSF2,
    libc::TIOCGWINSZ,
    libc::FIONBIO,
    PERF_EVENT_IOC_DISABLE,
];

/// Detaches a program from a tracepoint on kernels before 5.15, where the attachment is no link.
/// `_IO('$', 1)` of include/uapi/linux/perf_event.h.
const PERF_EVENT_IOC_DISABLE: u64 = 0x2401;

/// Commands of bpf(2): maps, running what is loaded, and attaching what is loaded (the programs
/// of a file system that is mounted later). Not `BPF_PROG_LOAD`.
const BPF: [u64; 12] = [
    1,  // BPF_MAP_LOOKUP_ELEM
    2,  // BPF_MAP_UPDATE_ELEM
    3,  // BPF_MAP_DELETE_ELEM
    4,  // BPF_MAP_GET_NEXT_KEY
    10, // BPF_PROG_TEST_RUN
    15, // BPF_OBJ_GET_INFO_BY_FD
    17, // BPF_RAW_TRACEPOINT_OPEN
    21, // BPF_MAP_LOOKUP_AND_DELETE_ELEM
    24, // BPF_MAP_LOOKUP_BATCH
    25, // BPF_MAP_LOOKUP_AND_DELETE_BATCH
    28, // BPF_LINK_CREATE
    33, // BPF_ITER_CREATE
];

fn own_pid() -> u64 {
    std::process::id().into()
}

/// The argument is this number. Only its low half counts, as for the kernel, which takes an `int`.
fn is(argument: u8, value: u64) -> SeccompCondition {
    condition(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

/// The argument is a null pointer.
fn is_null(argument: u8) -> SeccompCondition {
    condition(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)
}

/// These bits of the argument have this value.
fn masked(argument: u8, mask: u64, value: u64) -> SeccompCondition {
    let operator = SeccompCmpOp::MaskedEq(mask);
    condition(argument, SeccompCmpArgLen::Dword, operator, value)
}

fn condition(
    argument: u8,
    length: SeccompCmpArgLen,
    operator: SeccompCmpOp,
    value: u64,
) -> SeccompCondition {
    SeccompCondition::new(argument, length, operator, value).expect("a call has six arguments")
}

fn compile(
    calls: Vec<(libc::c_long, Allowed)>,
    other: SeccompAction,
    listed: SeccompAction,
) -> io::Result<BpfProgram> {
    let mut rules = BTreeMap::new();
    for (call, allowed) in calls {
        let conditions = match allowed {
            Always => Vec::new(),
            If(conditions) => conditions,
            Never => continue,
        };
        let one = |condition| SeccompRule::new(vec![condition]);
        let any: Result<Vec<_>, _> = conditions.into_iter().map(one).collect();
        rules.insert(call, any.map_err(io::Error::other)?);
    }
    SeccompFilter::new(rules, other, listed, ARCHITECTURE)
        .and_then(BpfProgram::try_from)
        .map_err(io::Error::other)
}

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: TargetArch = TargetArch::aarch64;
#[cfg(target_arch = "riscv64")]
const ARCHITECTURE: TargetArch = TargetArch::riscv64;

/// Adds a filter to every thread. `log` is 0 or the flag for what it refuses to be logged. Returns
/// false if the kernel has no filters.
fn install(program: &BpfProgram, log: libc::c_ulong) -> io::Result<bool> {
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_ptr().cast_mut().cast(),
    };
    // Before 5.16 a filter turns on a mitigation that slows the process down. It protects
    // against code that a process is made to run, and there is none here.
    let flags = libc::SECCOMP_FILTER_FLAG_TSYNC | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW | log;
    // SAFETY: the kernel reads the program, which lives until the call returns, and whose length
    // is passed with it. seccompiler's instruction has the layout of sock_filter.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const filter,
        )
    };
    match (result, io::Error::last_os_error()) {
        (0, _) => Ok(true),
        (-1, error) => match error.raw_os_error() {
            Some(libc::ENOSYS | libc::EINVAL) => Ok(false),
            _ => Err(error),
        },
        // The number of a thread that has another filter.
        (thread, _) => Err(io::Error::other(format!(
            "the thread {thread} has a filter of its own"
        ))),
    }
}
