//! What the program keeps once everything is open: the rights that the sampling loop needs, and
//! no way back to the others.

use std::{fs, io, os::fd::AsRawFd as _, path::Path};

use caps::{Capability, CapsHashSet};
use serde::Serialize;

use super::{
    hidepid,
    kernel::{
        capabilities::{self, Capabilities},
        landlock,
        seccomp::{self, Extra},
    },
};

/// What the sampling loop needs, depending on what it reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// It has the kernel half's maps.
    pub maps: bool,
    /// It asks taskstats.
    pub taskstats: bool,
    /// It reads files in /proc that only whoever may trace a process can read: `io`, or all of
    /// them because of `hidepid`.
    pub traced_files: bool,
    /// It sets the I/O priorities of tasks.
    pub priorities: bool,
}

/// Which protection is on.
#[derive(Clone, Debug, Serialize)]
pub struct Protection {
    /// The capabilities that are left.
    pub capabilities: Vec<String>,
    /// No program that is executed gets any back.
    pub no_new_privs: bool,
    /// The bounding set is empty, and uid 0 means nothing.
    pub bounding_set_empty: bool,
    /// Only the system calls of the sampling loop are allowed.
    pub seccomp: bool,
    /// Whether the files that can be opened are limited.
    pub landlock: Landlock,
}

/// Whether the files that can be opened are limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Landlock {
    /// Only the kernel's own files can be read, and only the terminal can be written.
    On,
    /// The kernel has no Landlock (5.13), or it is not in its list of security modules.
    Missing,
    /// It would hide processes from us: the run reads files in /proc that only a tracer may.
    Unfit,
}

/// Why the rights can't be given up.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A call failed.
    #[error("{what}: {source}")]
    Call {
        /// What it is for.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
}

impl Needs {
    /// True if files in /proc can be read only by whoever may trace a process.
    pub fn traced_files(proc_root: &Path) -> bool {
        hidepid::hiding(proc_root, &Capabilities::default()).is_some()
    }

    /// The capabilities that it takes.
    fn capabilities(self) -> CapsHashSet {
        let mut kept = CapsHashSet::new();
        // The search in other users' directories for the paths of files. It reads none of them:
        // that is Landlock's part.
        kept.insert(Capability::CAP_DAC_READ_SEARCH);
        if self.maps {
            kept.insert(Capability::CAP_BPF);
            // Before 5.8 there is no CAP_BPF.
            if !capabilities_have_bpf() {
                kept.insert(Capability::CAP_SYS_ADMIN);
            }
        }
        if self.taskstats {
            kept.insert(Capability::CAP_NET_ADMIN);
        }
        if self.traced_files {
            kept.insert(Capability::CAP_SYS_PTRACE);
        }
        if self.priorities {
            kept.insert(Capability::CAP_SYS_NICE);
        }
        kept
    }
}

fn capabilities_have_bpf() -> bool {
    Capabilities::effective().has(Capability::CAP_BPF)
}

/// Gives up what is not needed, for good. It limits this thread and those that it creates from
/// now on, so there must be no other yet; seccomp limits all. Files in `directory` may be written
/// and removed. Without Landlock, the owners of files limit that, not the directory.
///
/// # Errors
///
/// The kernel refused.
pub fn enter(needs: Needs, directory: Option<&Path>) -> Result<Protection, SandboxError> {
    let failed = |what| move |source| SandboxError::Call { what, source };
    let bounding_set_empty =
        capabilities::never_regain().map_err(failed("locking the capabilities"))?;
    let landlock = match needs.traced_files {
        true => Landlock::Unfit,
        false => match landlock::read_only_kernel_files(directory) {
            Ok(true) => Landlock::On,
            Ok(false) => Landlock::Missing,
            Err(error) => return Err(failed("Landlock")(io::Error::other(error))),
        },
    };
    let kept = capabilities::keep_only(&needs.capabilities())
        .map_err(|error| failed("dropping capabilities")(io::Error::other(error)))?;
    let extra = Extra {
        priorities: needs.priorities,
        openat2: landlock == Landlock::On,
        files: directory.is_some(),
    };
    let seccomp = seccomp::sampling_loop(extra).map_err(failed("seccomp"))?;
    let mut kept: Vec<String> = kept.iter().map(ToString::to_string).collect();
    kept.sort();
    Ok(Protection {
        capabilities: kept,
        no_new_privs: true,
        bounding_set_empty,
        seccomp,
        landlock,
    })
}

