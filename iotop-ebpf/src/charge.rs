//! To whom a written page is charged.

use iotop_common::{
    Class, Lost, Tag, Tick,
    owner::{MAPPING_BDEV, MAPPING_BTREE},
    tag::{
        SLOT_FIRST, SLOT_METADATA, SLOT_NONE, SLOT_OVERFLOW, SLOTS, SUBMITTED_ANSWERS_TICKS, Slot,
    },
};

use crate::{
    count::lose,
    inode::Inode,
    kernel::layout,
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

/// A slot and a [`Class`] in one word.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Default)]
pub struct Charge(u32);

impl Charge {
    /// Kernel memory could not be read.
    const NONE: Charge = Charge::to(SLOT_NONE, Class::Exact);
    /// Nobody's metadata.
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
/// `ino` is 0 where the page is not [`CACHE`].
#[inline(always)]
pub fn look(folio: &Folio, known: &mut Known) -> Option<u32> {
    let writeback = folio.is_under_writeback();
    if !writeback || folio.mapping != known.mapping {
        known.forget();
        let Some(inode) = Inode::around(folio.mapping) else {
            return Some(OTHER);
        };
        if !writeback {
            // submit_bh writes one buffer and leaves the page's state alone.
            let buffer = inode.kind()? == MAPPING_BDEV;
            return Some(if buffer { BUFFER } else { OTHER });
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
    Some(CACHE)
}

/// Whether a page waited for this bio, and for how long.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Waited {
    /// 0 or 1.
    pub pages: u32,
    ticks: u32,
}

impl Waited {
    const NOBODY_KNOWS: u32 = u32::MAX;
    /// It was submitted before.
    pub const NO: Waited = Waited {
        pages: 0,
        ticks: Waited::NOBODY_KNOWS,
    };
    /// Its tag was lost, and the inode's last dirtier answers.
    const UNKNOWN: Waited = Waited {
        pages: 1,
        ..Waited::NO
    };

    /// For so many ticks: less than they can count.
    #[inline(always)]
    pub fn ticks(self) -> Option<u32> {
        (self.ticks != Waited::NOBODY_KNOWS).then_some(self.ticks)
    }
}

/// A page's owner by its tag.
pub struct ByTag {
    /// To whom.
    pub charge: Charge,
    waited: Waited,
}

/// Takes a page-cache page's tag. It stays live where the page is dirty again: the tag
/// is of what is written the next time.
#[inline(always)]
pub fn by_tag(page: u64, mapping: u64, dirty_again: bool, now: Tick) -> Option<ByTag> {
    let Some(place) = Frame::of(page).tag() else {
        lose(Lost::Tags, 1);
        return Some(ByTag::not_live(Charge::to(SLOT_NONE, Class::Overflow)));
    };
    // SAFETY: a map value of one aligned word.
    let tag = Tag(unsafe { *place });
    let age = tag.age(now);
    if tag.is_live() && dirty_again {
        return Some(ByTag::not_live(Charge::by_slot(tag.slot())));
    }
    if tag.is_live() {
        // SAFETY: as above.
        unsafe { *place = tag.submitted(now).0 };
        return Some(ByTag {
            charge: Charge::by_slot(tag.slot()),
            waited: Waited {
                pages: 1,
                ticks: age,
            },
        });
    }
    if tag != Tag::NONE && age <= SUBMITTED_ANSWERS_TICKS {
        return Some(ByTag::not_live(Charge::by_slot(tag.slot())));
    }
    let charge = Charge(without_tag(mapping));
    if charge == Charge::NONE {
        return None;
    }
    let waited = match charge.class() == Class::Shared as u32 {
        true => Waited::UNKNOWN,
        false => Waited::NO,
    };
    Some(ByTag { charge, waited })
}

impl ByTag {
    #[inline(always)]
    fn not_live(charge: Charge) -> ByTag {
        ByTag {
            charge,
            waited: Waited::NO,
        }
    }

    /// Whether it waited for the bio that has its bytes from `offset` on. A page
    /// of several blocks is one page.
    #[inline(always)]
    pub fn waited(&self, offset: u32) -> Waited {
        match self.waited {
            Waited::UNKNOWN if offset != 0 => Waited::NO,
            waited => waited,
        }
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
