//! Sends a file's path to the user half, when its inode is first seen and when its name
//! changes.

use core::ffi::c_void;

use aya_ebpf::{helpers::generated::bpf_probe_read_kernel_str, macros::map, maps::PerCpuArray};
use iotop_common::{
    FileHead, FileName, InodeKey, Lost,
    file::{CUT, NAME, NAMES, SIBLING, SIBLING_TICKS, WHOLE},
};

use super::{program::Program, record::send};
use crate::{
    kernel::{clock::now, layout::layout, memory::try_read},
    maps::FILES,
};

/// Sends the path, unless the file's name still has the hash `sent_hash`. Returns the hash
/// of the name that was sent last. The kernel keeps this hash, and a rename changes it.
/// `alias` is the link of the inode's first dentry.
#[inline(always)]
pub fn send_if_new(alias: u64, key: &InodeKey, sent_hash: u32, program: u32) -> u32 {
    if alias == 0 {
        return sent_hash;
    }
    let dentry = alias.wrapping_sub(u64::from(layout!(dentry_d_alias)));
    let hash = try_read::<u32>(dentry, layout!(dentry_hash)).unwrap_or(0);
    if hash != sent_hash && tell_path(dentry, key.ino, key.dev, key.file, program) != 0 {
        hash
    } else {
        sent_hash
    }
}

/// The path under construction, for each CPU and each program that sends paths.
#[map]
static NAME_OF: PerCpuArray<FileName> = PerCpuArray::with_max_entries(Program::WITH_PATHS, 0);

/// The directory whose path was sent last, and when.
#[repr(C)]
struct LastDir {
    dir: u64,
    sent: u32,
    _reserved: u32,
}

/// The last directory, for each CPU and each program that sends paths. Most files that
/// are written one after the other lie in one directory.
#[map]
static LAST_DIR: PerCpuArray<LastDir> = PerCpuArray::with_max_entries(Program::WITH_PATHS, 0);

/// Sends a path: walks from the inode's first dentry up to the root. Names may change
/// during the walk, so the path is at best the one of this moment. Returns 0 where the
/// ring buffer had no room. A global function, see the crate documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn tell_path(mut dentry: u64, ino: u64, dev: u32, id: u32, program: u32) -> u32 {
    let Some(file) = NAME_OF.get_ptr_mut(program) else {
        return 0;
    };
    // SAFETY: this CPU's element of this program, which never runs twice at once on
    // one CPU.
    let file = unsafe { &mut *file };
    let Some(last) = LAST_DIR.get_ptr_mut(program) else {
        return 0;
    };
    // SAFETY: as above.
    let last = unsafe { &mut *last };
    let parent_of = |dentry| try_read::<u64>(dentry, layout!(dentry_d_parent)).unwrap_or(0);
    let dir = parent_of(dentry);
    let now = now().0;
    let sibling = dir == last.dir && now.wrapping_sub(last.sent) < SIBLING_TICKS;
    file.head.ino = ino;
    file.head.dev = dev;
    file.head.file = id;
    file.head.dir = dir;
    let (mut count, mut whole, mut end, mut parent) = (0, CUT, 0, dir);
    for n in 0..NAMES {
        if parent == dentry {
            whole = WHOLE;
            break;
        }
        let Some(name) = try_read::<u64>(dentry, layout!(dentry_name)) else {
            break;
        };
        let place = &mut file.names[n];
        let (to, len) = (place.as_mut_ptr().cast(), place.len() as u32);
        // SAFETY: the helper checks the name's address and writes no more than `len`.
        let read = unsafe { bpf_probe_read_kernel_str(to, len, name as *const c_void) };
        if read < 0 {
            break;
        }
        count = n + 1;
        end = n * NAME + read as usize;
        if sibling {
            whole = SIBLING;
            break;
        }
        dentry = parent;
        parent = parent_of(dentry);
    }
    file.head.count = count as u32;
    file.head.whole = whole;
    let sent = send(&FILES, file, size_of::<FileHead>(), end, Lost::Paths);
    if sent && whole == WHOLE {
        last.dir = dir;
        last.sent = now;
    }
    u32::from(sent)
}
