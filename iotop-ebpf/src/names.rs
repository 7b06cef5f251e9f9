//! A file's path, told when its inode is first seen and when its name changes.

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP, helpers::bpf_probe_read_kernel_str_bytes, macros::map,
    maps::PerCpuArray,
};
use iotop_common::{
    FileName, InodeKey,
    file::{NAMES, length},
};

use crate::{
    kernel::{layout, try_read},
    maps::FILES,
};

/// Tells the path unless its name has the hash `told`; returns the hash of
/// what is told now, which the kernel keeps and which a rename changes.
#[inline(always)]
pub fn tell(inode: u64, key: &InodeKey, told: u32) -> u32 {
    let Some(alias) = try_read::<u64>(inode, layout!(inode_i_dentry)).filter(|node| *node != 0)
    else {
        return told;
    };
    let dentry = alias.wrapping_sub(u64::from(layout!(dentry_d_alias)));
    let hash = try_read::<u32>(dentry, layout!(dentry_hash)).unwrap_or(0);
    if hash != told && walk(dentry, key) {
        hash
    } else {
        told
    }
}

/// Where each CPU puts a path together.
#[map]
static NAME_OF: PerCpuArray<FileName> = PerCpuArray::with_max_entries(1, 0);

/// Walks from the inode's first dentry up to the root. Names may change while
/// we read them: it is the path of this moment at best.
#[inline(never)]
fn walk(mut dentry: u64, key: &InodeKey) -> bool {
    let Some(file) = NAME_OF.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: this CPU's element; the one program that writes it never runs
    // twice at once on one CPU.
    let file = unsafe { &mut *file };
    file.ino = key.ino;
    file.dev = key.dev;
    file.file = key.file;
    let (mut count, mut whole) = (0, 0);
    for n in 0..NAMES {
        let parent = try_read::<u64>(dentry, layout!(dentry_d_parent)).unwrap_or(0);
        if parent == dentry {
            whole = 1;
            break;
        }
        let Some(name) = try_read::<u64>(dentry, layout!(dentry_name)) else {
            break;
        };
        // SAFETY: the helper checks the name's address.
        if unsafe { bpf_probe_read_kernel_str_bytes(name as *const u8, &mut file.names[n]) }
            .is_err()
        {
            break;
        }
        count = n + 1;
        dentry = parent;
    }
    file.count = count as u32;
    file.whole = whole;
    let no_wakeup = u64::from(BPF_RB_NO_WAKEUP);
    // SAFETY: within the element.
    let told = unsafe {
        core::slice::from_raw_parts(
            core::ptr::from_ref(file).cast::<u8>(),
            length(count.min(NAMES)),
        )
    };
    FILES.output::<[u8]>(told, no_wakeup).is_ok()
}
