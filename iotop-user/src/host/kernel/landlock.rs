//! Landlock (5.13): limits which files this thread, and those that it creates, can open.
//!
//! What it does not limit is harmless here or left to [`super::seccomp`]: an `O_PATH` descriptor,
//! which only names a file, and files that are open already.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath,
    PathFd, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
    path_beneath_rules,
};

/// The newest version whose rights are asked for. An older kernel gets those that it knows.
const NEWEST: ABI = ABI::V6;

/// What the sampling loop reads: the kernel's own files, the time zone (its file may change),
/// and the program itself, for the function names in a panic's message. Not /etc: user names
/// come from [`crate::host::helper`].
const READ: [&str; 6] = [
    "/proc",
    "/sys",
    "/usr/share/zoneinfo",
    "/etc/zoneinfo",
    "/etc/localtime",
    "/proc/self/exe",
];

/// The terminal of this process, whatever its name is.
const TERMINAL: &str = "/dev/tty";

/// From now on, only the kernel's own files can be read, and nothing but the terminal can be
/// written, except files in `directory`. No TCP connection can be made. Returns false if the kernel
/// has no Landlock.
///
/// A thread with such a limit can't look into the processes outside of it (ptrace(2)), which
/// decides about some files in `/proc/PID` too (`hook_ptrace_access_check` of
/// security/landlock/task.c): `io`, and all of them if /proc has `hidepid`.
///
/// # Errors
///
/// The kernel has Landlock, and refuses the rules.
pub fn read_only_kernel_files(directory: Option<&Path>) -> Result<bool, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    let files =
        read | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::MakeReg | AccessFs::RemoveFile;
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::AbstractUnixSocket)?
        .create()?
        .add_rules(path_beneath_rules(READ, read))?
        .add_rules(path_beneath_rules([TERMINAL], write))?
        .add_rules(path_beneath_rules(directory, files))?
        .restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

/// From now on, files can be written and created only below these directories.
///
/// # Errors
///
/// The kernel has Landlock, and refuses the rules.
pub fn write_only_below(directories: impl Iterator<Item = PathBuf>) -> Result<(), RulesetError> {
    let write = AccessFs::from_write(NEWEST) & !BitFlags::from(AccessFs::IoctlDev);
    let rule = |directory: &Path| {
        let opened = PathFd::new(directory).ok()?;
        Some(Ok::<_, RulesetError>(PathBeneath::new(opened, write)))
    };
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(write)?
        .create()?
        .add_rules(directories.filter_map(|directory| rule(&directory)))?
        .restrict_self()?;
    Ok(())
}
