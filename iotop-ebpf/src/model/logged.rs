//! Who changed an object of xfs last: a buffer, or an inode.

use aya_ebpf::{bindings::BPF_ANY, macros::map, maps::LruHashMap};
use iotop_common::tag::Slot;

use super::tenant::Tenant;
use crate::kernel::clock::now;

/// The task that logged an object.
#[repr(C)]
#[derive(Clone, Copy)]
struct Logged {
    tenant: Tenant,
    /// When, on the tags' clock.
    since: u32,
}

/// For how many ticks a task answers for an object: 80 to 120 s. xfs writes what it has logged
/// about every 30 s (`xfs_log_worker`), and another object may get the address.
const TICKS: u32 = 6000;

/// The task that logged each object last, by the object's address (`xfs_buf`, `xfs_inode`).
#[map]
static LOGGED: LruHashMap<u64, Logged> = LruHashMap::with_max_entries(16 * 1024, 0);

/// Records that the task of a slot logged the object. `keeps`: a task that is known already
/// stays.
#[inline(always)]
pub fn record(object: u64, slot: Slot, keeps: bool) {
    if keeps && changer(object).is_some() {
        return;
    }
    if let Some(tenant) = Tenant::of(slot) {
        let since = now().0;
        let _ = LOGGED.insert(object, Logged { tenant, since }, u64::from(BPF_ANY));
    }
}

/// The task that logged the object last.
#[inline(always)]
pub fn changer(object: u64) -> Option<Slot> {
    // SAFETY: a copy of two words.
    let logged = unsafe { LOGGED.get(object) }.copied()?;
    match now().0.wrapping_sub(logged.since) <= TICKS {
        true => logged.tenant.slot(),
        false => None,
    }
}
