//! The submitters of bios that a cgroup's limit (`io.max`) holds back. A worker submits
//! these bios later, in its own context.

use aya_ebpf::{bindings::BPF_ANY, macros::map, maps::HashMap};
use iotop_common::{FlushId, Lost, tag::Slot};

use super::{
    bio::{is_counted, is_queued},
    commit,
    current::{self, current},
    partition,
    program::Program,
    slot::is_kthread,
    submitter::Submitter,
};
use crate::{
    counters::lose,
    kernel::{layout::layout, syscall::current_syscall, typed::Typed},
    maps::OWNERS,
};

/// The submitter of a bio that may be held back.
#[repr(C)]
#[derive(Clone, Copy)]
struct HeldBack {
    /// The task's. Its slot may have a new tenant when the bio is submitted.
    start_boottime: u64,
    slot: Slot,
    flush: FlushId,
    partition: u32,
    kthread: u32,
    /// The bio's bytes. They must match: a bio that ends without being submitted leaves
    /// its address to another bio.
    size: u32,
    _pad: u32,
}

/// The submitters, by the bio's address.
#[map]
static HELD_BACK: HashMap<u64, HeldBack> = HashMap::with_max_entries(2 * 1024, 0);

/// Records the current task as the submitter of a bio.
#[inline(always)]
pub fn record(bio: Typed, program: Program) -> Option<()> {
    let opf: u32 = bio.field(layout!(bio_bi_opf));
    let size: u32 = bio.field(layout!(bio_bi_size));
    // A limit holds back all kinds of bios. The programs on `block_bio_queue` look up
    // only these.
    if !is_counted(opf, size) || is_queued(bio) {
        return None;
    }
    let current = current(program)?;
    // SAFETY: map values; the memory is this CPU's and only this program's.
    let (last, owner) = unsafe { (&mut *current.last, &*current.owner) };
    // SAFETY: an element of `OWNERS`.
    let kthread = unsafe { is_kthread(owner) };
    let held_back = HeldBack {
        start_boottime: owner.start_boottime,
        slot: current.slot,
        flush: match kthread {
            true => FlushId(owner.flush).running(),
            false => current_syscall(),
        },
        partition: partition::take(&current, bio),
        kthread: u32::from(kthread),
        _pad: 0,
        size,
    };
    let address = bio.address(&raw mut last.scratch);
    let inserted = HELD_BACK.insert(address, held_back, u64::from(BPF_ANY));
    // Only the first program counts the loss, so a bio is counted once.
    if inserted.is_err() && matches!(program, Program::BioOffered) {
        lose(Lost::LimitedBios, 1);
    }
    Some(())
}

/// Forgets a bio that was not held back.
#[inline(always)]
pub fn forget(bio: Typed, program: Program) -> Option<()> {
    let address = bio.address(current::scratch(program)?);
    let _ = HELD_BACK.remove(address);
    Some(())
}

/// Replaces the submitter of the bio at this address, if another task handed the bio
/// to the block layer and it was held back.
#[inline(always)]
pub fn take(address: u64, size: u32, submitter: &mut Submitter) {
    // SAFETY: a copy; no other task submits this bio.
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
        // The transaction's commit waits for its log.
        submitter.commits = commit::is_committing(held_back.slot);
    }
}
