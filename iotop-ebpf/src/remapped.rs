//! Before 5.12 a bio has left its partition behind when `block_bio_queue` fires:
//! it names the whole disk.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use iotop_common::tag::SLOT_FIRST;

use crate::{
    kernel::{Typed, arg, layout},
    owners::{self, Asker, Current},
};

/// Fires right before, in the same task, with the partition.
#[btf_tracepoint(function = "block_bio_remap")]
pub fn bio_remapped(ctx: BtfTracePointContext) -> i32 {
    if layout!(bio_arg) == 0 {
        remapped(Typed::arg_of::<0>(&ctx), arg::<1>(&ctx));
    } else {
        remapped(Typed::arg_of::<1>(&ctx), arg::<2>(&ctx));
    }
    0
}

#[inline(always)]
fn remapped(bio: Typed, partition: u64) {
    // The device mapper says so of its own device, before or without a partition.
    if bio.field::<u8>(layout!(bio_bi_partno)) == 0 || is_queued(bio) {
        return;
    }
    // A slot that many tasks share can't tell.
    if let Some(current) = owners::current(Asker::Remapped)
        && current.slot >= SLOT_FIRST
    {
        let mark = mark(&current, bio);
        // SAFETY: a map value; nobody but the task itself writes these fields.
        unsafe {
            (*current.owner).submitted = mark;
            (*current.owner).partition = partition as u32;
        }
    }
}

/// The partition that the bio the current task submits has left behind; 0 where
/// it has not. Told once: its address may be another bio's next.
#[inline(always)]
pub fn take(current: &Current, bio: Typed) -> u32 {
    if layout!(bio_bi_partno) == 0 || current.slot < SLOT_FIRST {
        return 0;
    }
    let mark = mark(current, bio);
    // SAFETY: as above.
    let owner = unsafe { &mut *current.owner };
    let same = owner.submitted == mark;
    owner.submitted = 0;
    if same { owner.partition } else { 0 }
}

/// Whether `block_bio_queue` has fired for it: what is left of a bio that was
/// split passes by here again, and does not fire.
#[inline(always)]
pub fn is_queued(bio: Typed) -> bool {
    u32::from(bio.field::<u16>(layout!(bio_bi_flags))) & layout!(bio_queued) != 0
}

/// What tells a bio from others: its address, which another one may have next, and
/// its place on the device. The lowest two bits are free, see `Owner::submitted`.
#[inline(always)]
pub fn mark(current: &Current, bio: Typed) -> u32 {
    // SAFETY: a map value; the memory is this CPU's and only this program's.
    let address = bio.number(unsafe { &raw mut (*current.last).number });
    let sector: u64 = bio.field(layout!(bio_bi_sector));
    // Neighbours in memory may be neighbours on the device.
    let spread = (sector as u32).wrapping_mul(0x9e37_79b1);
    spread.wrapping_add((address >> 4) as u32) << 2
}
