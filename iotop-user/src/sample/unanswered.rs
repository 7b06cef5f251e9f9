//! Names that the machine does not give.

use std::fmt;

/// A name that was asked for and has no answer for seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// The name of the user with this uid.
    User(u32),
    /// The command line of the process with this pid.
    CommandLine(u32),
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unanswered::User(uid) => write!(
                f,
                "the user database does not answer, so users may be shown as numbers until it \
                 does; `getent passwd {uid}` asks it"
            ),
            Unanswered::CommandLine(pid) => write!(
                f,
                "the command line of process {pid} can't be read, because the process is blocked \
                 while its memory is locked; such processes are shown by their names; \
                 /proc/{pid}/stack says what blocks it"
            ),
        }
    }
}
