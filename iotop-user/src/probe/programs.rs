//! Loads and attaches the programs of the kernel half.

use std::{
    fs,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
};

use aya::{
    Btf, Ebpf,
    programs::{BtfTracePoint, Iter, ProgramError},
};

use super::ProbeError;
use crate::kernel::hooks::{AGAIN, Hook};

/// The program that passes over all tasks.
pub(super) const TASK_COUNTERS: &str = "task_counters";

/// A program that is attached.
#[derive(Debug)]
pub struct Attached {
    /// Which one.
    pub hook: Hook,
    /// Instructions the verifier looked at.
    pub verified_instructions: Option<u32>,
    fd: OwnedFd,
}

/// Loads every program, then attaches every program.
pub(super) fn attach(
    ebpf: &mut Ebpf,
    hooks: &[Hook],
    btf: &Btf,
    object: &str,
) -> Result<Vec<Attached>, ProbeError> {
    for hook in hooks {
        let loaded = match find(ebpf, object, hook)? {
            Found::Btf(found) => found.load(hook.on.name(), btf),
            Found::Iter(found) => found.load("task", btf),
        };
        loaded.map_err(|source| refused(hook, source))?;
    }
    hooks
        .iter()
        .map(|hook| attach_one(ebpf, object, hook))
        .collect()
}

fn attach_one(ebpf: &mut Ebpf, object: &str, hook: &Hook) -> Result<Attached, ProbeError> {
    let (info, fd) = match find(ebpf, object, hook)? {
        Found::Btf(found) => found
            .attach()
            .and_then(|_| Ok((found.info()?, found.fd()?.as_fd().try_clone_to_owned()?))),
        // Each pass attaches it anew.
        Found::Iter(found) => found
            .info()
            .and_then(|info| Ok((info, found.fd()?.as_fd().try_clone_to_owned()?))),
    }
    .map_err(|source| refused(hook, source))?;
    Ok(Attached {
        hook: *hook,
        verified_instructions: info.verified_instruction_count(),
        fd,
    })
}

fn refused(hook: &Hook, source: ProgramError) -> ProbeError {
    ProbeError::Program {
        program: hook.program,
        tracepoint: hook.on.name(),
        source,
    }
}

enum Found<'a> {
    Btf(&'a mut BtfTracePoint),
    Iter(&'a mut Iter),
}

fn find<'a>(ebpf: &'a mut Ebpf, object: &str, hook: &Hook) -> Result<Found<'a>, ProbeError> {
    match ebpf.program_mut(hook.program) {
        Some(aya::programs::Program::BtfTracePoint(found)) => Ok(Found::Btf(found)),
        Some(aya::programs::Program::Iter(found)) => Ok(Found::Iter(found)),
        other => Err(ProbeError::Object {
            object: object.to_owned(),
            reason: match other {
                None => format!("it has no program {}", hook.program),
                Some(_) => format!("its program {} is of another kind", hook.program),
            },
        }),
    }
}

/// How often the kernel did not run a program because it was running on that
/// CPU already (`recursion_misses` of the fd's fdinfo, 5.12).
pub(super) fn missed(programs: &[Attached]) -> u64 {
    programs
        .iter()
        .filter(|attached| attached.hook.program != AGAIN)
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
