//! What is known of each mapping: whether any of its pages wait to be written, and
//! whether large folios may be among them. Most events are done when they have
//! looked here.

use aya_ebpf::{macros::map, maps::Array};
use iotop_common::Folios;

use crate::count::{add_u32, control};

/// How many places there are. Mappings that share one are only looked at more
/// often than they need be.
const PLACES: u32 = 1 << 15;

/// One place for each mapping, by a hash of its address.
#[map]
static MAPPINGS: Array<Known> = Array::with_max_entries(PLACES, 0);

#[repr(C)]
struct Known {
    /// How many live tags its pages have.
    live: u32,
    folios: Folios,
}

/// The place of a mapping.
#[derive(Clone, Copy)]
pub struct Place(*mut Known);

impl Place {
    #[inline(always)]
    pub fn of(mapping: u64) -> Option<Place> {
        // Inodes are larger than a cache line: the bits above spread best.
        let hash = (mapping >> 6).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let index = (hash >> (u64::BITS - PLACES.trailing_zeros())) as u32;
        MAPPINGS.get_ptr_mut(index).map(Place)
    }

    /// Whether any page has a live tag.
    #[inline(always)]
    pub fn has_live_tags(self) -> bool {
        // SAFETY: a map value of aligned words.
        unsafe { (*self.0).live != 0 }
    }

    /// So many tags became live.
    #[inline(always)]
    pub fn add(self, tags: u32) {
        // SAFETY: a map value; only the field's address is taken.
        add_u32(unsafe { &raw mut (*self.0).live }, tags);
    }

    /// So many tags are live no longer.
    #[inline(always)]
    pub fn sub(self, tags: u32) {
        self.add(tags.wrapping_neg());
    }

    /// A folio of so many pages becomes dirty.
    #[inline(always)]
    pub fn dirtied(self, pages: u32) {
        let young = control().young != 0;
        self.set(self.folios().dirtied(pages, self.has_live_tags(), young));
    }

    /// Whether a large folio may be dirty. `was_dirty` tells whether any page may
    /// have been dirty before the trace began.
    #[inline(always)]
    pub fn may_have_large(self, was_dirty: impl Fn() -> bool) -> bool {
        let young = control().young != 0;
        if young && self.folios().is_new() {
            self.set(self.folios().seen(was_dirty()));
        }
        self.folios().may_be_large() && (young || self.has_live_tags())
    }

    /// What is known of its folios.
    #[inline(always)]
    pub fn folios(self) -> Folios {
        // SAFETY: a map value of aligned words.
        unsafe { (*self.0).folios }
    }

    /// Remembers what is known of its folios.
    #[inline(always)]
    pub fn set(self, folios: Folios) {
        if self.folios() != folios {
            // SAFETY: as above. Tasks that do so at once find out the same.
            unsafe { (*self.0).folios = folios };
        }
    }
}
