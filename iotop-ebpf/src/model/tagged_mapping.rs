//! Whether a mapping that a task writes to has tags.

use iotop_common::{
    owner::{MAPPING_BDEV, MAPPING_DATA, MAPPING_WHOLE_FOLIOS},
    tag::SLOT_FIRST,
};

use super::{current::Current, inode::Inode, last_dirtier, program::Program, slot};
use crate::maps::OWNERS;

/// Whether the mapping's pages have tags. The current task becomes its last dirtier.
#[inline(always)]
pub fn is_tagged(current: &Current, mapping: u64, program: Program) -> bool {
    // SAFETY: a map value of this CPU, and only this program's.
    let last = unsafe { &mut *current.last };
    if last.mapping != mapping {
        last.mapping_kind = look_at_mapping(mapping, current.slot, program as u32);
        last.mapping = mapping;
    }
    matches!(last.mapping_kind, MAPPING_DATA | MAPPING_BDEV)
}

/// Returns the kind of a mapping, and records the task of `slot` as the last dirtier of
/// a file. Called for a mapping that this task did not dirty last. Returns 0 where
/// kernel memory could not be read. A global function, see the crate documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn look_at_mapping(mapping: u64, slot: u32, program: u32) -> u32 {
    if mapping == 0 {
        return 0;
    }
    let Some(inode) = Inode::of(mapping) else {
        return 0;
    };
    let kind = inode.mapping_kind().unwrap_or(0);
    if matches!(kind, MAPPING_DATA | MAPPING_WHOLE_FOLIOS)
        && let Some(owner) = OWNERS.get_ptr_mut(slot)
    {
        let _ = last_dirtier::record(inode, slot, owner, program);
        if slot >= SLOT_FIRST {
            // The task may have another name than when it was first seen.
            slot::record_name(owner);
        }
    }
    kind
}
