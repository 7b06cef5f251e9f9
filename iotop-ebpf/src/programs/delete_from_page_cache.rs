//! A folio leaves the page cache.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

use crate::{
    kernel::{layout::layout, typed::Typed},
    model::{
        dropped::{Dropped, Dropper, clear_all},
        folio::{LARGE, SINGLE, nr_cache_pages},
        frame::Frame,
        mapping::MappingState,
    },
};

/// Fires when a folio is truncated, reclaimed or invalidated. `PG_dirty` is already
/// clear by then. Where no page of the file waits to be written, no tag is live.
#[btf_tracepoint(function = "mm_filemap_delete_from_page_cache")]
pub fn folio_dropped(ctx: BtfTracePointContext) -> i32 {
    dropped::<LARGE>(Typed::arg(&ctx, 0));
    0
}

/// The same before 5.18.
#[btf_tracepoint(function = "mm_filemap_delete_from_page_cache")]
pub fn page_dropped(ctx: BtfTracePointContext) -> i32 {
    dropped::<SINGLE>(Typed::arg(&ctx, 0));
    0
}

#[inline(always)]
fn dropped<const FOLIOS: bool>(folio: Typed) -> Option<()> {
    let dropper = Dropper::Folio as u32;
    let dropped = Dropped::of_this_cpu(dropper)?;
    let mapping = folio.pointer(layout!(page_mapping));
    let state = MappingState::of(mapping.address(&raw mut dropped.scratch))?;
    if !state.has_live_tags() {
        return None;
    }
    let flags: u64 = folio.field(layout!(page_flags));
    let folio = folio.address(&raw mut dropped.scratch);
    let pages = nr_cache_pages::<FOLIOS>(folio, flags);
    dropped.begin(Frame::of(folio), pages);
    if FOLIOS == SINGLE || pages == 1 {
        dropped.clear(Frame::of(folio));
    } else {
        clear_all(dropper, pages);
    }
    dropped.end(state);
    Some(())
}
