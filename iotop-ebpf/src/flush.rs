//! A writeback worker runs: why.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use iotop_common::tag::SLOT_FIRST;

use crate::{
    kernel::{Typed, layout},
    owners::{self, Asker},
};

/// Fires in the worker for each round of a flush, before it submits anything
/// (`wb_writeback` of fs/fs-writeback.c).
#[btf_tracepoint(function = "writeback_start")]
pub fn flush_started(ctx: BtfTracePointContext) -> i32 {
    let reason: u32 = Typed::arg(&ctx, 1).field(layout!(work_reason));
    runs(reason + 1);
    0
}

/// Fires in the worker when it has no work left (`wb_workfn`).
#[btf_tracepoint(function = "writeback_pages_written")]
pub fn flush_ended(_: BtfTracePointContext) -> i32 {
    runs(0);
    0
}

#[inline(always)]
fn runs(flush: u32) {
    // The slot of all that found none is no worker's own.
    if let Some(current) = owners::current(Asker::Flush)
        && current.slot >= SLOT_FIRST
    {
        // SAFETY: a map value; nobody but the task itself writes this field.
        unsafe { (*current.owner).flush = flush };
    }
}
