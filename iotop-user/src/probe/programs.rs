//! Loads and attaches the programs of the kernel half.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use aya::{
    Btf, Ebpf,
    programs::{BtfTracePoint, FEntry, FExit, Iter, ProgramError, RawTracePoint, TracePoint},
};

use super::{ProbeError, bpf};
use crate::host::kernel::hooks::{Hook, On};

/// The program that walks all tasks.
pub(super) const TASK_COUNTERS: &str = "task_counters";
/// The program that reports which tagged pages are still pending.
pub(super) const PAGES_WAITING: &str = "pages_waiting";

/// A program that is attached.
#[derive(Debug)]
pub struct Attached {
    /// The program, and what it attaches to.
    pub hook: Hook,
    /// How many instructions the verifier processed.
    pub verified_instructions: Option<u32>,
    fd: OwnedFd,
}

/// A program that the kernel refused. The others work without it.
#[derive(Debug)]
pub struct Refused {
    /// The program, and what it attaches to.
    pub hook: Hook,
    /// Why the kernel refused it.
    pub error: ProbeError,
}

/// The result of attaching the programs.
#[derive(Debug, Default)]
pub(super) struct Attaching {
    pub attached: Vec<Attached>,
    pub refused: Vec<Refused>,
    /// Programs whose file system is not loaded. It may be a module that is loaded later.
    pub waiting: Vec<Hook>,
}

/// Loads every program, then attaches every program.
pub(super) fn attach(
    ebpf: &mut Ebpf,
    hooks: &[Hook],
    btf: &Btf,
    object: &str,
) -> Result<Attaching, ProbeError> {
    let (mut loaded, mut done) = (Vec::new(), Attaching::default());
    for hook in hooks {
        match load(ebpf, object, hook, btf) {
            Ok(()) => loaded.push(*hook),
            Err(error) => refuse(hook, error, &mut done.refused)?,
        }
    }
    attach_loaded(ebpf, loaded, object, &mut done)?;
    Ok(done)
}

/// Attaches programs that are loaded already.
pub(super) fn attach_loaded(
    ebpf: &mut Ebpf,
    hooks: Vec<Hook>,
    object: &str,
    done: &mut Attaching,
) -> Result<(), ProbeError> {
    for hook in hooks {
        match attach_one(ebpf, object, &hook) {
            Ok(attached) => done.attached.push(attached),
            Err(error) if error.is_no_such_tracepoint(hook.on) => done.waiting.push(hook),
            Err(error) => refuse(&hook, error, &mut done.refused)?,
        }
    }
    Ok(())
}

/// Records the refusal of an optional program. For any other program it is an error.
fn refuse(hook: &Hook, error: ProbeError, refused: &mut Vec<Refused>) -> Result<(), ProbeError> {
    if !hook.on.is_optional() {
        return Err(error);
    }
    refused.push(Refused { hook: *hook, error });
    Ok(())
}

fn load(ebpf: &mut Ebpf, object: &str, hook: &Hook, btf: &Btf) -> Result<(), ProbeError> {
    match (find(ebpf, object, hook)?, hook.on) {
        (Found::Tracepoint(found), On::Tracepoint(name)) => found.load(name, btf),
        (Found::Entry(found), On::Entry(name)) => found.load(name, btf),
        (Found::Exit(found), On::Exit(name)) => found.load(name, btf),
        (Found::Iter(found), On::TaskIterator) => found.load("task", btf),
        (Found::Raw(found), On::FileSystem(_) | On::Asked) => found.load(),
        (Found::Record(found), On::Record(..)) => found.load(),
        _ => return Err(wrong_type(object, hook)),
    }
    .map_err(|source| program_error(hook, source))
}

