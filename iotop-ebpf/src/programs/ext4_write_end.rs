//! ext4 has copied data into a folio.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use iotop_common::{Tag, Tick, retag::KEEP};

use crate::{
    kernel::{clock::now, layout::layout},
    model::{
        current::with_slot,
        folio::nr_folio_pages,
        folio_walk::tag_dirty,
        frame::Frame,
        inode::Inode,
        mapping::MappingState,
        page_cache::CachedFolio,
        program::Program,
        retag::retag_page,
        slot::count_tagged,
        tagged_mapping::is_tagged,
        write_range::{pages, range, since},
    },
};

/// Fires for each folio when data was copied into it, before it becomes dirty. The
/// folio is locked. `(inode, pos, len, copied)`.
#[raw_tracepoint]
pub fn ext4_da_write_end(ctx: RawTracePointContext) -> i32 {
    copied(ctx.arg(0), ctx.arg(1), ctx.arg(3), Program::Ext4DaWriteEnd);
    0
}

/// The same without delayed allocation.
#[raw_tracepoint]
pub fn ext4_write_end(ctx: RawTracePointContext) -> i32 {
    copied(ctx.arg(0), ctx.arg(1), ctx.arg(3), Program::Ext4WriteEnd);
    0
}

/// The same for a file whose data goes through the journal (data=journal). Its folios
/// have one page. Before 6.5 only jbd2 makes the page dirty. A page that a checkpoint
/// wrote is still dirty.
#[raw_tracepoint]
pub fn ext4_journalled_write_end(ctx: RawTracePointContext) -> i32 {
    journalled(ctx.arg(0), ctx.arg(1), ctx.arg(3));
    0
}

#[inline(always)]
fn copied(inode: u64, pos: u64, len: u64, program: Program) -> Option<()> {
    let len = len & 0xffff_ffff;
    if len == 0 {
        return None;
    }
    let current = with_slot(program)?;
    let mapping = inode + u64::from(layout!(inode_i_data));
    let (first, last) = pages(pos, len);
    let since = since();
    // SAFETY: a map value; only the task itself writes these fields. Tasks of a crowd take
    // turns: ext4 locks the inode. A task that writes another file in between hides the range,
    // and the whole folio gets the crowd's tag.
    let owner = unsafe { &mut *current.owner };
    owner.writing = range(mapping, first, last, since);
    let was_dirty = || Inode::around_known(mapping).has_dirty_pages();
    if !MappingState::of(mapping)?.may_have_large(was_dirty)
        || !is_tagged(&current, mapping, program)
    {
        return None;
    }
    let folio = CachedFolio::at(mapping, first)?;
    if folio.is_dirty() {
        // No dirty event follows.
        owner.writing.mapping = 0;
        let pages = nr_folio_pages(folio.head, folio.flags);
        if pages > 1 {
            let tag = Tag::dirtied(current.slot, Tick(since));
            let tagged = tag_dirty(&folio, pages, first as u32, last as u32, tag, mapping);
            count_tagged(current.slot, owner, tagged.into());
        }
    }
    Some(())
}

#[inline(always)]
fn journalled(inode: u64, pos: u64, len: u64) -> Option<()> {
    let len = len & 0xffff_ffff;
    if len == 0 {
        return None;
    }
    let program = Program::Ext4JournalledWriteEnd;
    let current = with_slot(program)?;
    let mapping = inode + u64::from(layout!(inode_i_data));
    let state = MappingState::of(mapping)?;
    state.set(state.folios().journalled());
    if !is_tagged(&current, mapping, program) {
        return None;
    }
    let folio = CachedFolio::at(mapping, pages(pos, len).0)?;
    let place = Frame::of(folio.head).tag()?;
    // A tag that is dirty again describes data that the journal has logged. The task
    // writes new data, so the page becomes the task's.
    // SAFETY: a map value of one aligned word.
    let old = Tag(unsafe { *place });
    let rules = if old.is_dirty_again() { 0 } else { KEEP };
    let (tagged, live) = retag_page(place, Tag::dirtied(current.slot, now()), rules);
    if !old.is_live() {
        state.add(live);
    }
    count_tagged(current.slot, current.owner, tagged.into());
    Some(())
}
