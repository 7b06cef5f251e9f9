//! Answers the user half's audit: which of some tagged pages still wait to be written.

use core::ffi::c_void;

use aya_ebpf::programs::RawTracePointContext;
use iotop_common::{owner::MAPPING_NO_BLOCK, tag::FRAMES_ASKED};

use crate::{
    kernel::layout::layout,
    model::{any_page::page_at, folio::Folio, inode::Inode, mapping::MappingState},
};

/// Run by `BPF_PROG_TEST_RUN`, with the numbers of page frames. Returns one bit for each:
/// set if the page is dirty, under writeback or between the two.
#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tracepoint")]
pub extern "C" fn pages_waiting(ctx: *mut c_void) -> i32 {
    // aya's macro would make it return 0.
    let ctx = RawTracePointContext::new(ctx);
    // The verifier wants a constant offset for each argument.
    let frames: [u64; FRAMES_ASKED] = [
        ctx.arg(0),
        ctx.arg(1),
        ctx.arg(2),
        ctx.arg(3),
        ctx.arg(4),
        ctx.arg(5),
        ctx.arg(6),
        ctx.arg(7),
    ];
    let mut waiting = 0;
    for (n, frame) in frames.into_iter().enumerate() {
        waiting |= i32::from(waits(frame).is_some()) << n;
    }
    waiting
}

#[inline(always)]
fn waits(frame: u64) -> Option<()> {
    let folio = Folio::of(page_at(frame)?)?;
    // The frame may hold another page now: tmpfs's pages are always dirty.
    let kind = Inode::around(folio.mapping)?.mapping_kind()?;
    let tagged = kind != MAPPING_NO_BLOCK;
    // Only jbd2 makes a journalled page dirty, when its transaction commits.
    let journalled =
        MappingState::of(folio.mapping).is_some_and(|state| state.folios().is_journalled());
    let waits = 1 << layout!(pg_dirty) | 1 << layout!(pg_writeback) | 1 << layout!(pg_locked);
    (tagged && (journalled || folio.flags & waits != 0)).then_some(())
}
