//! A page becomes dirty: tag it with its owner.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use iotop_common::{
    Owner, Tag,
    owner::{MAPPING_BDEV, MAPPING_BTREE, MAPPING_DATA, MAPPING_NO_BLOCK, OWNER_KTHREAD},
    tag::{SLOT_METADATA, Slot},
};

use crate::{
    count::add,
    inode::Inode,
    kernel::{layout, now, read},
    maps::OWNERS,
    owners,
    page::{Visit, nr_pages, visit_tags},
};

/// Fires in `folio_account_dirtied`, clean to dirty only, once for the whole
/// folio, with the mapping's lock held and interrupts off.
#[raw_tracepoint(tracepoint = "writeback_dirty_folio")]
pub fn folio_dirtied(ctx: RawTracePointContext) -> i32 {
    tag(ctx.arg(0), ctx.arg(1));
    0
}

#[inline(always)]
fn tag(folio: u64, mapping: u64) -> Option<()> {
    if mapping == 0 {
        return None;
    }
    let (slot, owner) = owners::current()?;
    // SAFETY: map values; `mapping` and `kind` are written by this task only.
    let (kind, kthread) = unsafe {
        if (*owner).mapping != mapping {
            let inode = Inode::of(mapping)?;
            (*owner).mapping = mapping;
            (*owner).kind = inode.kind();
            if (*owner).kind == MAPPING_DATA {
                inode.dirtied_by(slot, owner);
            }
        }
        ((*owner).kind, (*owner).flags & OWNER_KTHREAD != 0)
    };
    let pages = nr_pages(folio, read::<u64>(folio, layout!(page_flags))?);
    let slot = match kind {
        MAPPING_BTREE => SLOT_METADATA,
        // jbd2 dirties a block device's pages for whoever joined the
        // transaction; a user task that dirties them writes the device itself.
        MAPPING_BDEV if kthread => SLOT_METADATA,
        _ => slot,
    };
    let owner = OWNERS.get_ptr_mut(slot)?;
    if kind == MAPPING_NO_BLOCK {
        // SAFETY: a map value; only the field's address is taken.
        add(unsafe { &raw mut (*owner).dirtied_pages }, u64::from(pages));
        return None;
    }
    let mut retag = Retag {
        tag: Tag::dirtied(slot, now()),
        kthread,
        tagged: 0,
    };
    visit_tags(folio, pages, &mut retag);
    count(owner, retag.tagged);
    Some(())
}

#[inline(always)]
fn count(owner: *mut Owner, pages: u64) {
    // SAFETY: a map value; only the fields' addresses are taken.
    unsafe {
        add(&raw mut (*owner).dirtied_pages, pages);
        add(&raw mut (*owner).tagged_pages, pages);
    }
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
