//! The state of each mapping: how many of its tags are live, and whether large folios
//! may be dirty. For most events this is all that has to be read.

use aya_ebpf::{macros::map, maps::Array};
use iotop_common::Folios;

use super::control::control;
use crate::counters::add_u32;

/// The number of states. If two mappings share one, they are only walked more often
/// than necessary.
const STATES: u32 = 1 << 15;

/// One state for each mapping, by a hash of its address.
#[map]
static MAPPINGS: Array<State> = Array::with_max_entries(STATES, 0);

#[repr(C)]
struct State {
    /// The number of live tags of its pages.
    live: u32,
    folios: Folios,
}

/// The state of one mapping (`struct address_space`).
#[derive(Clone, Copy)]
pub struct MappingState(*mut State);

impl MappingState {
    #[inline(always)]
    pub fn of(mapping: u64) -> Option<MappingState> {
        // Inodes are larger than a cache line: the bits above spread best.
        let hash = (mapping >> 6).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let index = (hash >> (u64::BITS - STATES.trailing_zeros())) as u32;
        MAPPINGS.get_ptr_mut(index).map(MappingState)
    }

    /// Whether any page has a live tag. The count may be too high, never too low: true
    /// may be wrong, false is right.
    #[inline(always)]
    pub fn has_live_tags(self) -> bool {
        // SAFETY: a map value of aligned words.
        unsafe { (*self.0).live != 0 }
    }

    /// Counts tags that became live.
    #[inline(always)]
    pub fn add(self, tags: u32) {
        // SAFETY: a map value; only the field's address is taken.
        add_u32(unsafe { &raw mut (*self.0).live }, tags);
    }

    /// Counts tags that are no longer live.
    #[inline(always)]
    pub fn sub(self, tags: u32) {
        self.add(tags.wrapping_neg());
    }

    /// A folio of `pages` pages becomes dirty.
    #[inline(always)]
    pub fn dirtied(self, pages: u32) {
        let pre_trace = control().pre_trace != 0;
        self.set(
            self.folios()
                .dirtied(pages, self.has_live_tags(), pre_trace),
        );
    }

    /// Whether a large folio may be dirty. `was_dirty` tells whether any page may
    /// have been dirty before the trace began.
    #[inline(always)]
    pub fn may_have_large(self, was_dirty: impl Fn() -> bool) -> bool {
        let pre_trace = control().pre_trace != 0;
        if pre_trace && self.folios().is_new() {
            self.set(self.folios().seen(was_dirty()));
        }
        self.folios().may_be_large() && (pre_trace || self.has_live_tags())
    }

    /// What is known about its folios.
    #[inline(always)]
    pub fn folios(self) -> Folios {
        // SAFETY: a map value of aligned words.
        unsafe { (*self.0).folios }
    }

    /// Stores what is known about its folios.
    #[inline(always)]
    pub fn set(self, folios: Folios) {
        if self.folios() != folios {
            // SAFETY: as above. Tasks that do this at the same time store the same.
            unsafe { (*self.0).folios = folios };
        }
    }
}
