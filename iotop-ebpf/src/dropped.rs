//! A page leaves the page cache: a tag that is still live says that its data
//! was never written.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use iotop_common::{
    Tag,
    tag::{SLOT_NONE, Slot},
};

use crate::{
    count::add,
    kernel::{layout, read},
    maps::OWNERS,
    page::{Visit, nr_pages, visit_tags},
};

/// Fires when a folio is truncated, reclaimed or invalidated. `PG_dirty` is
/// already clear by then. Clearing the tag also keeps the frame's next user
/// from inheriting it.
#[raw_tracepoint(tracepoint = "mm_filemap_delete_from_page_cache")]
pub fn folio_dropped(ctx: RawTracePointContext) -> i32 {
    clear(ctx.arg(0));
    0
}

#[inline(always)]
fn clear(folio: u64) -> Option<()> {
    let pages = nr_pages(folio, read::<u64>(folio, layout!(page_flags))?);
    let mut clear = Clear {
        slot: SLOT_NONE,
        pages: 0,
    };
    visit_tags(folio, pages, &mut clear);
    cancelled(clear.slot, clear.pages);
    Some(())
}

/// Clears tags, and adds up runs of live ones with the same owner.
struct Clear {
    slot: Slot,
    pages: u64,
}

impl Visit for Clear {
    #[inline(always)]
    fn tag(&mut self, place: *mut u32) {
        // SAFETY: a map value; the folio is locked.
        let tag = Tag(unsafe { *place });
        if tag == Tag::NONE {
            return;
        }
        // SAFETY: as above.
        unsafe { *place = Tag::NONE.0 };
        if !tag.is_live() {
            return;
        }
        if self.slot != tag.slot() {
            cancelled(self.slot, self.pages);
            self.slot = tag.slot();
            self.pages = 0;
        }
        self.pages += 1;
    }
}

#[inline(always)]
fn cancelled(slot: Slot, pages: u64) {
    if slot == SLOT_NONE {
        return;
    }
    if let Some(owner) = OWNERS.get_ptr_mut(slot) {
        // SAFETY: a map value; only the fields' addresses are taken.
        unsafe {
            add(&raw mut (*owner).cancelled_pages, pages);
            add(&raw mut (*owner).cleaned_pages, pages);
        }
    }
}
