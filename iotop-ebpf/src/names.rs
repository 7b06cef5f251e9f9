//! A file's path, told once when its inode is first seen.

use aya_ebpf::{bindings::BPF_RB_NO_WAKEUP, helpers::bpf_probe_read_kernel_str_bytes};
use iotop_common::{
    FileName, InodeKey,
    file::{NAME, NAMES},
};

use crate::{
    kernel::{layout, try_read},
    maps::FILES,
};

/// Walks from the inode's first dentry up to the root. Names may change while
/// we read them: it is the path of this moment at best.
#[inline(never)]
pub fn tell(inode: u64, key: &InodeKey) {
    let Some(alias) = try_read::<u64>(inode, layout!(inode_i_dentry)).filter(|node| *node != 0)
    else {
        return;
    };
    let Some(mut place) = FILES.reserve::<FileName>(0) else {
        return;
    };
    let file = place.as_mut_ptr();
    // SAFETY: the place is ours until it is submitted.
    unsafe {
        (*file).ino = key.ino;
        (*file).dev = key.dev;
        (*file)._reserved = 0;
    }
    let mut dentry = alias.wrapping_sub(u64::from(layout!(dentry_d_alias)));
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
        // SAFETY: within the place; the helper checks the name's address.
        let part = unsafe {
            core::slice::from_raw_parts_mut((&raw mut (*file).names[n]).cast::<u8>(), NAME)
        };
        // SAFETY: as above.
        if unsafe { bpf_probe_read_kernel_str_bytes(name as *const u8, part) }.is_err() {
            break;
        }
        count += 1;
        dentry = parent;
    }
    // SAFETY: as above.
    unsafe {
        (*file).count = count;
        (*file).whole = whole;
    }
    place.submit(u64::from(BPF_RB_NO_WAKEUP));
}
