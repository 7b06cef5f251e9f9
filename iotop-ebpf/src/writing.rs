//! A task writes a range of a file. The kernel's dirty event tells of a folio, and
//! only of one that was clean: what is written of a folio that has many pages, or is
//! dirty already, is told by the file systems' own events.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::generated::bpf_loop,
    macros::{btf_tracepoint, raw_tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext},
};
use iotop_common::{
    Owner, Progress, Tag, Tick, Writing,
    owner::{MAPPING_BDEV, MAPPING_DATA, MAPPING_WHOLE_FOLIOS},
    retag::KEEP,
    tag::{SLOT_FIRST, Slot},
};

use crate::{
    cached::Cached,
    inode::Inode,
    kernel::{Typed, layout, now, read},
    mappings::Place,
    maps::OWNERS,
    owners::{self, Asker, Current},
    page::{Frame, nr_folio_pages},
    retag::{Retag, retag_page},
};

// Flags of include/linux/iomap.h; macros, not in BTF.
const IOMAP_WRITE: u32 = 1 << 0;
const IOMAP_ZERO: u32 = 1 << 1;
const IOMAP_REPORT: u32 = 1 << 2;
const IOMAP_DIRECT: u32 = 1 << 4;
const IOMAP_UNSHARE: u32 = 1 << 7;
const IOMAP_DAX: u32 = 1 << 8;
const MAKES_DIRTY: u32 = IOMAP_WRITE | IOMAP_ZERO | IOMAP_UNSHARE;
const DOES_NOT: u32 = IOMAP_REPORT | IOMAP_DIRECT | IOMAP_DAX;

/// Fires for each folio when data was copied into it, before it becomes dirty; the
/// folio is locked. `(inode, pos, len, copied)`.
#[raw_tracepoint]
pub fn ext4_da_write_end(ctx: RawTracePointContext) -> i32 {
    copied(ctx.arg(0), ctx.arg(1), ctx.arg(3), Asker::CopiedDelayed);
    0
}

/// The same without delayed allocation.
#[raw_tracepoint]
pub fn ext4_write_end(ctx: RawTracePointContext) -> i32 {
    copied(ctx.arg(0), ctx.arg(1), ctx.arg(3), Asker::Copied);
    0
}

/// The same where data goes through the journal (data=journal), whose folios have
/// one page. Only jbd2 makes it dirty before 6.5, and where a checkpoint wrote it, it
/// is dirty still.
#[raw_tracepoint]
pub fn ext4_journalled_write_end(ctx: RawTracePointContext) -> i32 {
    journalled(ctx.arg(0), ctx.arg(1), ctx.arg(3));
    0
}

/// Fires in iomap_iter, where xfs and block devices begin to write a range, and when
/// they have come to the end of an extent of it (fs/iomap/iter.c).
#[btf_tracepoint(function = "iomap_iter")]
pub fn range_iterated(ctx: BtfTracePointContext) -> i32 {
    let iter = Typed::arg(&ctx, 0);
    let flags: u32 = iter.field(layout!(iter_flags));
    if flags & MAKES_DIRTY != 0 && flags & DOES_NOT == 0 {
        // No extent is known when it begins.
        if iter.field::<u64>(layout!(iter_iomap_length)) == 0 {
            range_begins(iter, flags);
        } else {
            range_goes_on(iter);
        }
    }
    0
}

/// Fires where bits of a btrfs extent tree are set: delayed allocation is what
/// comes before the pages of a range become dirty. `(tree, start, len, bits)`.
#[raw_tracepoint]
pub fn btrfs_set_extent_bit(ctx: RawTracePointContext) -> i32 {
    let bits: u64 = ctx.arg(3);
    if bits as u32 & layout!(extent_delalloc) != 0 {
        delayed(ctx.arg(0), ctx.arg(1), ctx.arg(2));
    }
    0
}

/// The current task, where it has a slot of its own.
#[inline(always)]
fn current(asker: Asker) -> Option<Current> {
    owners::current(asker).filter(|current| current.slot >= SLOT_FIRST)
}

