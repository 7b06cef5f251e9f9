//! A bio is submitted: charges the owners of its pages.

mod first_page;
mod nested;

mod order;
mod submit;
mod submitter;
mod walk;
mod walk_state;
mod walker;

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use self::{
    order::{AGAIN, AT_LAST, FIRST},
    submit::{Next, submitted},
};
use crate::{
    kernel::{layout::layout, typed::Typed},
    model::folio::{LARGE, SINGLE},
};

/// Fires once for each bio and each device it passes, before it is split. The bios that
/// enter at the top device add up to `pgpgin` and `pgpgout`.
#[btf_tracepoint(function = "block_bio_queue")]
pub fn bio_submitted(ctx: BtfTracePointContext) -> i32 {
    submitted_and_walked::<FIRST>(Typed::arg(&ctx, 0));
    0
}

/// Runs second, on kernels where a task may be preempted inside a tracepoint. The kernel
/// then skips `bio_submitted` for other tasks' bios on that CPU; this program counts
/// them.
#[btf_tracepoint(function = "block_bio_queue")]
pub fn bio_submitted_again(ctx: BtfTracePointContext) -> i32 {
    submitted_and_walked::<AGAIN>(Typed::arg(&ctx, 0));
    0
}

/// Runs third and counts the bios that both others missed because a task was preempted
/// inside them. It does not walk pages, so it is rarely preempted itself. The pages'
/// tags stay as they are.
#[btf_tracepoint(function = "block_bio_queue")]
pub fn bio_submitted_at_last(ctx: BtfTracePointContext) -> i32 {
    submitted::<LARGE, AT_LAST>(Typed::arg(&ctx, 0));
    0
}

/// The same as `bio_submitted` before 5.18.
#[btf_tracepoint(function = "block_bio_queue")]
pub fn bio_of_pages_submitted(ctx: BtfTracePointContext) -> i32 {
    if nested::enter() {
        if layout!(bio_arg) == 0 {
            submitted_of_pages(Typed::arg_of::<0>(&ctx));
        } else {
            submitted_of_pages(Typed::arg_of::<1>(&ctx));
        }
        walk::all_by_calls();
        nested::leave();
    }
    0
}

#[inline(always)]
fn submitted_and_walked<const ORDER: u32>(bio: Typed) {
    if submitted_of_folios::<ORDER>(bio) {
        walk::all::<ORDER>();
    }
}

/// Whether the bio's pages must be walked. A function of its own: together with the walk
/// it would exceed the stack.
#[inline(never)]
fn submitted_of_folios<const ORDER: u32>(bio: Typed) -> bool {
    submitted::<LARGE, ORDER>(bio) == Some(Next::Walk)
}

/// A function of its own for the same reason.
#[inline(never)]
fn submitted_of_pages(bio: Typed) {
    submitted::<SINGLE, FIRST>(bio);
}
