//! A folio becomes dirty: tags its pages with their dirtier.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use iotop_common::{
    Lost, Owner, Tag, Tick, Writing,
    owner::{
        MAPPING_BDEV, MAPPING_BTREE, MAPPING_DATA, MAPPING_HOME, MAPPING_NO_BLOCK,
        MAPPING_WHOLE_FOLIOS, OWNER_COMMITS,
    },
    retag::{CLEAR_OTHERS, KEEP, UNDER_WRITEBACK, early},
    tag::{SLOT_FIRST, SLOT_METADATA, SLOT_NONE, Slot},
};

use crate::{
    counters::{add, lose},
    kernel::{
        clock::now,
        layout::layout,
        memory::read,
        syscall::{SystemCall, system_call},
        typed::Typed,
    },
    model::{
        acts_for, any_page, commit,
        current::{Current, current},
        folio::{LARGE, SINGLE, nr_cache_pages},
        frame::Frame,
        inode::TypedInode,
        journal::{RUNNING, close, deal_block, join_transaction},
        last_dirtier,
        mapping::MappingState,
        metadata::tag_pages,
        program::Program,
        retag::{Retag, RetagCounts, retag_page},
        slot::{count_tagged, is_kthread, record_name},
    },
};

/// Fires in `folio_account_dirtied`, once for the whole folio and only when it goes
/// from clean to dirty. The mapping's lock is held and interrupts are off.
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
    // The mapping is never null, but the verifier lists it as an argument that may be
    // (6.14, raw_tp_null_args).
    if mapping.is_null() {
        return None;
    }
    let current = current(Program::FolioDirtied)?;
    // SAFETY: map values; the memory is this CPU's and only this program's.
    let (last, kthread) = unsafe { (&mut *current.last, is_kthread(current.owner)) };
    let flags: u64 = folio.field(layout!(page_flags));
    let folio = folio.address(&raw mut last.scratch);
    let inode = TypedInode::of(mapping);
    let mapping = mapping.address(&raw mut last.scratch);
    // A block device may have got a file system.
    let may_have_changed = kthread && last.mapping_kind == MAPPING_BDEV;
    if last.mapping != mapping || may_have_changed {
        last.mapping_kind = inode.mapping_kind();
        last.mapping = mapping;
        if matches!(last.mapping_kind, MAPPING_DATA | MAPPING_WHOLE_FOLIOS) {
            last_dirtier::record_typed(
                inode,
                current.slot,
                current.owner,
                Program::FolioDirtied as u32,
                &raw mut last.scratch,
            );
            if current.has_own_slot() {
                // The task may have another name than when it was first seen.
                record_name(current.owner);
            }
        }
        any_page::record(folio);
    }
    let pages = nr_cache_pages::<FOLIOS>(folio, flags);
    let slot = match last.mapping_kind {
        MAPPING_HOME => {
            tag_pages(
                Frame::of(folio),
                pages,
                home_changer(&current, kthread, inode.rdev()),
            );
            return None;
        }
        MAPPING_BTREE => {
            let changer = tree_changer(&current, kthread, inode.file_system());
            tag_pages(Frame::of(folio), pages, changer);
            return None;
        }
        // A user task that dirties a block device's pages writes to the device itself.
        MAPPING_BDEV if kthread => SLOT_METADATA,
        MAPPING_NO_BLOCK => {
            count_tagged(current.slot, current.owner, pages.into());
            // SAFETY: a map value; only the field's address is taken.
            let cleaned = unsafe { &raw mut (*current.owner).cleaned_pages };
            add(cleaned, u64::from(pages));
            return None;
        }
        _ => current.slot,
    };
    let tag = Tag::dirtied(slot, now());
    let state = MappingState::of(mapping)?;
    state.dirtied(pages);
    if last.mapping_kind == MAPPING_WHOLE_FOLIOS {
        state.set(state.folios().whole_only());
    }
    let mut rules = 0;
    if kthread {
        // A kernel thread that redirties a page (folio_redirty_for_writepage) is not
        // its dirtier.
        rules |= KEEP;
    }
    if flags >> layout!(pg_writeback) & 1 != 0 {
        rules |= UNDER_WRITEBACK;
    }
    let counts = if FOLIOS == SINGLE || pages == 1 {
        one_page(folio, tag, rules)
    } else {
        // SAFETY: a map value.
        let owner = unsafe { &mut *current.owner };
        large_folio(folio, pages, tag, rules, owner, mapping, state)
    };
    state.add(counts.live);
    if slot == current.slot {
        count_tagged(slot, current.owner, counts.tagged.into());
    }
    Some(())
}

/// The task that changes a block of metadata on a block device. A transaction's blocks become
/// dirty when it is committed: they are dealt to those who joined it.
#[inline(always)]
fn home_changer(current: &Current, kthread: bool, dev: u32) -> Slot {
    // SAFETY: a map value; only the task itself writes this field.
    if unsafe { (*current.owner).flags & OWNER_COMMITS != 0 } {
        commit::deal(current.slot)
    } else if kthread {
        acts_for::task_of(current.slot, dev).unwrap_or(SLOT_NONE)
    } else {
        current.slot
    }
}

/// The number of changes after which btrfs's tasks are counted afresh: its transactions may last
/// for half a minute.
const TREE_CHANGES: u32 = 1024;

/// The task that changes a page of a btrfs tree. A task in fsync(2) writes a log of its own. Any
/// other page has many files of many tasks: it is dealt to those who changed trees just before.
#[inline(always)]
fn tree_changer(current: &Current, kthread: bool, file_system: u32) -> Slot {
    let call = match kthread || !current.has_slot() {
        true => SystemCall::Sync,
        false => system_call(),
    };
    if call != SystemCall::Sync
        && join_transaction(file_system, RUNNING, current.slot, 1) >= TREE_CHANGES
    {
        close(file_system);
    }
    match call {
        SystemCall::Fsync => current.slot,
        _ => deal_block(file_system, RUNNING),
    }
}

#[inline(always)]
fn one_page(folio: u64, tag: Tag, rules: u32) -> RetagCounts {
    let Some(place) = Frame::of(folio).tag() else {
        lose(Lost::Tags, 1);
        return RetagCounts::default();
    };
    let (tagged, live) = retag_page(place, tag, rules);
    RetagCounts { tagged, live }
}

/// Tags a large folio. If the task is in a write, only the pages that it writes get its
/// tag. If no write is known, the task stored into an mmap of the file, which makes all
/// blocks of the folio dirty.
#[inline(always)]
fn large_folio(
    folio: u64,
    pages: u32,
    tag: Tag,
    mut rules: u32,
    owner: &mut Owner,
    mapping: u64,
    state: MappingState,
) -> RetagCounts {
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
            // The range was about this folio only.
            owner.writing.mapping = 0;
        }
    }
    // Tags that are already there are left over from pages that were cut off. Under
    // writeback they belong to bios that are still to come.
    if rules & (KEEP | UNDER_WRITEBACK) == 0 && state.has_live_tags() {
        rules |= CLEAR_OTHERS;
    }
    Retag::new(Frame::of(folio), from, to, tag, rules).run(pages)
}
