//! A bio ends without having been part of a request: a device turned it away, or it is one of
//! a stacked device.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{
    kernel::{constants::BLK_STS_AGAIN, layout::layout, typed::Typed},
    model::{bio::is_counted, current, nowait, program::Program},
};

/// Fires when the last part of a bio ends, in any context. Bios that were part of a request
/// have no such event: `blk_update_request` clears `BIO_TRACE_COMPLETION`.
#[btf_tracepoint(function = "block_bio_complete")]
pub fn bio_turned_away(ctx: BtfTracePointContext) -> i32 {
    turned_away(Typed::arg(&ctx, 1), Program::BioTurnedAway);
    0
}

/// Runs second, on kernels where a task may be preempted inside a tracepoint. Handles the bios
/// that the kernel skipped `bio_turned_away` for: those are still in `nowait::COUNTED`.
#[btf_tracepoint(function = "block_bio_complete")]
pub fn bio_turned_away_again(ctx: BtfTracePointContext) -> i32 {
    turned_away(Typed::arg(&ctx, 1), Program::BioTurnedAwayAgain);
    0
}

#[inline(always)]
fn turned_away(bio: Typed, program: Program) -> Option<()> {
    let opf: u32 = bio.field(layout!(bio_bi_opf));
    let status: u8 = bio.field(layout!(bio_bi_status));
    if status != BLK_STS_AGAIN || opf & layout!(req_nowait) == 0 {
        return None;
    }
    let size: u32 = bio.field(layout!(bio_bi_size));
    if is_counted(opf, size) {
        let address = bio.address(current::scratch(program)?);
        nowait::turned_away(address, size);
    }
    Some(())
}
