//! A task has to wait because too much is dirty.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{
    counters::add_u32,
    kernel::{layout::layout, typed::arg},
    model::{current::with_slot, program::Program},
};

/// Fires in a task that dirties pages, when `balance_dirty_pages` has computed how long
/// the task is to sleep: `pause` jiffies. It does not sleep where `pause` is not above
/// 0.
#[btf_tracepoint(function = "balance_dirty_pages")]
pub fn task_throttled(ctx: BtfTracePointContext) -> i32 {
    let pause = if layout!(pause_arg) == 6 {
        arg::<6>(&ctx)
    } else {
        arg::<10>(&ctx)
    };
    if pause.cast_signed() > 0
        && let Some(current) = with_slot(Program::TaskThrottled)
    {
        // SAFETY: a map value; only the fields' addresses are taken.
        unsafe {
            add_u32(&raw mut (*current.owner).throttled, pause as u32);
            add_u32(&raw mut (*current.owner).throttles, 1);
        }
    }
    0
}
