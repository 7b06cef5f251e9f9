//! A task has to wait because too much is dirty.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use iotop_common::tag::SLOT_FIRST;

use crate::{
    kernel::{arg, layout},
    owners::{self, Asker},
};

/// Fires in a task that makes pages dirty, when `balance_dirty_pages` has found
/// how long it is to sleep: `pause` jiffies, none when it is not above 0.
#[btf_tracepoint(function = "balance_dirty_pages")]
pub fn task_throttled(ctx: BtfTracePointContext) -> i32 {
    let pause = if layout!(pause_arg) == 6 {
        arg::<6>(&ctx)
    } else {
        arg::<10>(&ctx)
    };
    if pause.cast_signed() > 0
        && let Some(current) = owners::current(Asker::Throttled)
        && current.slot >= SLOT_FIRST
    {
        // SAFETY: a map value; nobody but the task itself writes these fields.
        unsafe {
            let slept = &mut (*current.owner).throttled;
            *slept = slept.wrapping_add(pause as u32);
            (*current.owner).throttles += 1;
        }
    }
    0
}
