//! The errors of loading, attaching and reading the kernel half.

use std::{error::Error, io, iter};

use crate::{causes::with_causes, host::kernel::hooks::On};
use aya::{EbpfError, maps::MapError, programs::ProgramError};

/// Why the kernel half could not be loaded, attached or read.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The object file is not what we expect.
    #[error(
        "{object} is not a kernel half of this iotop-trace: {reason}; use the built-in one, \
         or build one with `cargo xtask build-ebpf`"
    )]
    Object {
        /// Its path, or "the built-in object".
        object: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The kernel refused the object as a whole, most often because of a map.
    #[error("the kernel refused the maps of the kernel half: {0}{hint}", hint = memory_hint(.0))]
    Load(#[source] EbpfError),
    /// aya can't read the kernel's BTF.
    #[error("the kernel's BTF can't be read: {0}")]
    Btf(#[source] aya::BtfError),
    /// The kernel refused a program.
    #[error("the kernel refused the program {program} ({on}): {source}")]
    Program {
        /// The program's name.
        program: &'static str,
        /// What it attaches to.
        on: On,
        /// The kernel's answer, with the verifier's log.
        source: ProgramError,
    },
    /// A map call failed.
    #[error("map {map} can't be used: {source}")]
    Map {
        /// The map's name.
        map: &'static str,
        /// aya's error.
        source: MapError,
    },
    /// The iterator over tasks does not run.
    #[error("the kernel did not run the pass over all tasks (iter/task): {source}")]
    Pass {
        /// The kernel's answer.
        source: io::Error,
    },
    /// A system call of our own failed.
    #[error("{call} on map {map} failed: {source}")]
    Call {
        /// The call.
        call: &'static str,
        /// The map's name.
        map: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl ProbeError {
    /// True if the kernel lacks a file system's tracepoint. The file system may be a
    /// module that is not loaded.
    pub(super) fn is_no_such_tracepoint(&self, on: On) -> bool {
        // They are looked up in tracefs, which may not be mounted before they are needed.
        if matches!(on, On::Record(..)) {
            return true;
        }
        let ProbeError::Program { source, .. } = self else {
            return false;
        };
        let ProgramError::SyscallError(error) = source else {
            return false;
        };
        matches!(on, On::FileSystem(_)) && error.io_error.kind() == io::ErrorKind::NotFound
    }
}

fn memory_hint(error: &EbpfError) -> &'static str {
    match errno(error) {
        Some(libc::ENOMEM) => {
            "; there is too little memory for the page tags (`iotop-trace doctor` shows how much \
             they need)"
        }
        Some(libc::EPERM) => "; run iotop-trace with sudo, or give it CAP_BPF and CAP_PERFMON",
        _ => "",
    }
}

/// The errno among an error's causes.
fn errno(error: &EbpfError) -> Option<i32> {
    let first: &dyn Error = error;
    let mut causes = iter::successors(Some(first), |error| (*error).source());
    causes.find_map(|error| error.downcast_ref::<io::Error>()?.raw_os_error())
}

/// Distinguishes an object that can't be read from one that the kernel refuses.
pub(super) fn load(object: &str, source: EbpfError) -> ProbeError {
    match source {
        EbpfError::ParseError(_) | EbpfError::FileError { .. } | EbpfError::RelocationError(_) => {
            ProbeError::Object {
                object: object.to_owned(),
                reason: with_causes(&source),
            }
        }
        other => ProbeError::Load(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_errno_is_found_among_the_causes() {
        for (errno, word) in [(libc::ENOMEM, "too little memory"), (libc::EPERM, "sudo")] {
            let error = EbpfError::MapError(MapError::CreateError {
                name: "TAGS".to_owned(),
                io_error: io::Error::from_raw_os_error(errno),
            });
            let said = load("the built-in object", error).to_string();
            assert!(said.contains(word), "{said}");
        }
    }
}
