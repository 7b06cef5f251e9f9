//! A bio meets a cgroup's limit (`io.max`).

use aya_ebpf::{
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};

use crate::{
    kernel::typed::Typed,
    model::{held_back, program::Program},
};

/// Fires in the task's own context for a bio whose cgroup has a limit. When the
/// function ends, a bio that is held back already belongs to a worker.
#[fentry(function = "__blk_throtl_bio")]
pub fn bio_offered(ctx: FEntryContext) -> i32 {
    offered(&ctx, Program::BioOffered);
    0
}

/// The same on kernels where a task may be preempted inside a program. The kernel then
/// skips `bio_offered` for other tasks' bios on that CPU; this program runs for them.
#[fentry(function = "__blk_throtl_bio")]
pub fn bio_offered_again(ctx: FEntryContext) -> i32 {
    offered(&ctx, Program::BioOfferedAgain);
    0
}

/// Forgets a bio that was not held back: the task itself submits it now.
#[fexit(function = "__blk_throtl_bio")]
pub fn bio_let_through(ctx: FExitContext) -> i32 {
    let_through(&ctx, Program::BioLetThrough);
    0
}

/// Runs for the bios that the kernel skipped `bio_let_through` for.
#[fexit(function = "__blk_throtl_bio")]
pub fn bio_let_through_again(ctx: FExitContext) -> i32 {
    let_through(&ctx, Program::BioLetThroughAgain);
    0
}

/// The same on kernels without `__blk_throtl_bio`. They call `blk_throtl_bio` for every
/// bio, and only bios that are held back are worth the look-up.
#[fexit(function = "blk_throtl_bio")]
pub fn bio_held_back(ctx: FExitContext) -> i32 {
    if is_true(ctx.arg(1)) {
        let bio = Typed::new(ctx.arg::<*const u8>(0));
        held_back::record(bio, Program::BioOffered);
    }
    0
}

#[inline(always)]
fn offered(ctx: &FEntryContext, program: Program) {
    let bio = Typed::new(ctx.arg::<*const u8>(0));
    held_back::record(bio, program);
}

#[inline(always)]
fn let_through(ctx: &FExitContext, program: Program) {
    if !is_true(ctx.arg(1)) {
        let bio = Typed::new(ctx.arg::<*const u8>(0));
        held_back::forget(bio, program);
    }
}

/// A bool is the lowest byte of a register.
#[inline(always)]
fn is_true(result: u64) -> bool {
    result & 0xff != 0
}
