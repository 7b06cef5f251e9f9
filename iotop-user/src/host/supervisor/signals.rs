//! What a command is started with, and signals while it runs: the command takes them as if we were not there, the supervisor
//! ignores them, and the tracer passes on those that were sent to it alone.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{FromRawFd as _, OwnedFd},
};

use tokio::io::{Interest, unix::AsyncFd};

use crate::host::signals::{is_ignored, started};

/// Signals that stop a process, make it go on, or are about its own mistakes: these are never
/// ignored, and nobody passes them on.
const LEFT_ALONE: [libc::c_int; 14] = [
    libc::SIGKILL,
    libc::SIGSTOP,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGCONT,
    libc::SIGCHLD,
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGABRT,
    libc::SIGTRAP,
    libc::SIGSYS,
];

/// What a program is started with and this one changes: how it takes signals, and how many files
/// it may open.
#[derive(Clone)]
pub struct Inherited {
    ignored: Vec<libc::c_int>,
    blocked: SignalSet,
    files: Option<libc::rlimit>,
}

impl Inherited {
    /// To be called before anything else, which may change it.
    pub fn now() -> Inherited {
        let blocked = SignalSet::of(&[]);
        let mut before = blocked;
        // SAFETY: with an empty set to add, pthread_sigmask only stores the current mask.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const blocked.0, &raw mut before.0) };
        // Rust's start makes SIGPIPE ignored, whatever it was; children of Rust programs have the
        // default.
        let can_be = (1..=libc::SIGRTMAX()).filter(|signal| *signal != libc::SIGPIPE);
        let mut files = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: the pointer is to our own structure.
        let is_known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut files) } == 0;
        Inherited {
            ignored: can_be.filter(|signal| is_ignored(*signal)).collect(),
            blocked: before,
            files: is_known.then_some(files),
        }
    }

    /// Ignores every signal that would end this process but is meant for another.
    pub fn ignore_all() {
        let ignored = (1..=libc::SIGRTMAX()).filter(|signal| !LEFT_ALONE.contains(signal));
        for signal in ignored {
            // SAFETY: signal takes plain numbers. It refuses those that the C library keeps.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
    }

    /// Goes back to what this process was started with.
    pub fn restore(&self) {
        if let Some(files) = &self.files {
            // SAFETY: setrlimit reads the structure that it is given.
            unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, files) };
        }
        for signal in 1..=libc::SIGRTMAX() {
            let action = match self.ignored.contains(&signal) {
                true => libc::SIG_IGN,
                false => libc::SIG_DFL,
            };
            // SAFETY: see above; the mask is our own.
            unsafe { libc::signal(signal, action) };
        }
        // SAFETY: the mask is a valid one, and the old one is not asked for.
        unsafe {
            libc::pthread_sigmask(
                libc::SIG_SETMASK,
                &raw const self.blocked.0,
                std::ptr::null_mut(),
            )
        };
    }
}

/// Some signals.
#[derive(Clone, Copy)]
pub struct SignalSet(libc::sigset_t);

impl SignalSet {
    /// These signals.
    pub fn of(signals: &[libc::c_int]) -> SignalSet {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset fills in the whole set; sigaddset changes it.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in signals {
                libc::sigaddset(set.as_mut_ptr(), *signal);
            }
            SignalSet(set.assume_init())
        }
    }

    /// Blocks them in this thread and in those that it creates, and returns a descriptor from
    /// which they are read (signalfd(2)).
    ///
    /// # Errors
    ///
    /// No descriptor is left.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        // SAFETY: the set is valid, and the old mask is not asked for.
        let fd = unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const self.0, std::ptr::null_mut());
            libc::signalfd(
                -1,
                &raw const self.0,
                libc::SFD_CLOEXEC | libc::SFD_NONBLOCK,
            )
        };
        match fd {
            -1 => Err(io::Error::last_os_error()),
            // SAFETY: the kernel has just given us this descriptor.
            fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        }
    }
}

/// The signals that a command is sent through us.
const PASSED_ON: [libc::c_int; 6] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
];