/// The pages that a range of bytes lies in.
#[inline(always)]
fn pages(pos: u64, len: u64) -> (u64, u64) {
    let last = (pos + len - 1) >> layout!(page_shift);
    (pos >> layout!(page_shift), last)
}

#[inline(always)]
fn range(mapping: u64, first: u64, last: u64, since: u32) -> Writing {
    Writing {
        mapping,
        first: first as u32,
        pages: (last - first + 1).min(u64::from(Writing::MAX_PAGES)) as u32,
        since,
        early: 0,
    }
}

#[inline(always)]
fn copied(inode: u64, pos: u64, len: u64, asker: Asker) -> Option<()> {
    let len = len & 0xffff_ffff;
    if len == 0 {
        return None;
    }
    let current = current(asker)?;
    let mapping = inode + u64::from(layout!(inode_i_data));
    let (first, last) = pages(pos, len);
    let since = now().0 & 0xffff;
    // SAFETY: a map value; only the task itself writes these fields.
    let owner = unsafe { &mut *current.owner };
    owner.writing = range(mapping, first, last, since);
    let was_dirty = || Inode::around_known(mapping).has_dirty_pages();
    if !Place::of(mapping)?.may_have_large(was_dirty) || !is_data(&current, mapping, asker) {
        return None;
    }
    let folio = Cached::at(mapping, first)?;
    if folio.is_dirty() {
        // No event follows.
        owner.writing.mapping = 0;
        let pages = nr_folio_pages(folio.folio, folio.flags);
        if pages > 1 {
            let tag = Tag::dirtied(current.slot, Tick(since));
            let tagged = tag_dirty(&folio, pages, first as u32, last as u32, tag, mapping);
            owner.tagged_pages += u64::from(tagged);
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
    let asker = Asker::Journalled;
    let current = current(asker)?;
    let mapping = inode + u64::from(layout!(inode_i_data));
    let known = Place::of(mapping)?;
    known.set(known.folios().journalled());
    if !is_data(&current, mapping, asker) {
        return None;
    }
    let folio = Cached::at(mapping, pages(pos, len).0)?;
    let place = Frame::of(folio.folio).tag()?;
    // What the journal has logged is done with: this is new data.
    // SAFETY: a map value of one aligned word.
    let old = Tag(unsafe { *place });
    let rules = if old.is_dirty_again() { 0 } else { KEEP };
    let (tagged, live) = retag_page(place, Tag::dirtied(current.slot, now()), rules);
    if !old.is_live() {
        known.add(live);
    }
    // SAFETY: a map value; only the task itself writes this field.
    unsafe { (*current.owner).tagged_pages += u64::from(tagged) };
    Some(())
}

#[inline(always)]
fn range_begins(iter: Typed, flags: u32) -> Option<()> {
    let pos: u64 = iter.field(layout!(iter_pos));
    let len: u64 = iter.field(layout!(iter_len));
    if len == 0 {
        return None;
    }
    let current = current(Asker::Iterated)?;
    // SAFETY: a map value of this CPU, and only this program's.
    let number = unsafe { &raw mut (*current.last).number };
    let inode = iter.pointer(layout!(iter_inode));
    let size: u64 = inode.field(layout!(inode_i_size));
    let inode = inode.number(number);
    let (first, last) = pages(pos, len);
    // What lies past the end is in no dirty folio that begins before it. Unsharing makes
    // only shared extents dirty.
    let tags_early = flags & IOMAP_UNSHARE == 0 && size > first << layout!(page_shift);
    let to = last.min(size.saturating_sub(1) >> layout!(page_shift));
    let to = tags_early.then_some(to);
    begin(&current, inode, (first, last), to, Asker::Iterated)
}

/// What the task is about to write is known until the call ends. Blocks of folios
/// that are dirty already, up to the page `to`, are given their tag now: the flusher
/// may take them before the call ends.
#[inline(always)]
fn begin(
    current: &Current,
    inode: u64,
    (first, last): (u64, u64),
    to: Option<u64>,
    asker: Asker,
) -> Option<()> {
    let mapping = inode + u64::from(layout!(inode_i_data));
    let since = now().0 & 0xffff;
    // SAFETY: a map value; only the task itself writes these fields.
    let owner = unsafe { &mut *current.owner };
    // A call that failed before it had an extent has no end.
    untag_rest(current.slot, owner);
    owner.writing = range(mapping, first, last, since | Writing::WHOLE_CALL);
    let to = to?;
    let was_dirty = || Inode::around_known(mapping).has_dirty_pages();
    if !Place::of(mapping)?.may_have_large(was_dirty) || !is_data(current, mapping, asker) {
        return None;
    }
    let mut walk = Walk {
        mapping,
        at: first,
        last: to,
        tag: Tag::dirtied(current.slot, Tick(since)),
        pages: 0,
    };
    walk.over(tag_step as *mut c_void);
    owner.writing.early = walk.pages;
    owner.tagged_pages += u64::from(walk.pages);
    Some(())
}

/// The end of an extent, and perhaps of the call.
#[inline(always)]
fn range_goes_on(iter: Typed) -> Option<()> {
    let pos: u64 = iter.field(layout!(iter_pos));
    let len: u64 = iter.field(layout!(iter_len));
    let progress = if layout!(iter_processed) != 0 {
        Progress::before_6_15(pos, len, iter.field(layout!(iter_processed)))
    } else {
        Progress::since_6_15(pos, len, iter.field(layout!(iter_status)))
    };
    let current = current(Asker::Iterated)?;
    // SAFETY: a map value; only the task itself writes these fields.
    let owner = unsafe { &mut *current.owner };
    if owner.writing.mapping == 0 {
        return None;
    }
    // What is left of it; when it has failed, without the page that it has begun.
    let begun = match progress.ended {
        true => (1 << layout!(page_shift)) - 1,
        false => 0,
    };
    let first = (progress.pos + begun) >> layout!(page_shift);
    let done = (first as u32).wrapping_sub(owner.writing.first);
    owner.writing.first = first as u32;
    owner.writing.pages = owner.writing.pages.saturating_sub(done);
    if progress.ended {
        untag_rest(current.slot, owner);
    }
    Some(())
}

/// The call has ended: what it was to write and has not loses the tag that it was given
/// early.
#[inline(always)]
fn untag_rest(slot: Slot, owner: &mut Owner) -> Option<()> {
    let writing = owner.writing;
    owner.writing.mapping = 0;
    if writing.mapping == 0 || writing.early == 0 || writing.pages == 0 {
        return None;
    }
    let mut walk = Walk {
        mapping: writing.mapping,
        at: u64::from(writing.first),
        last: u64::from(writing.first) + u64::from(writing.pages) - 1,
        tag: Tag::dirtied(slot, Tick(writing.since & 0xffff)),
        pages: 0,
    };
    walk.over(untag_step as *mut c_void);
    Place::of(writing.mapping)?.sub(walk.pages);
    owner.tagged_pages -= u64::from(walk.pages);
    Some(())
}

#[inline(always)]
fn delayed(tree: u64, start: u64, len: u64) -> Option<()> {
    let current = current(Asker::Delayed)?;
    let btrfs_inode = read::<u64>(tree, layout!(extent_tree_inode))?;
    let inode = btrfs_inode + u64::from(layout!(btrfs_vfs_inode));
    let (first, last) = pages(start, len);
    let begun = begin(&current, inode, (first, last), Some(last), Asker::Delayed);
    // All of it becomes dirty, and no event tells of an end.
    // SAFETY: a map value; only the task itself writes this field.
    unsafe { (*current.owner).writing.early = 0 };
    begun
}

/// Whether the mapping's pages have tags; the task is the last one who dirtied it.
#[inline(always)]
fn is_data(current: &Current, mapping: u64, asker: Asker) -> bool {
    // SAFETY: a map value of this CPU, and only this program's.
    let last = unsafe { &mut *current.last };
    if last.mapping != mapping {
        last.kind = look_at_mapping(mapping, current.slot, asker as u32);
        last.mapping = mapping;
    }
    matches!(last.kind, MAPPING_DATA | MAPPING_BDEV)
}

/// A mapping that this task did not dirty last: says what it is, and remembers for a
/// file that the task of this slot dirtied it last. 0 where kernel
/// memory could not be read. A global function is verified once, on its own.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn look_at_mapping(mapping: u64, slot: u32, asker: u32) -> u32 {
    if mapping == 0 {
        return 0;
    }
    let Some(inode) = Inode::of(mapping) else {
        return 0;
    };
    let kind = inode.kind().unwrap_or(0);
    if matches!(kind, MAPPING_DATA | MAPPING_WHOLE_FOLIOS)
        && let Some(owner) = OWNERS.get_ptr_mut(slot)
    {
        let _ = inode.dirtied_by(slot, owner, asker);
        if slot >= SLOT_FIRST {
            // It may have another name than when it was first seen.
            owners::take_name(owner);
        }
    }
    kind
}

/// The pages of a dirty folio from `first` to `last` become the task's that no task
/// made dirty before.
#[inline(always)]
fn tag_dirty(folio: &Cached, pages: u32, first: u32, last: u32, tag: Tag, mapping: u64) -> u32 {
    let range = Writing {
        first,
        pages: last.wrapping_sub(first).wrapping_add(1),
        ..Writing::default()
    };
    let Some((from, to)) = range.within(folio.index, pages) else {
        return 0;
    };
    let done = Retag::new(Frame::of(folio.folio), from, to, tag, KEEP).run(pages);
    if let Some(place) = Place::of(mapping) {
        place.add(done.live);
    }
    done.tagged
}

/// A walk over a file's folios.
#[repr(C)]
struct Walk {
    mapping: u64,
    /// The next page's index.
    at: u64,
    last: u64,
    tag: Tag,
    /// How many pages were given the tag, or lost it.
    pages: u32,
}

/// Pages below one node of the xarray at the bottom.
const LEAF: u64 = 64;

impl Walk {
    #[inline(always)]
    fn over(&mut self, step: *mut c_void) {
        if self.at > self.last {
            return;
        }
        let most = (self.last - self.at + 1).min(u64::from(Writing::MAX_PAGES));
        // SAFETY: the callback takes the context it is given here, and the kernel
        // calls it only until bpf_loop returns.
        unsafe {
            bpf_loop(most.min(1 << 20) as u32, step, (&raw mut *self).cast(), 0);
        }
    }

    /// The next folio that there is, and its pages; `None` where there is none at
    /// this place.
    #[inline(always)]
    fn next(&mut self) -> Option<(Cached, u32, u32)> {
        let at = self.at as u32;
        let Some(folio) = Cached::at(self.mapping, self.at) else {
            self.at = (self.at | (LEAF - 1)) + 1;
            return None;
        };
        let pages = nr_folio_pages(folio.folio, folio.flags);
        let passed = at.wrapping_sub(folio.index);
        self.at += u64::from(pages.saturating_sub(passed).max(1));
        Some((folio, pages, at))
    }
}

extern "C" fn tag_step(_: u32, walk: *mut Walk) -> i64 {
    // SAFETY: bpf_loop passes the context that `over` gave it.
    let walk = unsafe { &mut *walk };
    if walk.at > walk.last {
        return 1;
    }
    if let Some((folio, pages, at)) = walk.next()
        && pages > 1
        && folio.is_dirty()
    {
        let last = walk.last as u32;
        walk.pages += tag_dirty(&folio, pages, at, last, walk.tag, walk.mapping);
    }
    0
}

extern "C" fn untag_step(_: u32, walk: *mut Walk) -> i64 {
    // SAFETY: as above.
    let walk = unsafe { &mut *walk };
    if walk.at > walk.last {
        return 1;
    }
    let Some(folio) = Cached::at(walk.mapping, walk.at) else {
        walk.at = (walk.at | (LEAF - 1)) + 1;
        return 0;
    };
    let page = Frame::of(folio.folio)
        .0
        .wrapping_add((walk.at as u32).wrapping_sub(folio.index));
    walk.at += 1;
    if let Some(place) = Frame(page).tag() {
        // SAFETY: a map value of one aligned word.
        unsafe {
            if *place == walk.tag.0 {
                *place = Tag::NONE.0;
                walk.pages += 1;
            }
        }
    }
    0
}
