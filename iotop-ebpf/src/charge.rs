//! To whom a written page is charged.

use iotop_common::{
    Class, Lost, Tag, Tick,
    owner::{MAPPING_BDEV, MAPPING_BTREE, MAPPING_DATA},
    tag::{
        SLOT_FIRST, SLOT_METADATA, SLOT_NONE, SLOT_OVERFLOW, SLOTS, SUBMITTED_ANSWERS_TICKS, Slot,
    },
};

use crate::{
    count::lose,
    inode::Inode,
    kernel::layout,
    mappings::Place,
    page::{Folio, Frame},
    submitted::{Bio, Submitter},
};

// What a page is, as far as its bio is concerned.
/// Page cache under writeback: its tag says whose it is.
pub const CACHE: u32 = 0;
/// A block device's page written through a buffer head: metadata.
pub const BUFFER: u32 = 1;
/// Anything else: the submitter's own memory, or a file system's.
pub const OTHER: u32 = 2;
/// Page cache whose data goes through a journal, and is not under writeback: its log
/// writes it, or a checkpoint. Its tag says whose it is.
pub const JOURNALLED: u32 = 3;

/// A slot and a [`Class`] in one word.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Charge(u32);

impl Charge {
    /// Kernel memory could not be read.
    const NONE: Charge = Charge::to(SLOT_NONE, Class::Exact);
    /// Metadata without an owner.
    pub const METADATA: Charge = Charge::to(SLOT_NONE, Class::Metadata);
    /// Perhaps dirtied before the trace began.
    pub const PRE_TRACE: Charge = Charge::to(SLOT_NONE, Class::PreTrace);
    /// Nothing tells.
    pub const UNKNOWN: Charge = Charge::to(SLOT_NONE, Class::Unknown);

    /// To a slot.
    #[inline(always)]
    pub const fn to(slot: Slot, class: Class) -> Charge {
        Charge(slot | (class as u32) << 16)
    }

    /// By the slot of a page's tag.
    #[inline(always)]
    fn by_slot(slot: Slot) -> Charge {
        match slot {
            SLOT_OVERFLOW => Charge::to(slot, Class::Overflow),
            SLOT_METADATA => Charge::to(slot, Class::Metadata),
            _ => Charge::to(slot, Class::Exact),
        }
    }

    /// A write that does not come from the page cache. File systems mark their
    /// own (xfs buffers and log, btrfs super blocks) `REQ_META`. What a user
    /// task submits itself is `O_DIRECT`; for a kernel thread nothing tells.
    #[inline(always)]
    pub fn of_other(bio: &Bio, submitter: &Submitter) -> Charge {
        if bio.opf & layout!(req_swap) != 0 {
            Charge::to(SLOT_NONE, Class::Swap)
        } else if bio.opf & layout!(req_meta) != 0 {
            Charge::METADATA
        } else if submitter.kthread {
            Charge::UNKNOWN
        } else if submitter.slot == SLOT_OVERFLOW {
            Charge::to(SLOT_NONE, Class::Overflow)
        } else {
            Charge::to(submitter.slot, Class::Direct)
        }
    }

    /// The same where another task may have written it too.
    #[inline(always)]
    pub fn shared(self) -> Charge {
        match self.class() == Class::Exact as u32 {
            true => Charge::to(self.0 & (SLOTS - 1), Class::Shared),
            false => self,
        }
    }

    /// The owner, where it is a task.
    #[inline(always)]
    pub fn owner(self) -> Slot {
        let slot = self.0 & (SLOTS - 1);
        if slot < SLOT_FIRST { SLOT_NONE } else { slot }
    }

    /// The class's number.
    #[inline(always)]
    pub fn class(self) -> u32 {
        self.0 >> 16
    }
}

/// The mapping seen last, and its inode number.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Known {
    pub mapping: u64,
    /// 0: to be read anew, for the mapping may be another file's by now.
    pub ino: u64,
    /// See `FactKey::file`.
    pub file: u32,
    /// 1: `file` is asked for.
    pub wants_file: u32,
}

