//! The range of a file that a task is writing (`Owner::writing`).
//!
//! The kernel's dirty event reports a whole folio, and only if the folio was clean. Only
//! the file systems' own events tell which pages of a large folio a task writes, and that
//! it writes to a folio that is already dirty.

use iotop_common::{Owner, Tag, Tick, Writing, tag::Slot};

use super::{
    current::Current, folio_walk::FolioWalk, inode::Inode, mapping::MappingState, program::Program,
    tagged_mapping::is_tagged,
};
use crate::kernel::{clock::now, layout::layout};

/// The indices of the first and the last page of a range of bytes.
#[inline(always)]
pub fn pages(pos: u64, len: u64) -> (u64, u64) {
    let last = (pos + len - 1) >> layout!(page_shift);
    (pos >> layout!(page_shift), last)
}

/// The time that a range keeps.
#[inline(always)]
pub fn since() -> u32 {
    now().0 & 0xffff
}

/// A range from its first to its last page.
#[inline(always)]
pub fn range(mapping: u64, first: u64, last: u64, since: u32) -> Writing {
    Writing {
        mapping,
        first: first as u32,
        pages: (last - first + 1).min(u64::from(Writing::MAX_PAGES)) as u32,
        since,
        early: 0,
    }
}

/// Records what the task is about to write, until the call ends. Pages of large folios
/// that are dirty already get their tag now, up to the page `to`: the flusher may take
/// them before the call ends.
#[inline(always)]
pub fn begin(
    current: &Current,
    inode: u64,
    (first, last): (u64, u64),
    to: Option<u64>,
    program: Program,
) -> Option<()> {
    let mapping = inode + u64::from(layout!(inode_i_data));
    let since = since();
    // SAFETY: a map value; only the task itself writes these fields.
    let owner = unsafe { &mut *current.owner };
    // A call that failed before it had an extent has no end event.
    end(current.slot, owner);
    owner.writing = range(mapping, first, last, since | Writing::WHOLE_CALL);
    let to = to?;
    let was_dirty = || Inode::around_known(mapping).has_dirty_pages();
    if !MappingState::of(mapping)?.may_have_large(was_dirty)
        || !is_tagged(current, mapping, program)
    {
        return None;
    }
    let mut walk = FolioWalk {
        mapping,
        at: first,
        last: to,
        tag: Tag::dirtied(current.slot, Tick(since)),
        pages: 0,
    };
    walk.tag_dirty_folios();
    owner.writing.early = walk.pages;
    owner.tagged_pages += u64::from(walk.pages);
    Some(())
}

/// Ends the call. Pages that the call was to write and did not write lose the tag that
/// they were given early.
#[inline(always)]
pub fn end(slot: Slot, owner: &mut Owner) -> Option<()> {
    let writing = owner.writing;
    owner.writing.mapping = 0;
    if writing.mapping == 0 || writing.early == 0 || writing.pages == 0 {
        return None;
    }
    let mut walk = FolioWalk {
        mapping: writing.mapping,
        at: u64::from(writing.first),
        last: u64::from(writing.first) + u64::from(writing.pages) - 1,
        tag: Tag::dirtied(slot, Tick(writing.since & 0xffff)),
        pages: 0,
    };
    walk.untag();
    MappingState::of(writing.mapping)?.sub(walk.pages);
    owner.tagged_pages -= u64::from(walk.pages);
    Some(())
}
