//! The flusher's run in which each btrfs inode was flushed last. btrfs has other
//! workers submit what a flusher puts under writeback.

use aya_ebpf::{bindings::BPF_ANY, macros::map, maps::LruHashMap};
use iotop_common::{
    FlushId, Flushed,
    tag::{SUBMITTED_ANSWERS_TICKS, Slot},
};

use super::{current::Current, known_inode::KnownInode};
use crate::{
    kernel::{clock::now, layout::layout, typed::Typed},
    maps::OWNERS,
};

/// The run in which each inode was flushed last, by the inode's address.
#[map]
static FLUSHED: LruHashMap<u64, Flushed> = LruHashMap::with_max_entries(512, 0);

/// Records that the current task writes an inode back, if the task is in a run.
#[inline(always)]
pub fn record(current: &Current, inode: Typed) {
    // SAFETY: map values; the memory is this CPU's and only this program's.
    let (last, worker) = unsafe { (&mut *current.last, &*current.owner) };
    let flush = FlushId(worker.flush);
    if flush.running() != FlushId::NONE {
        let flushed = Flushed {
            flush: flush.0,
            worker: current.slot,
            generation: worker.generation,
            tick: now().0,
        };
        let inode = inode.address(&raw mut last.scratch);
        let _ = FLUSHED.insert(inode, flushed, u64::from(BPF_ANY));
    }
}

/// The flusher that wrote this inode back a moment ago, and its run, where another task
/// submits the inode's pages.
#[inline(always)]
pub fn flusher_of(known: &KnownInode) -> Option<(Slot, FlushId)> {
    if known.ino == 0 {
        return None;
    }
    let inode = known.mapping.wrapping_sub(u64::from(layout!(inode_i_data)));
    // SAFETY: a copy out of a map value; each field is one word.
    let flushed = *unsafe { FLUSHED.get(inode) }?;
    let worker = OWNERS.get_ptr(flushed.worker)?;
    // SAFETY: a map value; one word is read.
    let same_worker = unsafe { (*worker).generation } == flushed.generation;
    let just_now = now().0.wrapping_sub(flushed.tick) <= SUBMITTED_ANSWERS_TICKS;
    (same_worker && just_now).then_some((flushed.worker, FlushId(flushed.flush)))
}
