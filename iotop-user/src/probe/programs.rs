//! The programs of the kernel half and what they hang on.

use std::{
    fs,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
};

use aya::{
    Btf, Ebpf,
    programs::{BtfTracePoint, Iter, ProgramError},
};

use super::ProbeError;

/// One program of the kernel half.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name in the object.
    pub name: &'static str,
    /// The tracepoint it is attached to; `iter/task` is run by us.
    pub tracepoint: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// Why this hook and no other.
    pub why: &'static str,
}

/// The program that passes over all tasks.
pub(super) const TASK_COUNTERS: &str = "task_counters";

/// All programs, in the order in which they are attached: whatever clears tags
/// comes before whatever sets them.
pub const PROGRAMS: [Program; 11] = [
    Program {
        name: "task_exited",
        tracepoint: "sched_process_exit",
        purpose: "a task's last counters and name, and that it is gone",
        why: "the one place that every exiting task passes",
    },
    Program {
        name: TASK_COUNTERS,
        tracepoint: "iter/task",
        purpose: "all tasks' counters, those that changed",
        why: "one pass without a system call a task, in any namespace",
    },
    Program {
        name: "folio_added",
        tracepoint: "mm_filemap_add_to_page_cache",
        purpose: "page frames that begin anew",
        why: "a page that is migrated leaves its tag behind, without an event",
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
        name: "task_throttled",
        tracepoint: "balance_dirty_pages",
        purpose: "how long a task has to wait because too much is dirty",
        why: "fires in the task that is made to wait, with how long",
    },
    Program {
        name: "flush_queued",
        tracepoint: "writeback_queue",
        purpose: "who asks for a flush",
        why: "fires in the task that asks, with the work that a worker then gets",
    },
    Program {
        name: "flush_started",
        tracepoint: "writeback_start",
        purpose: "why a writeback worker runs",
        why: "fires in the worker with its work, before it submits anything",
    },
    Program {
        name: "flush_written",
        tracepoint: "writeback_written",
        purpose: "how far a writeback worker has come",
        why: "fires in the worker after each round, with what is left of its work",
    },
    Program {
        name: "flush_ended",
        tracepoint: "writeback_pages_written",
        purpose: "when a writeback worker has ended",
        why: "fires in the worker when it has no work left",
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
pub(super) fn attach(
    ebpf: &mut Ebpf,
    btf: &Btf,
    object: &str,
) -> Result<Vec<Attached>, ProbeError> {
    for program in &PROGRAMS {
        let loaded = match find(ebpf, object, program)? {
            Found::Btf(found) => found.load(program.tracepoint, btf),
            Found::Iter(found) => found.load("task", btf),
        };
        loaded.map_err(|source| refused(program, source))?;
    }
    PROGRAMS
        .iter()
        .map(|program| attach_one(ebpf, object, program))
        .collect()
}

fn attach_one(ebpf: &mut Ebpf, object: &str, program: &Program) -> Result<Attached, ProbeError> {
    let (info, fd) = match find(ebpf, object, program)? {
        Found::Btf(found) => found
            .attach()
            .and_then(|_| Ok((found.info()?, found.fd()?.as_fd().try_clone_to_owned()?))),
        // Each pass attaches it anew.
        Found::Iter(found) => found
            .info()
            .and_then(|info| Ok((info, found.fd()?.as_fd().try_clone_to_owned()?))),
    }
    .map_err(|source| refused(program, source))?;
    Ok(Attached {
        program: *program,
        verified_instructions: info.verified_instruction_count(),
        fd,
    })
}

fn refused(program: &Program, source: ProgramError) -> ProbeError {
    ProbeError::Program {
        program: program.name,
        tracepoint: program.tracepoint,
        source,
    }
}

enum Found<'a> {
    Btf(&'a mut BtfTracePoint),
    Iter(&'a mut Iter),
}

fn find<'a>(ebpf: &'a mut Ebpf, object: &str, program: &Program) -> Result<Found<'a>, ProbeError> {
    match ebpf.program_mut(program.name) {
        Some(aya::programs::Program::BtfTracePoint(found)) => Ok(Found::Btf(found)),
        Some(aya::programs::Program::Iter(found)) => Ok(Found::Iter(found)),
        other => Err(ProbeError::Object {
            object: object.to_owned(),
            reason: match other {
                None => format!("it has no program {}", program.name),
                Some(_) => format!("its program {} is of another kind", program.name),
            },
        }),
    }
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
