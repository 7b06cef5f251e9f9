//! What this process may do.

use std::io;

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};

/// The capabilities of this process.
#[derive(Clone, Debug, Default)]
pub struct Capabilities(CapsHashSet);

impl Capabilities {
    /// The effective capabilities, or none if they can't be read.
    pub fn effective() -> Capabilities {
        Capabilities(caps::read(None, CapSet::Effective).unwrap_or_default())
    }

    /// True if the process has this capability.
    pub fn has(&self, capability: Capability) -> bool {
        self.0.contains(&capability)
    }

    /// True if the process may load tracing programs, which takes `CAP_BPF` and `CAP_PERFMON`
    /// (5.8), or `CAP_SYS_ADMIN`.
    pub fn may_load_ebpf(&self) -> bool {
        self.has(Capability::CAP_SYS_ADMIN)
            || self.has(Capability::CAP_BPF) && self.has(Capability::CAP_PERFMON)
    }

    /// True if the process may query taskstats, which takes `CAP_NET_ADMIN` in the initial user
    /// namespace (kernel/taskstats.c).
    pub fn may_ask_taskstats(&self) -> bool {
        self.has(Capability::CAP_NET_ADMIN)
    }
}

/// `SECBIT_*` of include/uapi/linux/securebits.h, each with its lock: uid 0 means nothing when a
/// program is executed (`NOROOT`) and when ids change (`NO_SETUID_FIXUP`), no capability is kept
/// when ids change (`KEEP_CAPS_LOCKED` without `KEEP_CAPS`), and none can be made ambient.
const SECURE_BITS: libc::c_ulong = 0b1110_1111;

/// Closes every way in which this thread and those that it creates could get back a capability
/// that they do not have. Returns false if a way stays open for lack of `CAP_SETPCAP`, which is
/// so with file capabilities: the bounding set stays then, and `no_new_privs` alone makes that
/// set useless.
///
/// # Errors
///
/// The kernel refused.
pub fn never_regain() -> io::Result<bool> {
    let off: libc::c_ulong = 0;
    // SAFETY: prctl takes plain numbers.
    let set = |option: libc::c_int, value: libc::c_ulong| match unsafe {
        libc::prctl(option, value, off, off, off)
    } {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    };
    // No program that is executed gains anything: no set-user-ID, no file capabilities (3.5).
    set(libc::PR_SET_NO_NEW_PRIVS, 1)?;
    if !Capabilities::effective().has(Capability::CAP_SETPCAP) {
        return Ok(false);
    }
    // The kernel may have more capabilities than the crate has names for. It refuses the first
    // number that it does not have.
    for capability in 0.. {
        match set(libc::PR_CAPBSET_READ, capability) {
            Ok(0) => {}
            Ok(_) => {
                set(libc::PR_CAPBSET_DROP, capability)?;
            }
            Err(_) => break,
        }
    }
    set(libc::PR_SET_SECUREBITS, SECURE_BITS)?;
    Ok(true)
}

/// Gives up every capability of this thread but these, as far as it has them. Returns those that
/// it keeps.
///
/// # Errors
///
/// The kernel refused to change a set of capabilities.
pub fn keep_only(wanted: &CapsHashSet) -> Result<CapsHashSet, CapsError> {
    let permitted = caps::read(None, CapSet::Permitted)?;
    let kept: CapsHashSet = wanted.intersection(&permitted).copied().collect();
    // The ambient set goes with the inheritable one (capabilities(7)).
    caps::set(None, CapSet::Inheritable, &CapsHashSet::new())?;
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::CommandExt as _, process::Command};

    use super::*;

    /// uid 0 usually gets every capability back when it executes a program.
    #[test]
    fn a_program_that_is_executed_gets_no_capability_back() {
        let mut cat = Command::new("cat");
        cat.arg("/proc/self/status");
        let give_up = || {
            let kept = CapsHashSet::from([Capability::CAP_BPF]);
            never_regain()?;
            keep_only(&kept).map_err(io::Error::other)?;
            Ok(())
        };
        // SAFETY: prctl and capset are plain system calls; the small sets that are allocated
        // need nothing that another thread could hold.
        unsafe { cat.pre_exec(give_up) };
        let status = cat.output().expect("executed").stdout;
        let status = String::from_utf8(status).expect("text");
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.expect(name).trim().to_owned()
        };
        let may_lock = Capabilities::effective().has(Capability::CAP_SETPCAP);
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:", "CapBnd:"] {
            if set != "CapBnd:" || may_lock {
                assert_eq!(value(set), "0000000000000000", "{set}");
            }
        }
        assert_eq!(value("NoNewPrivs:"), "1");
    }
}
