//! Bios that a cgroup's limit (`io.max`) holds back: a worker submits them later,
//! in its own context.

use aya_ebpf::{
    bindings::BPF_ANY,
    macros::{fentry, fexit, map},
    maps::HashMap,
    programs::{FEntryContext, FExitContext},
};
use iotop_common::{FlushId, Lost, tag::Slot};

use crate::{
    count::lose,
    kernel::{Typed, layout},
    maps::{LAST, OWNERS},
    owners::{self, Asker, is_kthread},
    remapped::{self, is_queued},
    submitted::{Submitter, is_counted, syscall},
};

/// Who handed a bio to the block layer.
#[repr(C)]
#[derive(Clone, Copy)]
struct HeldBack {
    /// The task's: its slot may have a new tenant by then.
    start_boottime: u64,
    slot: Slot,
    flush: FlushId,
    partition: u32,
    kthread: u32,
    /// The bio's bytes. One that ends without being submitted leaves its address
    /// to another.
    size: u32,
    _pad: u32,
}

/// By the bio's address.
#[map]
static HELD_BACK: HashMap<u64, HeldBack> = HashMap::with_max_entries(2 * 1024, 0);

/// Fires in the task's own context for a bio whose cgroup has a limit. When the
/// function ends a held back one is a worker's already.
#[fentry(function = "__blk_throtl_bio")]
pub fn bio_offered(ctx: FEntryContext) -> i32 {
    remember(Typed::from_helper(ctx.arg::<*const u8>(0)), Asker::Offered);
    0
}

/// The same once more where a task may be preempted inside of it: the kernel then
/// keeps `bio_offered` from other tasks' bios on that CPU.
#[fentry(function = "__blk_throtl_bio")]
pub fn bio_offered_again(ctx: FEntryContext) -> i32 {
    remember(
        Typed::from_helper(ctx.arg::<*const u8>(0)),
        Asker::OfferedAgain,
    );
    0
}

/// It was not held back: the task itself submits it now.
#[fexit(function = "__blk_throtl_bio")]
pub fn bio_let_through(ctx: FExitContext) -> i32 {
    forget(&ctx, Asker::LetThrough);
    0
}

/// As `bio_offered_again` is to `bio_offered`.
#[fexit(function = "__blk_throtl_bio")]
pub fn bio_let_through_again(ctx: FExitContext) -> i32 {
    forget(&ctx, Asker::LetThroughAgain);
    0
}

/// Before there was that function its like is called for every bio: only those
/// that are held back are worth the look-up.
#[fexit(function = "blk_throtl_bio")]
pub fn bio_held_back(ctx: FExitContext) -> i32 {
    if is_true(ctx.arg(1)) {
        remember(Typed::from_helper(ctx.arg::<*const u8>(0)), Asker::Offered);
    }
    0
}

/// A bool is a register's lowest byte.
#[inline(always)]
fn is_true(result: u64) -> bool {
    result & 0xff != 0
}

#[inline(always)]
fn forget(ctx: &FExitContext, asker: Asker) -> Option<()> {
    if !is_true(ctx.arg(1)) {
        let bio = Typed::from_helper(ctx.arg::<*const u8>(0));
        let last = LAST.get_ptr_mut(asker as u32)?;
        // SAFETY: a map value of this CPU, and only this program's.
        let address = bio.number(unsafe { &raw mut (*last).number });
        let _ = HELD_BACK.remove(address);
    }
    Some(())
}

#[inline(always)]
fn remember(bio: Typed, asker: Asker) -> Option<()> {
    let opf: u32 = bio.field(layout!(bio_bi_opf));
    let size: u32 = bio.field(layout!(bio_bi_size));
    // A limit holds back all kinds. Others than these are never asked for.
    if !is_counted(opf, size) || is_queued(bio) {
        return None;
    }
    let current = owners::current(asker)?;
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
        partition: remapped::take(&current, bio),
        kthread: u32::from(kthread),
        _pad: 0,
        size,
    };
    let address = bio.number(&raw mut last.number);
    let inserted = HELD_BACK.insert(address, held_back, u64::from(BPF_ANY));
    // Once a bio, whichever program comes second.
    if inserted.is_err() && matches!(asker, Asker::Offered) {
        lose(Lost::LimitedBios, 1);
    }
    Some(())
}

/// Whether somebody else handed the bio of this address to the block layer, and it
/// was held back: then that is who submits it.
#[inline(always)]
pub fn take(address: u64, size: u32, submitter: &mut Submitter) {
    // SAFETY: a copy; nobody else submits this bio.
    let Some(held_back) = (unsafe { HELD_BACK.get(address) }).copied() else {
        return;
    };
    let _ = HELD_BACK.remove(address);
    if held_back.size != size {
        return;
    }
    let Some(owner) = OWNERS.get_ptr(held_back.slot) else {
        return;
    };
    submitter.partition = held_back.partition;
    // SAFETY: a map value; the user half writes `retired`.
    let (start_boottime, retired) = unsafe { ((*owner).start_boottime, (*owner).retired) };
    if start_boottime == held_back.start_boottime && retired == 0 {
        submitter.slot = held_back.slot;
        submitter.kthread = held_back.kthread != 0;
        submitter.flush = held_back.flush;
        submitter.absent = true;
    }
}
