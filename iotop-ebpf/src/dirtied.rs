//! A page becomes dirty: tag it with its owner.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use iotop_common::{
    Tag,
    owner::{MAPPING_BDEV, MAPPING_BTREE, MAPPING_DATA, MAPPING_NO_BLOCK},
    tag::{Pair, SLOT_METADATA, Slot},
};

use crate::{
    count::add,
    inode::Inode,
    kernel::{Typed, layout, now},
    maps::OWNERS,
    owners::{self, Asker, is_kthread},
    page::{Frame, LARGE, SINGLE, Visit, nr_cache_pages, visit_tags},
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
    let current = owners::current(Asker::Dirtied)?;
    // SAFETY: map values; the memory is this CPU's and only this program's.
    let (last, kthread) = unsafe { (&mut *current.last, is_kthread(current.owner)) };
    let flags: u64 = folio.field(layout!(page_flags));
    let folio = folio.number(&raw mut last.number);
    let mapping = mapping.number(&raw mut last.number);
    if last.mapping != mapping {
        let kind = look_at_mapping(mapping, current.slot);
        if kind == 0 {
            return None;
        }
        last.kind = kind;
        last.mapping = mapping;
    }
    let pages = nr_cache_pages::<FOLIOS>(folio, flags);
    let slot = match last.kind {
        MAPPING_BTREE => SLOT_METADATA,
        // jbd2 dirties a block device's pages for whoever joined the
        // transaction; a user task that dirties them writes the device itself.
        MAPPING_BDEV if kthread => SLOT_METADATA,
        MAPPING_NO_BLOCK => {
            // SAFETY: a map value; only the field's address is taken.
            let counter = unsafe { &raw mut (*current.owner).untagged_pages };
            add(counter, u64::from(pages));
            return None;
        }
        _ => current.slot,
    };
    let mut retag = Retag {
        tag: Tag::dirtied(slot, now()),
        kthread,
        tagged: 0,
    };
    visit_tags::<FOLIOS, _>(folio, pages, &mut retag);
    if slot == current.slot {
        // SAFETY: a map value. Nobody but the task itself writes this field,
        // and a task is on one CPU at a time.
        unsafe { (*current.owner).tagged_pages += retag.tagged };
    }
    Some(())
}

/// A mapping that this task did not dirty last: what it is, and, for a file,
/// that the task of this slot is now the one who dirtied it last. 0 where kernel
/// memory could not be read. A global function is verified once, on its own.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn look_at_mapping(mapping: u64, slot: u32) -> u32 {
    if mapping == 0 {
        return 0;
    }
    let Some(inode) = Inode::of(mapping) else {
        return 0;
    };
    let kind = inode.kind().unwrap_or(0);
    if kind == MAPPING_DATA
        && let Some(owner) = OWNERS.get_ptr(slot)
    {
        let _ = inode.dirtied_by(slot, owner);
    }
    kind
}

/// Gives pages their tag. A kernel thread that puts a page back
/// (`folio_redirty_for_writepage`) is not its owner: it never replaces a live
/// tag.
struct Retag {
    tag: Tag,
    kthread: bool,
    tagged: u64,
}

impl Visit for Retag {
    #[inline(always)]
    fn tag(&mut self, place: *mut u32) {
        // SAFETY: a map value. Two CPUs never dirty one page at once: the
        // mapping's lock is held.
        let old = Tag(unsafe { *place });
        if self.kthread && old.is_live() {
            return;
        }
        // SAFETY: as above.
        unsafe { *place = self.tag.0 };
        self.tagged += 1;
        if old.is_live() {
            replaced(old.slot());
        }
    }

    #[inline(always)]
    fn pair(&mut self, place: *mut u64, frame: Frame) {
        // SAFETY: as above.
        if unsafe { *place } == Pair::NONE.0 {
            // SAFETY: as above.
            unsafe { *place = Pair::of(self.tag).0 };
            self.tagged += 2;
        } else {
            let tagged = retag_pair(frame.0, self.tag.0, u32::from(self.kthread));
            self.tagged += u64::from(tagged);
        }
    }
}

/// Gives two pages their tag of which one has one; returns how many took it. A
/// global function is verified once, on its own.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn retag_pair(frame: u32, tag: u32, kthread: u32) -> u32 {
    let mut retag = Retag {
        tag: Tag(tag),
        kthread: kthread != 0,
        tagged: 0,
    };
    for frame in [frame, frame.wrapping_add(1)] {
        if let Some(place) = Frame(frame).tag() {
            retag.tag(place);
        }
    }
    retag.tagged as u32
}

/// The page was cleaned and dirtied anew before its bio was submitted, or a
/// reused frame kept its tag: either way the old owner waits for it no longer.
#[inline(always)]
fn replaced(slot: Slot) {
    if let Some(old) = OWNERS.get_ptr_mut(slot) {
        // SAFETY: a map value; only the field's address is taken.
        add(unsafe { &raw mut (*old).cleaned_pages }, 1);
    }
}
