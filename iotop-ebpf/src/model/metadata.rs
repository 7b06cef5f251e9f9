//! Pages of metadata: who changed them, and the charge of a bio that writes them.
//!
//! A page's tag says who changed it, as for data. Many tasks change one block, so its bytes are
//! never exact. The tag is not live: nothing waits for it, and checkpoints write a block
//! without making its page clean.

use iotop_common::{
    Class, Tag, Tick,
    tag::{METADATA_ANSWERS_TICKS, SLOT_FIRST, SLOT_METADATA, SLOT_NONE, Slot},
};

use super::{
    acts_for::{task_of, works_for_itself},
    charge::Charge,
    commit,
    control::control,
    frame::Frame,
    journal::{CLOSED, close, deal_block, file_system_of},
    logged,
    page_kind::{BUFFER, LOG, RAW},
};
use crate::{
    kernel::{
        clock::now,
        syscall::{SystemCall, system_call},
    },
    maps::OWNERS,
};

/// The most pages of a folio that are tagged.
const PAGES: u32 = 64;

/// Tags all pages of a folio. `slot` may be `SLOT_NONE`: nobody is known.
#[inline(always)]
pub fn tag_pages(folio: Frame, pages: u32, slot: Slot) {
    let slot = match slot {
        SLOT_NONE => SLOT_METADATA,
        slot => slot,
    };
    let now = now();
    let tag = Tag::dirtied(slot, now).submitted(now);
    for n in 0..PAGES {
        if n >= pages {
            break;
        }
        if let Some(place) = Frame(folio.0.wrapping_add(n)).tag() {
            // SAFETY: a map value of one aligned word.
            unsafe { *place = tag.0 };
        }
    }
}

/// The task that the tag of a metadata page names.
#[inline(always)]
fn tagged(tag: Tag, now: Tick) -> Option<Slot> {
    let (slot, age) = (tag.slot(), tag.age(now));
    if slot < SLOT_FIRST || age > METADATA_ANSWERS_TICKS {
        return None;
    }
    let owner = OWNERS.get_ptr(slot)?;
    // SAFETY: a map value; the user half writes `retired`.
    let (assigned, retired) = unsafe { ((*owner).assigned, (*owner).retired) };
    let tenancy = now.0.wrapping_sub(u32::from(assigned)) & 0xffff;
    (retired == 0 && age <= tenancy).then_some(slot)
}

/// The charge of one page of metadata: to the task that changed it; where that is not known,
/// to one that joined the last transactions. A global function, see the crate documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn metadata_page(page: u64, class: u32, file_system: u32) -> u32 {
    let Some(place) = Frame::of(page).tag() else {
        return Charge::METADATA.0;
    };
    // SAFETY: a map value of one aligned word.
    let tag = Tag(unsafe { *place });
    if let Some(slot) = tagged(tag, now()) {
        return Charge::metadata(slot, class).0;
    }
    if tag == Tag::NONE && control().pre_trace != 0 {
        return Charge::PRE_TRACE.0;
    }
    Charge::metadata(deal_block(file_system, CLOSED), class).0
}

/// The charge of a block of a block device whose tag does not tell who changed it: the log of a
/// fast commit, a super block, a block that was written before and whose page stayed dirty. It
/// is the submitter's or that of the task that a kernel thread works for. If neither is
/// known, or if the submitter writes what others left, it is dealt. Without a journal, it is
/// the task's that changed the page before.
#[inline(always)]
fn by_submitter(
    page: u64,
    file_system: u32,
    class: Class,
    submitter: Slot,
    kthread: bool,
) -> Charge {
    let changer = match kthread {
        true => task_of(submitter, file_system),
        false if system_call() == SystemCall::Sync => None,
        false => Some(submitter),
    };
    let slot = match changer {
        Some(slot) => slot,
        None => match deal_block(file_system, CLOSED) {
            SLOT_NONE => changed_before(page).unwrap_or(SLOT_NONE),
            slot => slot,
        },
    };
    Charge::metadata(slot, class as u32)
}

/// The task that the tag of a page names.
#[inline(always)]
fn changed_before(page: u64) -> Option<Slot> {
    let place = Frame::of(page).tag()?;
    // SAFETY: a map value of one aligned word.
    tagged(Tag(unsafe { *place }), now())
}

/// The bits of a page's kind. Above them, in the argument of [`page_without_data`], are these.
const KIND: u32 = 0xf;
/// The bio has `REQ_META`.
pub const META: u32 = 1 << 4;
/// The bio has `REQ_IDLE`: with `REQ_META`, xfs's log.
pub const IDLE: u32 = 1 << 5;
/// These are the first bytes of the bio.
pub const FIRST: u32 = 1 << 6;
/// The submitter is a kernel thread.
pub const KTHREAD: u32 = 1 << 7;
/// The page's folio is dirty.
pub const DIRTY: u32 = 1 << 8;

/// The charge of a page that carries no file data, in a bio to the device `dev`. `kind` is the
/// page's kind and the bits above; `private` is `bio.bi_private`. A global function, see the
/// crate documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn page_without_data(
    page: u64,
    private: u64,
    dev: u32,
    submitter: u32,
    kind: u32,
) -> u32 {
    let kthread = kind & KTHREAD != 0;
    let charge = match kind & KIND {
        LOG => Charge::metadata(commit::deal(submitter), Class::Journal as u32),
        // A checkpoint leaves the page dirty.
        BUFFER if kind & DIRTY != 0 => {
            Charge(metadata_page(page, Class::Home as u32, file_system_of(dev)))
        }
        BUFFER => by_submitter(
            page,
            file_system_of(dev),
            Class::Journal,
            submitter,
            kthread,
        ),
        RAW => by_submitter(page, file_system_of(dev), Class::Home, submitter, kthread),
        _ if kind & META == 0 => match task_of(submitter, file_system_of(dev)) {
            Some(slot) => Charge::to(slot, Class::Shared),
            None if kthread && works_for_itself(submitter) => Charge::to(submitter, Class::Direct),
            None => Charge::UNKNOWN,
        },
        _ if kind & IDLE != 0 => {
            let file_system = file_system_of(dev);
            if kind & FIRST != 0 {
                close(file_system);
            }
            Charge::metadata(deal_block(file_system, CLOSED), Class::Journal as u32)
        }
        // A buffer of xfs.
        _ => {
            let slot = match logged::changer(private) {
                Some(slot) => slot,
                None => deal_block(file_system_of(dev), CLOSED),
            };
            Charge::metadata(slot, Class::Home as u32)
        }
    };
    charge.0
}
