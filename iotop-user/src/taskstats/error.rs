//! The errors of taskstats, and what to do about them.

use std::{io, path::PathBuf};

use super::RecordError;

/// Why taskstats can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TaskstatsError {
    /// The kernel has no taskstats family.
    #[error("this kernel has no taskstats; use a kernel built with CONFIG_TASKSTATS")]
    NoFamily,
    /// The capability is missing.
    #[error("taskstats needs CAP_NET_ADMIN; run iotop-trace with sudo")]
    NotPermitted,
    /// Exit records are for the initial pid and user namespaces only.
    #[error(
        "the kernel sends exit records to the initial pid and user namespaces only; \
         run iotop-trace on the host, not in a container"
    )]
    ChildNamespace,
    /// Exit records are sent to the initial network namespace only.
    #[error(
        "no exit record arrives, because the kernel sends them to the initial network namespace \
         only; run iotop-trace on the host, or in a container with the host's network"
    )]
    NotDelivered,
    /// The list of possible CPUs can't be read.
    #[error("the list of CPUs, {path}, can't be read: {source}")]
    Cpus {
        /// The file that lists them.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The thread that receives exit records can't be started.
    #[error("the thread that receives exit records can't be started: {0}")]
    Thread(io::Error),
    /// The kernel did not answer in time.
    #[error("taskstats did not answer within a second")]
    NoReply,
    /// A call on the socket failed.
    #[error("taskstats: {call} failed: {source}")]
    Socket {
        /// The call.
        call: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// A message is not what taskstats sends.
    #[error("taskstats sent a message that can't be read: {0}")]
    Message(String),
    /// A record is not what taskstats sends.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl TaskstatsError {
    pub(super) fn unreadable(why: impl std::fmt::Display) -> TaskstatsError {
        TaskstatsError::Message(why.to_string())
    }

    /// The error of a command that the kernel refused with this errno.
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
