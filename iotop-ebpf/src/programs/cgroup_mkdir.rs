//! A cgroup is created. It may be removed before the user half looks: systemd removes a
//! unit's as soon as the unit's last task has exited.

use core::{ffi::c_void, mem::offset_of};

use aya_ebpf::{
    helpers::generated::bpf_probe_read_kernel_str,
    macros::{map, raw_tracepoint},
    maps::PerCpuArray,
    programs::RawTracePointContext,
};
use iotop_common::{CgroupPath, Lost, cgroup::PATH};

use crate::{
    counters::lose,
    kernel::{layout::layout, memory::read},
    maps::CGROUPS,
    model::record::send,
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
    let head = offset_of!(CgroupPath, path);
    send(&CGROUPS, record, head, length as usize, Lost::Cgroups);
    Some(())
}