/// The signals that come while a command runs. None of them ends this process.
pub struct ForCommand(AsyncFd<OwnedFd>);

/// A signal that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Came {
    /// Its number.
    pub signal: libc::c_int,
    /// The kernel sent it, as for ^C: the whole process group has it.
    pub from_kernel: bool,
}

impl ForCommand {
    /// Takes them from now on, but for those that this program was started to ignore. To be
    /// called before there are other threads, and before the program gives up its rights. Needs a
    /// runtime.
    ///
    /// # Errors
    ///
    /// No descriptor is left.
    pub fn take(inherited: &Inherited) -> io::Result<ForCommand> {
        // A signal that is blocked comes even if it is ignored.
        let is_taken = |signal: &libc::c_int| !inherited.ignored.contains(signal);
        let taken: Vec<libc::c_int> = PASSED_ON.into_iter().filter(is_taken).collect();
        let descriptor = SignalSet::of(&taken).descriptor()?;
        started();
        // SAFETY: the descriptor stays open and the same for as long as it is watched.
        let signals = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
        Ok(ForCommand(signals?))
    }

    /// The next one, if it has come already.
    pub fn come(&self) -> Option<Came> {
        let mut bytes = [0; size_of::<libc::signalfd_siginfo>()];
        let count = rustix::io::read(self.0.get_ref(), &mut bytes);
        if count != Ok(bytes.len()) {
            return None;
        }
        // SAFETY: the kernel has filled in the structure, which consists of numbers.
        let info: libc::signalfd_siginfo = unsafe { std::mem::transmute(bytes) };
        Some(Came {
            signal: info.ssi_signo as libc::c_int,
            from_kernel: info.ssi_code == libc::SI_KERNEL,
        })
    }

    /// Waits for the next one. May be dropped while it waits.
    pub async fn next(&self) -> Came {
        loop {
            let Ok(mut ready) = self.0.readable().await else {
                return std::future::pending().await;
            };
            match self.come() {
                Some(came) => return came,
                None => ready.clear_ready(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::CommandExt as _, process::Command};

    use super::*;

    /// What a program has ignored (SigIgn) and blocked (SigBlk), as proc_pid_status(5) has it.
    fn status(inherited: Inherited) -> Vec<String> {
        let mut command = Command::new("cat");
        command.arg("/proc/self/status");
        let prepare = move || {
            Inherited::ignore_all();
            SignalSet::of(&[libc::SIGCHLD]).descriptor()?;
            inherited.restore();
            Ok(())
        };
        // SAFETY: all that it calls is safe after a fork (signal-safety(7)).
        unsafe { command.pre_exec(prepare) };
        let output = command.output().expect("executed").stdout;
        let text = String::from_utf8(output).expect("text");
        let lines = text.lines();
        let lines = lines.filter(|line| line.starts_with("SigIgn") || line.starts_with("SigBlk"));
        let names = lines.filter_map(|line| line.split_once(":\t"));
        names
            .map(|(name, set)| format!("{name}:{}", without_own(set)))
            .collect()
    }

    /// A set without the two signals that the C library keeps for itself: posix_spawn(3) starts
    /// programs with these ignored.
    fn without_own(set: &str) -> String {
        let set = u64::from_str_radix(set, 16).expect("a number");
        format!("{:016x}", set & !(0b11 << 31))
    }

    #[test]
    fn the_command_takes_signals_as_this_process_was_told_to() {
        let none = Inherited {
            ignored: Vec::new(),
            blocked: SignalSet::of(&[]),
            files: None,
        };
        let zero = "0000000000000000";
        assert_eq!(
            status(none),
            [format!("SigBlk:{zero}"), format!("SigIgn:{zero}")]
        );
        // As under nohup(1), with a signal that is blocked.
        let some = Inherited {
            ignored: vec![libc::SIGHUP],
            blocked: SignalSet::of(&[libc::SIGUSR1]),
            files: None,
        };
        assert_eq!(
            status(some),
            ["SigBlk:0000000000000200", "SigIgn:0000000000000001"]
        );
    }
}
