//! Which folio of a file is in the page cache at an index: a walk down the mapping's
//! xarray (lib/xarray.c, `xas_load`).

use iotop_common::layout::FOLIO_BYTES;

use crate::kernel::{Words, layout, read_or_zero};

/// Levels of an xarray that is as large as an index can be.
const LEVELS: u32 = 7;
const FOLIO_WORDS: usize = FOLIO_BYTES as usize / 8;

/// A folio of the page cache.
pub struct Cached {
    /// Its address.
    pub folio: u64,
    /// `page.flags`.
    pub flags: u64,
    /// The index of its first page, modulo 2^32.
    pub index: u32,
}

impl Cached {
    /// The folio at an index, if there is one.
    #[inline(always)]
    pub fn at(mapping: u64, index: u64) -> Option<Cached> {
        let folio = cached_folio(mapping, index);
        if folio == 0 {
            return None;
        }
        let words = Words::<FOLIO_WORDS>::read(folio)?;
        // It may have left the file since.
        (words.at::<u64>(layout!(page_mapping)) == mapping).then(|| Cached {
            folio,
            flags: words.at(layout!(page_flags)),
            index: words.at::<u64>(layout!(folio_index)) as u32,
        })
    }

    #[inline(always)]
    pub fn is_dirty(&self) -> bool {
        self.flags >> layout!(pg_dirty) & 1 != 0
    }
}

/// The address of the folio at an index; 0 where there is none. The kernel frees
/// nodes after an RCU grace period, and a program runs within one. A global function
/// is verified once, on its own.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn cached_folio(mapping: u64, index: u64) -> u64 {
    let mut entry: u64 = read_or_zero(mapping, layout!(mapping_xa_head));
    if !is_node(entry) {
        return if index == 0 && is_pointer(entry) {
            entry
        } else {
            0
        };
    }
    let top: u8 = read_or_zero(entry - NODE, layout!(xa_node_shift));
    let mut shift = u32::from(top) & 63;
    let mask = (1u64 << layout!(xa_chunk_shift)) - 1;
    if index >> shift > mask {
        return 0;
    }
    for _ in 0..LEVELS {
        let node = entry - NODE;
        entry = slot(node, index >> (shift & 63) & mask);
        if is_sibling(entry) {
            entry = slot(node, entry >> 2 & mask);
        }
        if !is_node(entry) {
            break;
        }
        shift -= layout!(xa_chunk_shift);
    }
    if is_pointer(entry) { entry } else { 0 }
}

/// What is added to a node's address to mark it (include/linux/xarray.h).
const NODE: u64 = 2;

#[inline(always)]
fn slot(node: u64, n: u64) -> u64 {
    read_or_zero(node, layout!(xa_node_slots) + 8 * n as u32)
}

#[inline(always)]
fn is_node(entry: u64) -> bool {
    entry & 3 == NODE && entry > 4096
}

/// The second and later slots of an entry that takes several.
#[inline(always)]
fn is_sibling(entry: u64) -> bool {
    entry & 3 == NODE && entry < (1 << layout!(xa_chunk_shift)) << 2
}

#[inline(always)]
fn is_pointer(entry: u64) -> bool {
    entry != 0 && entry & 3 == 0
}
