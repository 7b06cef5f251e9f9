//! Finds the folio of a file at an index: a walk down the mapping's xarray
//! (lib/xarray.c, `xas_load`).

use iotop_common::layout::FOLIO_BYTES;

use crate::kernel::{
    layout::layout,
    memory::{Words, read_or_zero},
};

/// The levels of an xarray that holds the largest index.
const LEVELS: u32 = 7;
const FOLIO_WORDS: usize = FOLIO_BYTES as usize / 8;

/// A folio of the page cache.
pub struct CachedFolio {
    /// The address of its head page.
    pub head: u64,
    /// `page.flags` of the head.
    pub flags: u64,
    /// The index of its first page, modulo 2^32.
    pub index: u32,
}

impl CachedFolio {
    /// The folio at an index, if there is one.
    #[inline(always)]
    pub fn at(mapping: u64, index: u64) -> Option<CachedFolio> {
        let head = cached_folio(mapping, index);
        if head == 0 {
            return None;
        }
        let words = Words::<FOLIO_WORDS>::read(head)?;
        // The folio may have left the file since the look-up.
        (words.at::<u64>(layout!(page_mapping)) == mapping).then(|| CachedFolio {
            head,
            flags: words.at(layout!(page_flags)),
            index: words.at::<u64>(layout!(folio_index)) as u32,
        })
    }

    #[inline(always)]
    pub fn is_dirty(&self) -> bool {
        self.flags >> layout!(pg_dirty) & 1 != 0
    }
}

/// The address of the folio at an index; 0 where there is none. The kernel frees nodes
/// after an RCU grace period, and a program runs inside an RCU read-side section. A
/// global function, see the crate documentation.
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
        entry = child(node, index >> (shift & 63) & mask);
        if is_sibling(entry) {
            entry = child(node, entry >> 2 & mask);
        }
        if !is_node(entry) {
            break;
        }
        shift -= layout!(xa_chunk_shift);
    }
    if is_pointer(entry) { entry } else { 0 }
}

/// The xarray adds this to a node's address to mark it (include/linux/xarray.h).
const NODE: u64 = 2;

/// The n-th entry of a node.
#[inline(always)]
fn child(node: u64, n: u64) -> u64 {
    read_or_zero(node, layout!(xa_node_slots) + 8 * n as u32)
}

#[inline(always)]
fn is_node(entry: u64) -> bool {
    entry & 3 == NODE && entry > 4096
}

/// Whether this is the second or a later part of an entry that takes several slots of
/// a node.
#[inline(always)]
fn is_sibling(entry: u64) -> bool {
    entry & 3 == NODE && entry < (1 << layout!(xa_chunk_shift)) << 2
}

#[inline(always)]
fn is_pointer(entry: u64) -> bool {
    entry != 0 && entry & 3 == 0
}
