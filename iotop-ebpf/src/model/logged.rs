//! Who changed an object of xfs last: a buffer, or an inode.

use aya_ebpf::{bindings::BPF_ANY, macros::map, maps::LruHashMap};
use iotop_common::tag::Slot;

use super::tenant::Tenant;

/// The task that logged each object last, by the object's address (`xfs_buf`, `xfs_inode`).
#[map]
static LOGGED: LruHashMap<u64, u32> = LruHashMap::with_max_entries(16 * 1024, 0);

/// Records that the task of a slot logged the object. `keeps`: a task that is known already
/// stays.
#[inline(always)]
pub fn record(object: u64, slot: Slot, keeps: bool) {
    if keeps && changer(object).is_some() {
        return;
    }
    if let Some(tenant) = Tenant::of(slot) {
        let _ = LOGGED.insert(object, tenant.0, u64::from(BPF_ANY));
    }
}

/// The task that logged the object last.
#[inline(always)]
pub fn changer(object: u64) -> Option<Slot> {
    // SAFETY: a copy of one word.
    Tenant(unsafe { LOGGED.get(object) }.copied()?).slot()
}