fn attach_one(ebpf: &mut Ebpf, object: &str, hook: &Hook) -> Result<Attached, ProbeError> {
    let found = find(ebpf, object, hook)?;
    let (info, fd) = match found {
        Found::Tracepoint(found) => found
            .attach()
            .and_then(|_| Ok((found.info()?, found.fd()?.as_fd().try_clone_to_owned()?))),
        Found::Entry(found) => found
            .attach()
            .and_then(|_| Ok((found.info()?, found.fd()?.as_fd().try_clone_to_owned()?))),
        Found::Exit(found) => found
            .attach()
            .and_then(|_| Ok((found.info()?, found.fd()?.as_fd().try_clone_to_owned()?))),
        Found::Raw(found) => match hook.on {
            On::FileSystem(name) => found.attach(name).map(|_| ()),
            _ => Ok(()),
        }
        .and_then(|()| Ok((found.info()?, found.fd()?.as_fd().try_clone_to_owned()?))),
        Found::Record(found) => match hook.on {
            On::Record(name) => found.attach("xfs", name).map(|_| ()),
            _ => Ok(()),
        }
        .and_then(|()| Ok((found.info()?, found.fd()?.as_fd().try_clone_to_owned()?))),
        // Each pass attaches the iterator again.
        Found::Iter(found) => found
            .info()
            .and_then(|info| Ok((info, found.fd()?.as_fd().try_clone_to_owned()?))),
    }
    .map_err(|source| program_error(hook, source))?;
    Ok(Attached {
        hook: *hook,
        verified_instructions: info.verified_instruction_count(),
        fd,
    })
}

fn program_error(hook: &Hook, source: ProgramError) -> ProbeError {
    ProbeError::Program {
        program: hook.program,
        on: hook.on,
        source,
    }
}

enum Found<'a> {
    Tracepoint(&'a mut BtfTracePoint),
    Entry(&'a mut FEntry),
    Exit(&'a mut FExit),
    Iter(&'a mut Iter),
    Raw(&'a mut RawTracePoint),
    Record(&'a mut TracePoint),
}

fn find<'a>(ebpf: &'a mut Ebpf, object: &str, hook: &Hook) -> Result<Found<'a>, ProbeError> {
    match ebpf.program_mut(hook.program) {
        Some(aya::programs::Program::BtfTracePoint(found)) => Ok(Found::Tracepoint(found)),
        Some(aya::programs::Program::FEntry(found)) => Ok(Found::Entry(found)),
        Some(aya::programs::Program::FExit(found)) => Ok(Found::Exit(found)),
        Some(aya::programs::Program::Iter(found)) => Ok(Found::Iter(found)),
        Some(aya::programs::Program::RawTracePoint(found)) => Ok(Found::Raw(found)),
        Some(aya::programs::Program::TracePoint(found)) => Ok(Found::Record(found)),
        Some(_) => Err(wrong_type(object, hook)),
        None => Err(ProbeError::Object {
            object: object.to_owned(),
            reason: format!("it has no program {}", hook.program),
        }),
    }
}

fn wrong_type(object: &str, hook: &Hook) -> ProbeError {
    ProbeError::Object {
        object: object.to_owned(),
        reason: format!("its program {} has the wrong type", hook.program),
    }
}

/// The descriptor of a program that is run on demand.
pub(super) fn asked<'a>(programs: &'a [Attached], name: &str) -> Option<BorrowedFd<'a>> {
    let attached = programs.iter().find(|one| one.hook.program == name)?;
    Some(attached.fd.as_fd())
}

/// How many events were missed because the kernel does not run a program while it is
/// already running on that CPU (`recursion_misses` of `struct bpf_prog_info`, 5.12).
pub(super) fn missed(programs: &[Attached]) -> u64 {
    misses(programs, |hook| {
        let is_retry = |other: &Attached| other.hook.retry_of == Some(hook.program);
        hook.loses_bytes(programs.iter().any(is_retry))
    })
}

/// How many command lines were missed in the same way.
pub(super) fn missed_commands(programs: &[Attached]) -> u64 {
    misses(programs, Hook::tells_commands)
}

fn misses(programs: &[Attached], of: impl Fn(&Hook) -> bool) -> u64 {
    let programs = programs.iter().filter(|attached| of(&attached.hook));
    let misses = programs.filter_map(|attached| bpf::recursion_misses(&attached.fd).ok());
    misses.sum()
}
