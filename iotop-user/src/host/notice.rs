//! Notices to the user: what iotop-trace can't report on this machine, and what to do.

use std::fmt;

use super::hidepid;

/// Something that iotop-trace can't report on this machine, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The kernel half is not loaded, for this reason.
    NoEbpf(String),
    /// taskstats can't be used, for this reason.
    NoTaskstats(String),
    /// Exit records can't be received, for this reason.
    NoExitRecords(String),
    /// The kernel does not keep some counters. The text names them.
    NotCounted(&'static str),
    /// The kernel could count delays, but counting is switched off.
    DelaysOff,
    /// This process is not in the initial pid namespace.
    OwnPidNamespace,
    /// /proc hides other users' processes.
    HiddenProcesses {
        /// The mount option that hides them.
        hidepid: String,
        /// The kernel half lists them nevertheless.
        listed: bool,
    },
    /// The kernel refused an optional program. The text says what is unknown without it.
    Refused(String),
    /// The kernel refused the programs that report which task submitted a bio that a cgroup's
    /// `io.max` holds back. The text says so.
    IoMaxUnseen(String),
    /// The configuration file can't be read, for this reason.
    NoSettings(String),
    /// A part of a recording was left out. The text says which and why.
    LeftOut(String),
}

impl Notice {
    /// True if this kernel can't do better. `doctor` and the help say it; there is nothing to
    /// do about it, so it is not on every screen.
    pub fn is_permanent(&self) -> bool {
        matches!(
            self,
            Notice::NotCounted(_) | Notice::Refused(_) | Notice::IoMaxUnseen(_)
        )
    }

    /// True if the notice is about what only rows of tasks have: delays, and numbers.
    pub fn is_about_rows(&self) -> bool {
        matches!(self, Notice::DelaysOff | Notice::OwnPidNamespace)
    }

    /// True if the notice matters only while a cgroup is held back by its `io.max`.
    pub fn is_about_io_max(&self) -> bool {
        matches!(self, Notice::IoMaxUnseen(_))
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::NoEbpf(why) => {
                write!(f, "no eBPF, so it is unknown who caused the writes: {why}")
            }
            Notice::NoTaskstats(why) => write!(
                f,
                "no taskstats, so only the counters of your own tasks are known, and SWAPIN and \
                 IO of none: {why}"
            ),
            Notice::NoExitRecords(why) => write!(
                f,
                "no exit records, so what tasks do in their last interval is unknown: {why}"
            ),
            Notice::NotCounted(words) => f.write_str(words),
            Notice::DelaysOff => f.write_str(
                "SWAPIN and IO are unknown, because delay accounting is off; \
                 `sysctl kernel.task_delayacct=1` turns it on for tasks that start afterwards",
            ),
            Notice::OwnPidNamespace => f.write_str(
                "iotop-trace runs in a child PID namespace: TIDs are those of the host, and tasks \
                 outside the namespace appear only when they write or exit",
            ),
            Notice::HiddenProcesses { hidepid, listed } => {
                let unknown = match listed {
                    true => "their command lines and I/O priorities are unknown",
                    false => "they are not listed",
                };
                let way_out = hidepid::way_out(hidepid);
                write!(
                    f,
                    "/proc hides other users' processes ({hidepid}), so {unknown}; {way_out}"
                )
            }
            Notice::Refused(words) | Notice::IoMaxUnseen(words) | Notice::LeftOut(words) => {
                f.write_str(words)
            }
            Notice::NoSettings(why) => write!(
                f,
                "the configuration file can't be read, so the settings are the usual ones: {why}"
            ),
        }
    }
}
