//! Kernel threads that work for a task: a flusher that allocates a file's blocks, a worker that
//! converts extents when data was written, or that compresses data.

use core::mem::offset_of;

use aya_ebpf::{bindings::BPF_ANY, macros::map, maps::LruHashMap};
use iotop_common::{Owner, tag::Slot};

use super::{
    current::{Current, current},
    program::Program,
    slot::is_kthread,
    tenant::Tenant,
};
use crate::{kernel::clock::now, maps::OWNERS};

/// What a kernel thread works on.
#[repr(C)]
#[derive(Clone, Copy)]
struct Work {
    /// The thread itself: its slot may get another one.
    kthread: Tenant,
    /// The task that it works for.
    tenant: Tenant,
    /// The device of the file system (`super_block.s_dev`).
    dev: u32,
    /// Since when, on the tags' clock.
    since: u32,
}

/// The number of ticks after which the work counts as done, because no event tells of its end:
/// 7 to 10 s. A flusher returns to a large inode about once a second.
const TICKS: u32 = 512;

/// The work of each kernel thread, by its slot.
#[map]
static WORK_OF: LruHashMap<u32, Work> = LruHashMap::with_max_entries(1024, 0);

/// Records that the current kernel thread now works for the task of a slot, on the file system
/// with this device. `None`: it is not known for which task.
#[inline(always)]
pub fn record(kthread: &Current, dev: u32, slot: Option<Slot>) {
    match slot.and_then(Tenant::of).zip(Tenant::of(kthread.slot)) {
        Some((tenant, this)) => {
            let work = Work {
                kthread: this,
                tenant,
                dev,
                since: now().0,
            };
            let _ = WORK_OF.insert(kthread.slot, work, u64::from(BPF_ANY));
        }
        None => {
            let _ = WORK_OF.remove(kthread.slot);
        }
    }
}

/// The task that the kernel thread with this slot works for, on the file system with this
/// device. The same worker may work on another file system for another task.
#[inline(always)]
pub fn task_of(kthread: Slot, dev: u32) -> Option<Slot> {
    // SAFETY: a copy of a few words, which only the thread itself writes.
    let work = unsafe { WORK_OF.get(kthread) }.copied()?;
    let same = work.dev == dev && Some(work.kthread) == Tenant::of(kthread);
    match same && now().0.wrapping_sub(work.since) <= TICKS {
        true => work.tenant.slot(),
        false => None,
    }
}

/// The name of the kernel thread that writes zeros to the inode tables that mkfs left out
/// (`ext4_run_lazyinit_thread` of fs/ext4/super.c).
const EXT4_LAZYINIT: [u64; 2] = [
    u64::from_ne_bytes(*b"ext4lazy"),
    u64::from_ne_bytes(*b"init\0\0\0\0"),
];

/// True if a kernel thread works for no task, so that what it writes is its own.
#[inline(always)]
pub fn works_for_itself(kthread: Slot) -> bool {
    const { assert!(offset_of!(Owner, comm).is_multiple_of(8)) };
    let Some(owner) = OWNERS.get_ptr(kthread) else {
        return false;
    };
    // SAFETY: a map value; the name's 16 bytes are aligned, as asserted above.
    let comm = unsafe { *(&raw const (*owner).comm).cast::<[u64; 2]>() };
    comm == EXT4_LAZYINIT
}

/// The task that changes metadata of a file system now: the current one, or the one that it
/// works for.
#[inline(always)]
pub fn changer(program: Program, dev: u32) -> Option<Slot> {
    let current = current(program)?;
    // SAFETY: an element of `OWNERS`.
    if unsafe { is_kthread(current.owner) } {
        return task_of(current.slot, dev);
    }
    current.has_slot().then_some(current.slot)
}
