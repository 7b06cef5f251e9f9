//! What this process may do.

use caps::{CapSet, Capability, CapsHashSet};

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

/// Drops the capabilities that are not needed once everything is loaded and attached. It keeps
/// those for reading maps, taskstats and other users' names, and those in `also`.
///
/// # Errors
///
/// The kernel refused to change a set of capabilities.
pub fn drop_unneeded(also: &[Capability]) -> Result<(), caps::errors::CapsError> {
    let needed = [
        Capability::CAP_BPF,
        Capability::CAP_NET_ADMIN,
        Capability::CAP_SYS_PTRACE,
        Capability::CAP_DAC_READ_SEARCH,
    ];
    let permitted = caps::read(None, CapSet::Permitted)?;
    // Before 5.8 there was no CAP_BPF, and reading maps takes CAP_SYS_ADMIN.
    if !permitted.contains(&Capability::CAP_BPF) {
        return Ok(());
    }
    let kept: CapsHashSet = needed
        .into_iter()
        .chain(also.iter().copied())
        .filter(|cap| permitted.contains(cap))
        .collect();
    caps::set(None, CapSet::Inheritable, &CapsHashSet::new())?;
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)
}
