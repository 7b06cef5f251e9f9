//! The last dirtiers of xfs's inodes by number, where xfs's types are not known.

use aya_ebpf::{bindings::BPF_ANY, macros::map, maps::LruHashMap};
use iotop_common::{InodeKey, tag::Slot};

use super::tenant::Tenant;

/// An inode by its number. Another one with this number replaces it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Number {
    ino: u64,
    dev: u32,
    _reserved: u32,
}

/// The task that dirtied each inode last.
#[map]
static NUMBERED: LruHashMap<Number, u32> = LruHashMap::with_max_entries(2 * 1024, 0);

/// Records that the task of a slot dirties an inode.
#[inline(always)]
pub fn record(key: &InodeKey, slot: Slot) {
    if let Some(tenant) = Tenant::of(slot) {
        let number = number(key.dev, key.ino);
        let _ = NUMBERED.insert(number, tenant.0, u64::from(BPF_ANY));
    }
}

/// The task that dirtied the inode with this number last.
#[inline(always)]
pub fn last_dirtier(dev: u32, ino: u64) -> Option<Slot> {
    // SAFETY: a copy of one word.
    Tenant(unsafe { NUMBERED.get(number(dev, ino)) }.copied()?).slot()
}

#[inline(always)]
fn number(dev: u32, ino: u64) -> Number {
    Number {
        ino,
        dev,
        _reserved: 0,
    }
}
