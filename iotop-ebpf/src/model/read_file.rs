//! The file that a bio reads.

use aya_ebpf::{bindings::BPF_ANY, macros::map, maps::LruHashMap};
use iotop_common::InodeKey;

use super::{control::control, current, inode::Inode, path};

/// The hash of each file's name when its path was last sent. Files that are only read have
/// no last dirtier, and must not displace one.
#[map]
static READ: LruHashMap<InodeKey, u32> = LruHashMap::with_max_entries(4 * 1024, 0);

/// Charges the current bio to the file with the mapping `LastTask::read_mapping`; to no file
/// if it is not the page cache's. If the user half wants files, sends the file's path, unless
/// it was sent before. A global function, see the crate documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn file_read(program: u32) -> u32 {
    charge(program);
    0
}

#[inline(always)]
fn charge(program: u32) -> Option<()> {
    let last = current::last(program)?;
    let inode = Inode::around(last.read_mapping)?;
    let known = &mut last.charged.known;
    known.ino = inode.ino()?;
    if control().flushes == 0 {
        return None;
    }
    known.file = inode.file()?;
    // Most bios read the same file as the one before.
    if last.read_ino != known.ino || last.read_file != known.file {
        last.read_ino = known.ino;
        last.read_file = known.file;
        tell(inode, program)?;
    }
    Some(())
}

#[inline(always)]
fn tell(inode: Inode, program: u32) -> Option<()> {
    let key = inode.key()?;
    // SAFETY: a copy of one word.
    let sent_hash = unsafe { READ.get(key) }.copied().unwrap_or(0);
    let now = path::send_if_new(inode.alias()?, &key, sent_hash, program);
    if now != sent_hash {
        let _ = READ.insert(key, now, u64::from(BPF_ANY));
    }
    Some(())
}
