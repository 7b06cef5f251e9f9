//! Finds a bio's submitter.

use iotop_common::{Class, Control, FlushId, owner::OWNER_COMMITS, tag::Slot};

use crate::{
    kernel::{typed::Typed, verifier::opaque},
    model::{
        charge::Charged, current::Current, epoch::CpuEpoch, flushed, held_back, partition,
        slot::is_kthread, submitter::Submitter,
    },
};

/// The task that handed the bio to the block layer: the current one, or another one
/// whose bio was held back.
#[inline(always)]
pub fn submitter_of(current: &Current, bio: Typed, size: u32, control: &Control) -> Submitter {
    // SAFETY: map values; the memory is this CPU's and only this program's.
    let (last, kthread) = unsafe { (&mut *current.last, is_kthread(current.owner)) };
    // SAFETY: as above.
    let commits = unsafe { (*current.owner).flags & OWNER_COMMITS != 0 };
    last.submitter = Submitter {
        slot: current.slot,
        kthread,
        flush: match kthread {
            // SAFETY: as above.
            true => FlushId(unsafe { (*current.owner).flush }).running(),
            false => FlushId::NONE,
        },
        partition: partition::take(current, bio),
        absent: false,
        commits,
    };
    if kthread && control.held_back != 0 {
        let address = bio.address(&raw mut last.scratch);
        held_back::take(address, size, &mut last.submitter);
    }
    *opaque(&mut last.submitter)
}

/// The slot of the task that a charged bio is submitted for, and its reason, see
/// `FactKey::flush`. btrfs has its checksum workers submit the bios of a flusher: these
/// count as the flusher's.
#[inline(always)]
pub fn on_behalf_of(submitter: &Submitter, charged: &Charged, epoch: &CpuEpoch) -> (Slot, u32) {
    const READ: u32 = Class::Read as u32;
    const STACKED: u32 = Class::Stacked as u32;
    const DIRECT: u32 = Class::Direct as u32;
    match charged.charge.class() {
        READ | STACKED => return (submitter.slot, submitter.flush.0),
        // The class is itself the reason.
        DIRECT => return (submitter.slot, FlushId::NONE.0),
        _ => {}
    }
    if submitter.may_be_for_a_flusher(epoch)
        && let Some((worker, flush)) = flushed::flusher_of(&charged.known)
    {
        return (worker, flush.0);
    }
    (submitter.slot, submitter.flush(epoch))
}
