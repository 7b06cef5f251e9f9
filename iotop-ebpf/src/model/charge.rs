//! Charges: an owner's slot and a class.

use iotop_common::{
    Class, Tag,
    tag::{SLOT_FIRST, SLOT_METADATA, SLOT_NONE, SLOT_OVERFLOW, SLOTS, Slot},
};

use super::{bio::Bio, known_inode::KnownInode, submitter::Submitter};
use crate::kernel::{layout::layout, verifier::clear};

/// A slot and a [`Class`] in one word.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Charge(pub u32);

impl Charge {
    /// Kernel memory could not be read.
    pub const NONE: Charge = Charge::to(SLOT_NONE, Class::Exact);
    /// Metadata without an owner.
    pub const METADATA: Charge = Charge::to(SLOT_NONE, Class::Metadata);
    /// The page may have been dirtied before the trace began.
    pub const PRE_TRACE: Charge = Charge::to(SLOT_NONE, Class::PreTrace);
    /// The owner is not known.
    pub const UNKNOWN: Charge = Charge::to(SLOT_NONE, Class::Unknown);

    /// A charge to a slot.
    #[inline(always)]
    pub const fn to(slot: Slot, class: Class) -> Charge {
        Charge(slot | (class as u32) << 16)
    }

    /// A charge of metadata to a slot; without an owner where the slot is `SLOT_NONE`.
    #[inline(always)]
    pub fn metadata(slot: Slot, class: u32) -> Charge {
        match slot {
            SLOT_NONE => Charge::METADATA,
            SLOT_OVERFLOW => Charge::to(slot, Class::Overflow),
            slot => Charge(slot | class << 16),
        }
    }

    /// A charge to the slot of a page's tag.
    #[inline(always)]
    pub fn by_slot(slot: Slot) -> Charge {
        match slot {
            SLOT_OVERFLOW => Charge::to(slot, Class::Overflow),
            SLOT_METADATA => Charge::to(slot, Class::Metadata),
            _ => Charge::to(slot, Class::Exact),
        }
    }

    /// The charge of a write that does not come from the page cache. A write that a user
    /// task submits itself is `O_DIRECT`. `UNKNOWN`: [`super::metadata::page_without_data`]
    /// finds out. File systems mark their own writes (xfs's buffers and log) `REQ_META`.
    #[inline(always)]
    pub fn of_other(bio: &Bio, submitter: &Submitter) -> Charge {
        if bio.opf & layout!(req_swap) != 0 {
            Charge::to(SLOT_NONE, Class::Swap)
        } else if bio.opf & layout!(req_meta) != 0 || submitter.kthread {
            Charge::UNKNOWN
        } else if submitter.slot == SLOT_OVERFLOW {
            Charge::to(SLOT_NONE, Class::Overflow)
        } else {
            Charge::to(submitter.slot, Class::Direct)
        }
    }

    /// The same charge where another task may have written the page too.
    #[inline(always)]
    pub fn shared(self) -> Charge {
        match self.class() == Class::Exact as u32 {
            true => Charge::to(self.0 & (SLOTS - 1), Class::Shared),
            false => self,
        }
    }

    /// Whether it is metadata without an owner.
    #[inline(always)]
    pub fn is_metadata(self) -> bool {
        self.class() == Class::Metadata as u32
    }

    /// The owner's slot; `SLOT_NONE` where the owner is not a task.
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

/// The charge of a whole bio.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Charged {
    pub charge: Charge,
    pub known: KnownInode,
    /// The live tag that was taken.
    pub taken: Tag,
}

impl Charged {
    /// Charges the bio, without a file.
    #[inline(always)]
    pub fn set(&mut self, charge: Charge) {
        clear(&mut self.known);
        self.charge = charge;
        self.taken = Tag::NONE;
    }
}
