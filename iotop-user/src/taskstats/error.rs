//! Why taskstats gives no answer, and what to do about it.

use std::{io, path::PathBuf};

use super::RecordError;

/// Why taskstats gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum TaskstatsError {
    /// The kernel has no such family.
    #[error("this kernel has no taskstats; one built with CONFIG_TASKSTATS has")]
    NoFamily,
    /// We may not ask.
    #[error("taskstats needs CAP_NET_ADMIN: run it with sudo")]
    NotPermitted,
    /// Exit records are for the initial pid and user namespaces only.
    #[error(
        "the kernel gives exit records to the initial pid and user namespaces only: \
         run it on the host, not in a container"
    )]
    ChildNamespace,
    /// Exit records are sent to the initial network namespace only.
    #[error(
        "no exit record arrives, the kernel sends them to the initial network namespace only: \
         run it on the host, not in a container (or with its network)"
    )]
    NotDelivered,
    /// The possible CPUs are not known.
    #[error("{path}: {source}")]
    Cpus {
        /// The file that names them.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The thread that receives exit records can't be started.
    #[error("a thread to receive exit records: {0}")]
    Thread(io::Error),
    /// The kernel kept us waiting.
    #[error("taskstats did not answer within a second")]
    NoReply,
    /// A call fails.
    #[error("taskstats, {call}: {source}")]
    Socket {
        /// The call.
        call: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// A message is not what taskstats sends.
    #[error("a taskstats message that can't be read: {0}")]
    Message(String),
    /// A record is not what taskstats sends.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl TaskstatsError {
    pub(super) fn unreadable(why: impl std::fmt::Display) -> TaskstatsError {
        TaskstatsError::Message(why.to_string())
    }

    /// What the kernel said to a command, by its errno.
    pub(super) fn refused(call: &'static str, errno: i32) -> TaskstatsError {
        match errno {
            libc::EPERM => TaskstatsError::NotPermitted,
            _ => TaskstatsError::Socket {
                call,
                source: io::Error::from_raw_os_error(errno),
            },
        }
    }
}
