//! What is missing on this machine, for the user.

use std::fmt;

/// Something that we can't tell here, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// There is no kernel half, for this reason.
    NoEbpf(String),
    /// There is no taskstats, for this reason.
    NoTaskstats(String),
    /// There are no exit records, for this reason.
    NoExitRecords(String),
    /// The kernel does not keep some counters.
    NotCounted(&'static str),
    /// The kernel could count delays, and is told not to.
    DelaysOff,
    /// We run in a pid namespace of our own.
    OwnPidNamespace,
    /// The kernel refuses a program that the others work without; in words.
    Refused(String),
    /// The kernel lets no program see whom a cgroup's `io.max` holds back; in words.
    IoMaxUnseen(String),
}

impl Notice {
    /// Whether it matters only while a cgroup is held back by its `io.max`.
    pub fn is_about_io_max(&self) -> bool {
        matches!(self, Notice::IoMaxUnseen(_))
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::NoEbpf(why) => {
                write!(f, "no eBPF, so nobody is told who caused the writes: {why}")
            }
            Notice::NoTaskstats(why) => write!(
                f,
                "no taskstats, so only our own tasks' figures are known, and SWAPIN and IO are not: \
                 {why}"
            ),
            Notice::NoExitRecords(why) => write!(
                f,
                "no exit records, so what a task does in its last interval is unknown: {why}"
            ),
            Notice::NotCounted(words) => f.write_str(words),
            Notice::DelaysOff => f.write_str(
                "SWAPIN and IO are unknown, the kernel does not count delays; \
                 `sysctl kernel.task_delayacct=1` turns it on for tasks that start afterwards",
            ),
            Notice::OwnPidNamespace => f.write_str(
                "in a pid namespace of its own: TIDs are the machine's, and tasks outside of it \
                 are told of when they write or exit",
            ),
            Notice::Refused(words) | Notice::IoMaxUnseen(words) => f.write_str(words),
        }
    }
}
