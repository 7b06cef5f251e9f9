//! What is known of each mapping: whether any of its pages wait to be written, and
//! whether large folios may be among them. Most events are done when they have
//! looked here.

use aya_ebpf::{macros::map, maps::Array};

use crate::count::{add_u32, control};

/// How many places there are. Mappings that share one are only looked at more
/// often than they need be.
const PLACES: u32 = 1 << 15;

/// Large folios may be dirty.
const LARGE: u32 = 1 << 0;
/// None is.
const SMALL: u32 = 1 << 1;
/// Its pages are journalled (ext4's data=journal): bios of the journal have them too.
const JOURNALLED: u32 = 1 << 2;
/// No event tells which pages of a large folio a task writes: all of one are charged to
/// the first that did.
const WHOLE_FOLIOS: u32 = 1 << 3;
/// What a mapping is for good.
const KINDS: u32 = JOURNALLED | WHOLE_FOLIOS;

/// One place for each mapping, by a hash of its address.
#[map]
static MAPPINGS: Array<Known> = Array::with_max_entries(PLACES, 0);

#[repr(C)]
struct Known {
    /// How many live tags its pages have.
    live: u32,
    /// What they are; 0 while it is not known.
    folios: u32,
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

    /// A folio of so many pages becomes dirty. Where nothing else is dirty what was
    /// known of the others is forgotten.
    #[inline(always)]
    pub fn dirtied(self, pages: u32) {
        let mut folios = self.folios();
        if folios & JOURNALLED != 0 && !self.has_live_tags() {
            // Another mapping's, or this one's before.
            folios &= !JOURNALLED;
            self.set(folios);
        }
        if pages > 1 {
            if folios & LARGE == 0 {
                self.set(folios & KINDS | LARGE);
            }
        } else if folios & LARGE != 0 && !self.has_live_tags() && control().young == 0 {
            self.set(folios & KINDS | SMALL);
        }
    }

    /// Whether a large folio may be dirty. `was_dirty` tells whether any page may
    /// have been dirty before the trace began.
    #[inline(always)]
    pub fn may_have_large(self, was_dirty: impl Fn() -> bool) -> bool {
        let folios = self.folios();
        if folios & (LARGE | SMALL) == 0 && control().young != 0 {
            let is = if was_dirty() { LARGE } else { SMALL };
            self.set(folios | is);
            return is == LARGE;
        }
        folios & LARGE != 0 && (self.has_live_tags() || control().young != 0)
    }

    /// A file whose pages go through a journal (ext4's data=journal).
    #[inline(always)]
    pub fn is_journalled(self) -> bool {
        self.folios() & JOURNALLED != 0
    }

    /// See [`Place::is_journalled`].
    #[inline(always)]
    pub fn journalled(self) {
        if !self.is_journalled() {
            self.set(self.folios() | JOURNALLED);
        }
    }

    /// Of a large folio it is known who dirtied it first, not which pages.
    #[inline(always)]
    pub fn knows_whole_folios_only(self) -> bool {
        self.folios() & WHOLE_FOLIOS != 0
    }

    /// See [`Place::knows_whole_folios_only`].
    #[inline(always)]
    pub fn has_whole_folios(self) {
        if !self.knows_whole_folios_only() {
            self.set(self.folios() | WHOLE_FOLIOS);
        }
    }

    #[inline(always)]
    fn folios(self) -> u32 {
        // SAFETY: a map value of aligned words.
        unsafe { (*self.0).folios }
    }

    #[inline(always)]
    fn set(self, folios: u32) {
        // SAFETY: as above. Tasks that do so at once find out the same.
        unsafe { (*self.0).folios = folios };
    }
}
