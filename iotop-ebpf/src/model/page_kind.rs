//! The kind of a page, as far as a bio that writes it is concerned.

use iotop_common::owner::{MAPPING_BDEV, MAPPING_DATA};

use super::{folio::Folio, inode::Inode, known_inode::KnownInode, mapping::MappingState};

// Plain numbers, because a global function returns one and the walk stores one.
/// Page cache under writeback. The tag tells the owner.
pub const CACHE: u32 = 0;
/// A block device's page written through a buffer head: metadata.
pub const BUFFER: u32 = 1;
/// Anything else: memory of the submitter or of a file system.
pub const OTHER: u32 = 2;
/// Page cache whose data goes through a journal, and which is not under writeback: the
/// journal's log or a checkpoint writes it. The tag tells the owner.
pub const JOURNALLED: u32 = 3;
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
            JOURNALLED => {}
            _ => return Some(kind),
        }
    }
    if folio.mapping != known.mapping {
        known.forget();
        if Inode::around(folio.mapping).is_none() {
            return Some(OTHER);
        }
        known.mapping = folio.mapping;
    }
    if known.ino == 0 {
        known.read(Inode::around_known(folio.mapping))?;
    }
    Some(kind)
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
        Some(MAPPING_BDEV) => BUFFER,
        Some(MAPPING_DATA)
            if MappingState::of(mapping).is_some_and(|state| state.folios().is_journalled()) =>
        {
            JOURNALLED
        }
        Some(_) => OTHER,
    }
}
