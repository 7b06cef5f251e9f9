//! A cgroup is created. It may be removed before the user half looks: systemd removes a
//! unit's as soon as the unit's last task has exited.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP,
    helpers::generated::bpf_probe_read_kernel_str,
    macros::{map, raw_tracepoint},
    maps::PerCpuArray,
    programs::RawTracePointContext,
};
use iotop_common::{CgroupPath, Lost, cgroup::PATH};

use crate::{
    counters::lose,
    kernel::{layout::layout, memory::read, verifier::opaque},
    maps::CGROUPS,
};

/// `cgroup_root.hierarchy_id` of version 2: the default hierarchy reserves it
/// (`cgroup_init_root_id` of kernel/cgroup/cgroup.c).
const VERSION_2: u32 = 0;

/// The record under construction. The kernel holds a lock while it fires this event.
#[map]
static CGROUP: PerCpuArray<CgroupPath> = PerCpuArray::with_max_entries(1, 0);

/// Fires in the task that creates a cgroup of any hierarchy. `(cgroup, path)`.
#[raw_tracepoint]
pub fn cgroup_mkdir(ctx: RawTracePointContext) -> i32 {
    made(ctx.arg(0), ctx.arg(1));
    0
}

#[inline(always)]
fn made(cgroup: u64, path: u64) -> Option<()> {
    let root = read::<u64>(cgroup, layout!(cgroup_root))?;
    if read::<u32>(root, layout!(root_hierarchy_id))? != VERSION_2 {
        return None;
    }
    let kn = read::<u64>(cgroup, layout!(cgroup_kn))?;
    // SAFETY: this CPU's element, and only this program's.
    let record = unsafe { &mut *CGROUP.get_ptr_mut(0)? };
    record.id = read(kn, layout!(kernfs_node_id))?;
    let to = record.path.as_mut_ptr().cast();
    // SAFETY: the helper checks the path's address and writes no more than `PATH`.
    let length = unsafe { bpf_probe_read_kernel_str(to, PATH as u32, path as *const c_void) };
    if length <= 0 {
        lose(Lost::Cgroups, 1);
        return None;
    }
    let record = opaque(record);
    // SAFETY: within the element.
    let record = unsafe {
        core::slice::from_raw_parts(
            core::ptr::from_ref(record).cast::<u8>(),
            size_of::<u64>() + (length as usize).min(PATH),
        )
    };
    let no_wakeup = u64::from(BPF_RB_NO_WAKEUP);
    if CGROUPS.output::<[u8]>(record, no_wakeup).is_err() {
        lose(Lost::Cgroups, 1);
    }
    Some(())
}
