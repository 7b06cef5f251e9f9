//! A task has to wait because too much is dirty.

use core::{arch::asm, ffi::c_void};

use aya_ebpf::{EbpfContext as _, macros::btf_tracepoint, programs::BtfTracePointContext};
use iotop_common::tag::SLOT_FIRST;

use crate::{
    kernel::layout,
    owners::{self, Asker},
};

/// Fires in a task that makes pages dirty, when `balance_dirty_pages` has found
/// how long it is to sleep: `pause` jiffies, none when it is not above 0.
#[btf_tracepoint(function = "balance_dirty_pages")]
pub fn task_throttled(ctx: BtfTracePointContext) -> i32 {
    let pause = if layout!(pause_arg) == 6 {
        arg6(ctx.as_ptr())
    } else {
        arg10(ctx.as_ptr())
    };
    if pause > 0
        && let Some(current) = owners::current(Asker::Throttled)
        && current.slot >= SLOT_FIRST
    {
        // SAFETY: a map value; nobody but the task itself writes these fields.
        unsafe {
            (*current.owner).throttled += pause as u64;
            (*current.owner).throttles += 1;
        }
    }
    0
}

// The verifier wants an argument's place as a constant; of two plain reads the
// compiler would make one, with a place that it chooses first.

#[inline(always)]
fn arg6(ctx: *mut c_void) -> i64 {
    let arg;
    // SAFETY: the verifier refuses what the tracepoint does not have.
    unsafe { asm!("{0} = *(u64 *)({1} + 48)", out(reg) arg, in(reg) ctx) };
    arg
}

#[inline(always)]
fn arg10(ctx: *mut c_void) -> i64 {
    let arg;
    // SAFETY: as above.
    unsafe { asm!("{0} = *(u64 *)({1} + 80)", out(reg) arg, in(reg) ctx) };
    arg
}
