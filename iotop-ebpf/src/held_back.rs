//! Bios that a cgroup's limit (`io.max`) holds back: a worker submits them later,
//! in its own context.

use aya_ebpf::{
    bindings::BPF_ANY,
    macros::{fexit, map},
    maps::LruHashMap,
    programs::FExitContext,
};
use iotop_common::{FlushId, tag::Slot};

use crate::{
    kernel::{Typed, layout},
    maps::OWNERS,
    owners::{self, Asker, is_kthread},
    submitted::{Submitter, syscall},
};

/// Who handed a bio to the block layer.
#[repr(C)]
#[derive(Clone, Copy)]
struct HeldBack {
    /// The task's: its slot may have a new tenant by then.
    start_boottime: u64,
    slot: Slot,
    flush: FlushId,
    kthread: u32,
    /// The bio's bytes. One that ends without being submitted leaves its address
    /// to another.
    size: u32,
}

/// By the bio's address.
#[map]
static HELD_BACK: LruHashMap<u64, HeldBack> = LruHashMap::with_max_entries(2 * 1024, 0);

/// Fires in the task's own context, with whether the bio is held back.
/// (`blk_throtl_bio` before 5.18.)
#[fexit(function = "__blk_throtl_bio")]
pub fn bio_held_back(ctx: FExitContext) -> i32 {
    // A bool is a register's lowest byte.
    if ctx.arg::<u64>(1) & 0xff != 0 {
        remember(Typed::from_helper(ctx.arg::<*const u8>(0)));
    }
    0
}

#[inline(always)]
fn remember(bio: Typed) -> Option<()> {
    let current = owners::current(Asker::HeldBack)?;
    // SAFETY: map values; the memory is this CPU's and only this program's.
    let (last, owner) = unsafe { (&mut *current.last, &*current.owner) };
    // SAFETY: an element of `OWNERS`.
    let kthread = unsafe { is_kthread(owner) };
    let held_back = HeldBack {
        start_boottime: owner.start_boottime,
        slot: current.slot,
        flush: match kthread {
            true => FlushId(owner.flush).running(),
            false => syscall(),
        },
        kthread: u32::from(kthread),
        size: bio.field(layout!(bio_bi_size)),
    };
    let address = bio.number(&raw mut last.number);
    HELD_BACK
        .insert(address, held_back, u64::from(BPF_ANY))
        .ok()
}

/// Who handed the bio of this address to the block layer, if it was held back.
#[inline(always)]
pub fn take(address: u64, size: u32) -> Option<Submitter> {
    // SAFETY: a copy; nobody else submits this bio.
    let held_back = unsafe { HELD_BACK.get(address) }.copied()?;
    let _ = HELD_BACK.remove(address);
    let owner = OWNERS.get_ptr(held_back.slot)?;
    // SAFETY: a map value; the user half writes `retired`.
    let same =
        unsafe { (*owner).start_boottime == held_back.start_boottime && (*owner).retired == 0 };
    (same && held_back.size == size).then_some(Submitter {
        slot: held_back.slot,
        kthread: held_back.kthread != 0,
        flush: held_back.flush,
    })
}
