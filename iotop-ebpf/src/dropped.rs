//! A page leaves the page cache: a tag that is still live says that its data
//! was never written.

use aya_ebpf::{
    macros::{btf_tracepoint, map},
    maps::PerCpuArray,
    programs::BtfTracePointContext,
};
use iotop_common::{
    Tag,
    tag::{Pair, SLOT_NONE, Slot},
};

use crate::{
    count::add,
    kernel::{Typed, layout},
    maps::OWNERS,
    page::{Frame, LARGE, SINGLE, Visit, nr_cache_pages, visit_tags},
};

/// See [`Typed::number`]; and what is under way on each CPU, in a map because the
/// verifier forgets what is written there.
#[map]
static DROPPED: PerCpuArray<Dropped> = PerCpuArray::with_max_entries(1, 0);

#[repr(C)]
struct Dropped {
    number: u64,
    clear: Clear,
}

/// Fires when a folio is truncated, reclaimed or invalidated. `PG_dirty` is
/// already clear by then. Clearing the tag also keeps the frame's next user
/// from inheriting it.
#[btf_tracepoint(function = "mm_filemap_delete_from_page_cache")]
pub fn folio_dropped(ctx: BtfTracePointContext) -> i32 {
    clear::<LARGE>(Typed::arg(&ctx, 0));
    0
}

/// The same before 5.18.
#[btf_tracepoint(function = "mm_filemap_delete_from_page_cache")]
pub fn page_dropped(ctx: BtfTracePointContext) -> i32 {
    clear::<SINGLE>(Typed::arg(&ctx, 0));
    0
}

#[inline(always)]
fn clear<const FOLIOS: bool>(folio: Typed) -> Option<()> {
    let flags: u64 = folio.field(layout!(page_flags));
    // SAFETY: a map value of this CPU, and only this program's.
    let Dropped { number, clear } = unsafe { &mut *DROPPED.get_ptr_mut(0)? };
    let folio = folio.number(number);
    let pages = nr_cache_pages::<FOLIOS>(folio, flags);
    clear.slot = SLOT_NONE;
    clear.pages = 0;
    visit_tags::<FOLIOS, _>(folio, pages, clear);
    cancelled(clear.slot, clear.pages);
    Some(())
}

/// Clears tags, and adds up runs of live ones with the same owner.
#[repr(C)]
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

    #[inline(always)]
    fn pair(&mut self, place: *mut u64, _: Frame) {
        // SAFETY: as above.
        let [one, other] = Pair(unsafe { *place }).tags();
        if one.is_live() || other.is_live() {
            let place = place.cast::<u32>();
            self.tag(place);
            // SAFETY: the second half of the pair.
            self.tag(unsafe { place.add(1) });
        } else if one != Tag::NONE || other != Tag::NONE {
            // SAFETY: as above.
            unsafe { *place = Pair::NONE.0 };
        }
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
