//! Asked by the user half: which of some tagged pages wait to be written still.

use core::ffi::c_void;

use aya_ebpf::{macros::map, maps::Array, programs::RawTracePointContext};
use iotop_common::{owner::MAPPING_NO_BLOCK, tag::FRAMES_ASKED};

use crate::{
    inode::Inode,
    kernel::{layout, try_read},
    mappings::Place,
    page::Folio,
};

/// The address of some page: all `struct page`s lie in one range.
#[map]
static ANY_PAGE: Array<u64> = Array::with_max_entries(1, 0);

/// Remembers the address of a page.
#[inline(always)]
pub fn remember(page: u64) {
    if let Some(any) = ANY_PAGE.get_ptr_mut(0) {
        // SAFETY: a map value of one aligned word; any page will do.
        unsafe {
            if *any == 0 {
                *any = page;
            }
        }
    }
}

/// Run by `BPF_PROG_TEST_RUN`, with the numbers of page frames; returns a bit for
/// each whose page is dirty, under writeback or on its way from one to the other.
#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tracepoint")]
pub extern "C" fn pages_waiting(ctx: *mut c_void) -> i32 {
    // aya's macro would have it return 0.
    let ctx = RawTracePointContext::new(ctx);
    // The verifier wants each argument's place as a constant.
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
    let any = ANY_PAGE.get(0).copied()?;
    let span = (u64::from(layout!(tag_mask)) + 1) << layout!(page_struct_shift);
    // The range may begin anywhere: where no page is the next span has it.
    let mut page = any & !(span - 1) | frame << layout!(page_struct_shift);
    if try_read::<u64>(page, 0).is_none() {
        page = if page > any { page - span } else { page + span };
    }
    let _ = try_read::<u64>(page, 0)?;
    let folio = Folio::of(page)?;
    // The frame may be another page's by now: tmpfs's are always dirty.
    let kind = Inode::around(folio.mapping)?.kind()?;
    let tagged = kind != MAPPING_NO_BLOCK;
    // Only jbd2 makes a journalled page dirty, when its transaction commits.
    let journalled = Place::of(folio.mapping).is_some_and(|place| place.folios().is_journalled());
    let waits = 1 << layout!(pg_dirty) | 1 << layout!(pg_writeback) | 1 << layout!(pg_locked);
    (tagged && (journalled || folio.flags & waits != 0)).then_some(())
}