/// Makes the terminal standard input if that is something else. Keys are read there, and the
/// terminal can't be opened for writing any more once the rights are given up.
///
/// # Errors
///
/// There is no terminal.
pub fn keys_from_terminal() -> io::Result<()> {
    use std::io::IsTerminal as _;
    if io::stdin().is_terminal() {
        return Ok(());
    }
    let terminal = fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/tty")?;
    // SAFETY: dup2 takes plain numbers, and the first descriptor is open.
    match unsafe { libc::dup2(terminal.as_raw_fd(), libc::STDIN_FILENO) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        ffi::CStr,
        ptr::{null, null_mut},
    };

    use super::*;

    const ALLOWED: i32 = 10;
    const REFUSED: i32 = 11;
    const NOT_ENTERED: i32 = 12;

    /// What comes of an attempt in a process that has given up its rights.
    #[derive(Debug, PartialEq, Eq)]
    enum End {
        /// It did what it wanted.
        Allowed,
        /// The call failed, or (with debug assertions) ended the process.
        Refused,
        Other(i32),
    }

    /// Its name, and whether it did what it wanted.
    type Attempt = (&'static str, fn() -> bool);

    fn attempt(needs: Needs, what: fn() -> bool) -> End {
        attempt_in(needs, None, what)
    }

    /// In a process that may write files in this directory.
    fn attempt_in(needs: Needs, directory: Option<&Path>, what: impl Fn() -> bool) -> End {
        // SAFETY: the child uses nothing that another thread could hold a lock of, except the
        // allocator, which glibc makes usable in it.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let status = match enter(needs, directory) {
                Ok(_) if what() => ALLOWED,
                Ok(_) => REFUSED,
                Err(_) => NOT_ENTERED,
            };
            // SAFETY: _exit takes a number.
            unsafe { libc::_exit(status) }
        }
        let mut status = 0;
        // SAFETY: the pointer is to our own number.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        if libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSYS {
            return End::Refused;
        }
        match libc::WEXITSTATUS(status) {
            ALLOWED if libc::WIFEXITED(status) => End::Allowed,
            REFUSED if libc::WIFEXITED(status) => End::Refused,
            _ => End::Other(status),
        }
    }

    fn opens(path: &CStr, flags: libc::c_int) -> bool {
        // SAFETY: the path is a constant.
        unsafe { libc::open(path.as_ptr(), flags, 0o600) >= 0 }
    }

    /// An attempt by a system call.
    macro_rules! call {
        ($call:ident $(, $argument:expr)*) => {
            // SAFETY: the arguments are numbers, null pointers and constants. If the call were
            // allowed, it would change nothing but this child.
            || unsafe { libc::syscall(libc::$call $(, $argument)*) >= 0 }
        };
    }

    const ALL: Needs = Needs {
        maps: true,
        taskstats: true,
        traced_files: false,
        priorities: true,
    };

    #[test]
    fn nothing_that_an_attacker_wants_is_allowed() {
        const SH: &CStr = c"/bin/sh";
        const HERE: libc::c_int = libc::AT_FDCWD;
        let attempts: [Attempt; 26] = [
            (
                "execve",
                call!(SYS_execve, SH.as_ptr(), null::<u8>(), null::<u8>()),
            ),
            ("ptrace", call!(SYS_ptrace, libc::PTRACE_TRACEME, 0, 0, 0)),
            (
                "memory",
                call!(SYS_process_vm_readv, 1, null::<u8>(), 0, null::<u8>(), 0, 0),
            ),
            ("fork", call!(SYS_clone, libc::SIGCHLD, 0, 0, 0, 0)),
            ("clone3", call!(SYS_clone3, null::<u8>(), 0)),
            ("namespace", call!(SYS_unshare, libc::CLONE_NEWUSER)),
            ("chroot", call!(SYS_chroot, c"/".as_ptr())),
            (
                "mount",
                call!(
                    SYS_mount,
                    null::<u8>(),
                    c"/".as_ptr(),
                    null::<u8>(),
                    libc::MS_REC | libc::MS_PRIVATE,
                    0
                ),
            ),
            (
                "internet",
                call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0),
            ),
            (
                "packets",
                call!(SYS_socket, libc::AF_PACKET, libc::SOCK_RAW, 0),
            ),
            (
                "unix socket",
                call!(SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0),
            ),
            ("typing", call!(SYS_ioctl, 0, libc::TIOCSTI, c"x".as_ptr())),
            ("program", call!(SYS_bpf, 5, null::<u8>(), 0)),
            ("foreign map", call!(SYS_bpf, 14, null::<u8>(), 0)),
            (
                "events",
                call!(SYS_perf_event_open, null::<u8>(), 0, 0, -1, 0),
            ),
            ("module", call!(SYS_finit_module, 0, c"".as_ptr(), 0)),
            ("handle", call!(SYS_open_by_handle_at, 0, null::<u8>(), 0)),
            ("root again", call!(SYS_setresuid, 0, 0, 0)),
            ("signal", call!(SYS_kill, 1, libc::SIGCONT)),
            ("nice", call!(SYS_setpriority, 0, 1, 0)),
            (
                "executable",
                call!(
                    SYS_mmap,
                    null::<u8>(),
                    4096,
                    libc::PROT_READ | libc::PROT_EXEC,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                    -1,
                    0
                ),
            ),
            (
                "limit",
                call!(
                    SYS_prlimit64,
                    0,
                    0,
                    c"0123456789abcdef".as_ptr(),
                    null_mut::<u8>()
                ),
            ),
            (
                "removing",
                call!(SYS_unlinkat, HERE, c"/tmp/iotop-trace-escape".as_ptr(), 0),
            ),
            ("creating", || {
                opens(c"/tmp/iotop-trace-escape", libc::O_WRONLY | libc::O_CREAT)
            }),
            ("writing", || opens(c"/dev/null", libc::O_RDWR)),
            (
                "dumping",
                call!(SYS_prctl, libc::PR_SET_DUMPABLE, 1, 0, 0, 0),
            ),
        ];
        for (name, what) in attempts {
            assert_eq!(attempt(ALL, what), End::Refused, "{name}");
        }
        assert!(!Path::new("/tmp/iotop-trace-escape").exists());
    }

    #[test]
    fn only_the_kernels_own_files_are_read() {
        let landlock = attempt(ALL, || opens(c"/etc/hostname", libc::O_RDONLY));
        if landlock == End::Allowed || !has_landlock() {
            assert!(!has_landlock(), "the kernel has Landlock");
            eprintln!("ignored: this kernel has no Landlock");
            return;
        }
        let paths: [fn() -> bool; 4] = [
            || opens(c"/etc/shadow", libc::O_RDONLY),
            || opens(c"/etc/passwd", libc::O_RDONLY),
            || opens(c"/proc/self/root/etc/passwd", libc::O_RDONLY),
            || opens(c"/", libc::O_RDONLY | libc::O_DIRECTORY),
        ];
        for path in paths {
            assert_eq!(attempt(ALL, path), End::Refused);
        }
        // seccomp does not see its flags.
        let writing = || {
            let how: [u64; 3] = [(libc::O_WRONLY | libc::O_CREAT) as u64, 0o600, 0];
            let path = c"/tmp/iotop-trace-escape";
            // SAFETY: the path is a constant, and the structure has the size that is passed.
            unsafe {
                libc::syscall(
                    libc::SYS_openat2,
                    libc::AT_FDCWD,
                    path.as_ptr(),
                    how.as_ptr(),
                    size_of_val(&how),
                ) >= 0
            }
        };
        assert_eq!(attempt(ALL, writing), End::Refused);
        assert!(!Path::new("/tmp/iotop-trace-escape").exists());
    }

    /// Asked by landlock_create_ruleset(2) itself, and not by what is tested here.
    fn has_landlock() -> bool {
        // SAFETY: with this flag the call only returns a version.
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1) > 0 }
    }

    #[test]
    fn a_recorder_writes_and_removes_files_in_its_directory_and_nowhere_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let batch = Needs {
            maps: true,
            ..Needs::default()
        };
        let in_it = |name: &str| directory.path().join(name);
        let write = |path: std::path::PathBuf| move || fs::write(&path, "x").is_ok();
        let record = |what: &dyn Fn() -> bool| attempt_in(batch, Some(directory.path()), what);
        assert_eq!(record(&write(in_it("a"))), End::Allowed);
        let cut = || {
            let file = fs::File::options().write(true).open(in_it("a"));
            file.and_then(|file| file.set_len(0)).is_ok()
        };
        assert_eq!(record(&cut), End::Allowed);
        assert_eq!(
            record(&|| fs::read_dir(directory.path()).is_ok()),
            End::Allowed
        );
        assert_eq!(
            record(&|| fs::remove_file(in_it("a")).is_ok()),
            End::Allowed
        );
        if has_landlock() {
            let escape = std::path::PathBuf::from("/tmp/iotop-trace-escape");
            assert_eq!(record(&write(escape)), End::Refused);
            assert!(!Path::new("/tmp/iotop-trace-escape").exists());
        }
        let (from, to) = (in_it("b"), in_it("c"));
        fs::write(&from, "x").expect("written");
        assert_eq!(record(&|| fs::rename(&from, &to).is_ok()), End::Refused);
    }

    #[test]
    fn what_the_loop_needs_is_allowed() {
        let attempts: [Attempt; 7] = [
            ("reading /proc", || {
                opens(c"/proc/self/status", libc::O_RDONLY)
            }),
            ("reading /sys", || opens(c"/sys/kernel", libc::O_RDONLY)),
            ("naming a file", || opens(c"/etc/shadow", libc::O_PATH)),
            ("a thread", || std::thread::spawn(|| true).join().is_ok()),
            ("a pair", || std::os::unix::net::UnixStream::pair().is_ok()),
            ("a priority", call!(SYS_ioprio_set, 1, 0, 2 << 13 | 4)),
            ("a look at a task", call!(SYS_kill, libc::getpid(), 0)),
        ];
        for (name, what) in attempts {
            assert_eq!(attempt(ALL, what), End::Allowed, "{name}");
        }
        let batch = Needs {
            priorities: false,
            ..ALL
        };
        let priority = call!(SYS_ioprio_set, 1, 0, 2 << 13 | 4);
        assert_eq!(attempt(batch, priority), End::Refused);
    }

    #[test]
    fn each_source_has_its_capability_and_no_other() {
        let named = |needs: Needs| -> Vec<Capability> {
            let mut kept: Vec<_> = needs.capabilities().into_iter().collect();
            kept.sort_by_key(Capability::index);
            kept.retain(|capability| *capability != Capability::CAP_SYS_ADMIN);
            kept
        };
        use Capability::*;
        assert_eq!(named(Needs::default()), [CAP_DAC_READ_SEARCH]);
        let maps = Needs {
            maps: true,
            ..Needs::default()
        };
        assert_eq!(named(maps), [CAP_DAC_READ_SEARCH, CAP_BPF]);
        let all = Needs {
            traced_files: true,
            ..ALL
        };
        let kept = [
            CAP_DAC_READ_SEARCH,
            CAP_NET_ADMIN,
            CAP_SYS_PTRACE,
            CAP_SYS_NICE,
            CAP_BPF,
        ];
        assert_eq!(named(all), kept);
    }
}
