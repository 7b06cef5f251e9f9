//! The programs of the kernel half and the tracepoints they hang on.

use std::{
    fs,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
};

use aya::{Ebpf, programs::RawTracePoint};

use super::ProbeError;

/// One program of the kernel half.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name in the object.
    pub name: &'static str,
    /// The raw tracepoint it is attached to.
    pub tracepoint: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// Why this hook and no other.
    pub why: &'static str,
}

/// All programs, in the order in which they are attached: whatever clears tags
/// comes before whatever sets them.
pub const PROGRAMS: [Program; 4] = [
    Program {
        name: "task_exited",
        tracepoint: "sched_process_exit",
        purpose: "a task's last name, and that it is gone",
        why: "the one place that every exiting task passes",
    },
    Program {
        name: "folio_dropped",
        tracepoint: "mm_filemap_delete_from_page_cache",
        purpose: "dirty pages that are dropped before they are written",
        why: "a cancelled page has no tracepoint of its own; its live tag tells",
    },
    Program {
        name: "folio_dirtied",
        tracepoint: "writeback_dirty_folio",
        purpose: "who makes a page dirty",
        why: "fires inside folio_account_dirtied, clean to dirty only, once a folio",
    },
    Program {
        name: "bio_submitted",
        tracepoint: "block_bio_queue",
        purpose: "whose pages a bio carries, and who submits it",
        why: "fires once a bio before it is split; adds up to pgpgin and pgpgout",
    },
];

/// A program that is attached.
#[derive(Debug)]
pub struct Attached {
    /// Which one.
    pub program: Program,
    /// Instructions the verifier looked at.
    pub verified_instructions: Option<u32>,
    fd: OwnedFd,
}

/// Loads every program, then attaches every program.
pub(super) fn attach(ebpf: &mut Ebpf, object: &str) -> Result<Vec<Attached>, ProbeError> {
    for program in &PROGRAMS {
        let failed = |source| ProbeError::Program {
            program: program.name,
            tracepoint: program.tracepoint,
            source,
        };
        raw_tracepoint(ebpf, object, program)?
            .load()
            .map_err(failed)?;
    }
    let mut attached = Vec::new();
    for program in &PROGRAMS {
        let failed = |source| ProbeError::Program {
            program: program.name,
            tracepoint: program.tracepoint,
            source,
        };
        let tracepoint = raw_tracepoint(ebpf, object, program)?;
        tracepoint.attach(program.tracepoint).map_err(failed)?;
        let fd = tracepoint
            .fd()
            .and_then(|fd| fd.as_fd().try_clone_to_owned().map_err(Into::into))
            .map_err(failed)?;
        let info = tracepoint.info().map_err(failed)?;
        attached.push(Attached {
            program: *program,
            verified_instructions: info.verified_instruction_count(),
            fd,
        });
    }
    Ok(attached)
}

fn raw_tracepoint<'a>(
    ebpf: &'a mut Ebpf,
    object: &str,
    program: &Program,
) -> Result<&'a mut RawTracePoint, ProbeError> {
    ebpf.program_mut(program.name)
        .ok_or("it has no such program")
        .and_then(|found| found.try_into().map_err(|_| "it is no raw tracepoint"))
        .map_err(|reason| ProbeError::Object {
            object: object.to_owned(),
            reason: format!("{}: {reason}", program.name),
        })
}

/// How often the kernel did not run a program because it was running on that
/// CPU already (`recursion_misses` of the fd's fdinfo, 5.12).
pub(super) fn missed(programs: &[Attached]) -> u64 {
    programs
        .iter()
        .filter_map(|attached| {
            let path = format!("/proc/self/fdinfo/{}", attached.fd.as_raw_fd());
            let text = fs::read_to_string(path).ok()?;
            let line = text
                .lines()
                .find(|line| line.starts_with("recursion_misses:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .sum()
}
