//! A page becomes dirty: tag it with its owner.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use iotop_common::{
    Lost, Owner, Tag, Tick, Writing,
    owner::{MAPPING_BDEV, MAPPING_BTREE, MAPPING_DATA, MAPPING_NO_BLOCK, MAPPING_WHOLE_FOLIOS},
    retag::{CLEAR_OTHERS, KEEP, UNDER_WRITEBACK, early},
    tag::{SLOT_FIRST, SLOT_METADATA},
};

use crate::{
    count::{add, lose},
    inode::TypedInode,
    kernel::{Typed, layout, now, read},
    mappings::Place,
    owners::{self, Asker, is_kthread},
    page::{Frame, LARGE, SINGLE, nr_cache_pages},
    retag::{Done, Retag, retag_page},
    waiting,
};

/// Fires in `folio_account_dirtied`, clean to dirty only, once for the whole
/// folio, with the mapping's lock held and interrupts off.
#[btf_tracepoint(function = "writeback_dirty_folio")]
pub fn folio_dirtied(ctx: BtfTracePointContext) -> i32 {
    dirtied::<LARGE>(Typed::arg(&ctx, 0), Typed::arg(&ctx, 1));
    0
}

/// The same before 5.18, in `account_page_dirtied`.
#[btf_tracepoint(function = "writeback_dirty_page")]
pub fn page_dirtied(ctx: BtfTracePointContext) -> i32 {
    dirtied::<SINGLE>(Typed::arg(&ctx, 0), Typed::arg(&ctx, 1));
    0
}

#[inline(always)]
fn dirtied<const FOLIOS: bool>(folio: Typed, mapping: Typed) -> Option<()> {
    // It never is, but the verifier has it in a list (6.14, raw_tp_null_args).
    if mapping.is_null() {
        return None;
    }
    let current = owners::current(Asker::Dirtied)?;
    // SAFETY: map values; the memory is this CPU's and only this program's.
    let (last, kthread) = unsafe { (&mut *current.last, is_kthread(current.owner)) };
    let flags: u64 = folio.field(layout!(page_flags));
    let folio = folio.number(&raw mut last.number);
    let inode = TypedInode::of(mapping);
    let mapping = mapping.number(&raw mut last.number);
    if last.mapping != mapping {
        last.kind = inode.kind();
        last.mapping = mapping;
        if matches!(last.kind, MAPPING_DATA | MAPPING_WHOLE_FOLIOS) {
            inode.dirtied_by(
                current.slot,
                current.owner,
                Asker::Dirtied,
                &raw mut last.number,
            );
            if current.slot >= SLOT_FIRST {
                // It may have another name than when it was first seen.
                owners::take_name(current.owner);
            }
        }
        waiting::remember(folio);
    }
    let pages = nr_cache_pages::<FOLIOS>(folio, flags);
    let slot = match last.kind {
        MAPPING_BTREE => SLOT_METADATA,
        // jbd2 dirties a block device's pages for whoever joined the
        // transaction; a user task that dirties them writes the device itself.
        MAPPING_BDEV if kthread => SLOT_METADATA,
        MAPPING_NO_BLOCK => {
            // SAFETY: a map value. Only the task itself writes the first field.
            let cleaned = unsafe {
                (*current.owner).tagged_pages += u64::from(pages);
                &raw mut (*current.owner).cleaned_pages
            };
            add(cleaned, u64::from(pages));
            return None;
        }
        _ => current.slot,
    };
    let tag = Tag::dirtied(slot, now());
    let place = Place::of(mapping)?;
    place.dirtied(pages);
    if last.kind == MAPPING_WHOLE_FOLIOS {
        place.set(place.folios().whole_only());
    }
    let mut rules = 0;
    if kthread {
        // One that puts a page back (folio_redirty_for_writepage) is not its owner.
        rules |= KEEP;
    }
    if flags >> layout!(pg_writeback) & 1 != 0 {
        rules |= UNDER_WRITEBACK;
    }
    let done = if FOLIOS == SINGLE || pages == 1 {
        one_page(folio, tag, rules)
    } else {
        // SAFETY: a map value.
        let owner = unsafe { &mut *current.owner };
        large_folio(folio, pages, tag, rules, owner, mapping, place)
    };
    place.add(done.live);
    if slot == current.slot {
        // SAFETY: a map value. Only the task itself writes this field, and a task is
        // on one CPU at a time.
        unsafe { (*current.owner).tagged_pages += u64::from(done.tagged) };
    }
    Some(())
}

#[inline(always)]
fn one_page(folio: u64, tag: Tag, rules: u32) -> Done {
    let Some(place) = Frame::of(folio).tag() else {
        lose(Lost::Tags, 1);
        return Done::default();
    };
    let (tagged, live) = retag_page(place, tag, rules);
    Done { tagged, live }
}

/// A large folio becomes dirty. If the task is in a write, only the pages that it
/// writes get its tag. If no write is known it is a store into a mapping, which makes
/// all blocks dirty.
#[inline(always)]
fn large_folio(
    folio: u64,
    pages: u32,
    tag: Tag,
    mut rules: u32,
    owner: &mut Owner,
    mapping: u64,
    place: Place,
) -> Done {
    let (mut from, mut to) = (0, pages);
    if owner.writing.mapping == mapping
        && owner.writing.is_current(Tick(tag.0 >> 16))
        && tag.slot() >= SLOT_FIRST
        && let Some(index) = read::<u32>(folio, layout!(folio_index))
        && let Some(written) = owner.writing.within(index, pages)
    {
        (from, to) = written;
        if owner.writing.early != 0 {
            rules |= early(owner.writing.since);
        }
        if owner.writing.since & Writing::WHOLE_CALL == 0 {
            // This was the folio that it was about.
            owner.writing.mapping = 0;
        }
    }
    // Tags that are there were left behind by pages that were cut off. Under
    // writeback they are of bios to come.
    if rules & (KEEP | UNDER_WRITEBACK) == 0 && place.has_live_tags() {
        rules |= CLEAR_OTHERS;
    }
    Retag::new(Frame::of(folio), from, to, tag, rules).run(pages)
}