impl Known {
    /// A mapping that was found to be the page cache's before.
    #[inline(always)]
    pub fn mapping(mapping: u64, wants_file: bool) -> Known {
        Known {
            mapping,
            ino: 0,
            file: 0,
            wants_file: u32::from(wants_file),
        }
    }

    /// Nothing is known.
    #[inline(always)]
    fn forget(&mut self) {
        self.ino = 0;
        self.file = 0;
    }
}

/// What a page's folio is. A page-cache page's mapping becomes the known one;
/// `ino` is 0 where the page has no tag.
#[inline(always)]
pub fn look(folio: &Folio, known: &mut Known) -> Option<u32> {
    let mut what = CACHE;
    if !folio.is_under_writeback() {
        known.forget();
        what = not_under_writeback(folio.mapping);
        match what {
            FAULT => return None,
            JOURNALLED => {}
            _ => return Some(what),
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
        let inode = Inode::around_known(folio.mapping);
        known.ino = inode.ino()?;
        if known.wants_file != 0 {
            known.file = inode.file()?;
        }
    }
    Some(what)
}

/// Kernel memory could not be read.
const FAULT: u32 = u32::MAX;

/// What a page is that is in a bio without `PG_writeback`. `submit_bh` writes one
/// buffer and leaves the page's state alone. A global function is verified once, on
/// its own.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn not_under_writeback(mapping: u64) -> u32 {
    let Some(inode) = Inode::around(mapping) else {
        return OTHER;
    };
    match inode.kind() {
        None => FAULT,
        Some(MAPPING_BDEV) => BUFFER,
        Some(MAPPING_DATA)
            if Place::of(mapping).is_some_and(|place| place.folios().is_journalled()) =>
        {
            JOURNALLED
        }
        Some(_) => OTHER,
    }
}

/// A page's owner by its tag.
pub struct ByTag {
    /// To whom.
    pub charge: Charge,
    /// The live tag that was taken: the page waited for this bio. None where it was
    /// submitted before, or has lost its tag.
    pub taken: Tag,
}

/// Takes a page-cache page's tag. It stays live where the page is dirty again: the tag
/// is of what is written the next time. The log of a journal (`keep`) leaves it live and
/// marked in the same way: data that is logged is yet to be written home.
#[inline(always)]
pub fn by_tag(page: u64, mapping: u64, keep: bool, now: Tick) -> Option<ByTag> {
    let not_taken = |charge| {
        Some(ByTag {
            charge,
            taken: Tag::NONE,
        })
    };
    let Some(place) = Frame::of(page).tag() else {
        lose(Lost::Tags, 1);
        return not_taken(Charge::to(SLOT_NONE, Class::Overflow));
    };
    // SAFETY: a map value of one aligned word.
    let tag = Tag(unsafe { *place });
    if tag.is_live() {
        let charge = Charge::by_slot(tag.slot());
        if keep {
            let logged = Tag::dirtied_again(tag.slot(), tag.waits_on(now).since());
            // SAFETY: as above.
            unsafe { *place = logged.0 };
            return not_taken(charge);
        }
        if tag.is_dirty_again()
            && !Place::of(mapping).is_some_and(|place| place.folios().is_journalled())
        {
            // SAFETY: as above.
            unsafe { *place = tag.waits_on(now).0 };
            return not_taken(charge);
        }
        // SAFETY: as above.
        unsafe { *place = tag.submitted(now).0 };
        return Some(ByTag { charge, taken: tag });
    }
    if tag != Tag::NONE && tag.age(now) <= SUBMITTED_ANSWERS_TICKS {
        return not_taken(Charge::by_slot(tag.slot()));
    }
    match Charge(without_tag(mapping)) {
        Charge::NONE => None,
        charge => not_taken(charge),
    }
}

/// A page without a tag: dirtied before the trace, or moved by migration. A global
/// function is verified once, on its own, and returns a plain number.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn without_tag(mapping: u64) -> u32 {
    let inode = Inode::around_known(mapping);
    let charge = match inode.kind() {
        None => Charge::NONE,
        Some(MAPPING_BDEV | MAPPING_BTREE) => Charge::METADATA,
        Some(_) => inode.last_dirtier(),
    };
    charge.0
}
