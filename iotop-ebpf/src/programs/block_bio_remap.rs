//! A bio is remapped from its partition to the whole disk. Used before 5.12, where the
//! bio no longer names its partition when `block_bio_queue` fires.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{
    kernel::{
        layout::layout,
        typed::{Typed, arg},
    },
    model::{bio::is_queued, current::with_own_slot, partition, program::Program},
};

/// Fires right before `block_bio_queue`, in the same task, with the partition.
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
    // The device mapper fires the event for its own device, before a partition's event
    // or without one.
    if bio.field::<u8>(layout!(bio_bi_partno)) == 0 || is_queued(bio) {
        return;
    }
    // A slot that many tasks share can't keep a record.
    if let Some(current) = with_own_slot(Program::BioRemapped) {
        partition::record(&current, bio, partition as u32);
    }
}
