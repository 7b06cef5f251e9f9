//! The kind of a page, as far as a bio that writes it is concerned.

use iotop_common::{
    Class,
    owner::{MAPPING_BDEV, MAPPING_DATA, MAPPING_HOME},
};

use super::{folio::Folio, inode::Inode, known_inode::KnownInode, mapping::MappingState};

// Plain numbers, because a global function returns one and the walk stores one.
/// Page cache under writeback. The tag tells the owner.
pub const CACHE: u32 = 0;
/// A block of metadata in a block device's page, written through a buffer head.
pub const BUFFER: u32 = 1;
/// Anything else: memory of the submitter or of a file system.
pub const OTHER: u32 = 2;
/// Page cache whose data goes through a journal, and which is not under writeback: the
/// journal's log or a checkpoint writes it. The tag tells the owner.
pub const JOURNALLED: u32 = 3;
/// Page cache under writeback that holds metadata.
pub const METADATA: u32 = 4;
/// A block of a device without a journal, written through a buffer head. The tag tells the
/// owner, as for data.
pub const RAW: u32 = 5;
/// A page of a journal's log: what a task submits while it commits a transaction.
pub const LOG: u32 = 6;
/// Kernel memory could not be read.
const FAULT: u32 = u32::MAX;

/// The kind of a folio's pages. The mapping of a page-cache page becomes the known
/// one. `known.ino` is 0 where the page has no tag.
#[inline(always)]
pub fn page_kind(folio: &Folio, known: &mut KnownInode) -> Option<u32> {
    let mut kind = CACHE;
    if !folio.is_under_writeback() {
        known.forget();
        kind = not_under_writeback(folio.mapping);
        match kind {
            FAULT => return None,
            JOURNALLED | RAW => {}
            _ => return Some(kind),
        }
    }
    // A page of tmpfs that is swapped out has no mapping, and at first none is known either.
    if folio.mapping == 0 || folio.mapping != known.mapping {
        known.forget();
        if Inode::around(folio.mapping).is_none() {
            return Some(OTHER);
        }
        known.mapping = folio.mapping;
    }
    if known.ino == 0 {
        known.read(Inode::around_known(folio.mapping))?;
    }
    if kind == CACHE && known.metadata.class != Class::Exact as u32 {
        return Some(METADATA);
    }
    Some(kind)
}

/// The kind of a page that a task submits while it commits a transaction. Ordered data stays
/// data; everything else is the log's.
#[inline(always)]
pub const fn while_committing(kind: u32) -> u32 {
    match kind {
        CACHE | JOURNALLED => kind,
        _ => LOG,
    }
}

/// The kind of a page that is in a bio without `PG_writeback`. `submit_bh` writes one
/// buffer and leaves the page's state alone. A global function, see the crate
/// documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn not_under_writeback(mapping: u64) -> u32 {
    let Some(inode) = Inode::around(mapping) else {
        return OTHER;
    };
    match inode.mapping_kind() {
        None => FAULT,
        Some(MAPPING_HOME) => BUFFER,
        Some(MAPPING_BDEV) => RAW,
        Some(MAPPING_DATA)
            if MappingState::of(mapping).is_some_and(|state| state.folios().is_journalled()) =>
        {
            JOURNALLED
        }
        Some(_) => OTHER,
    }
}
