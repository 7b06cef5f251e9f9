//! A slot together with its tenant: the task that the slot was assigned to.

use iotop_common::tag::{SLOT_FIRST, SLOTS, Slot};

use crate::maps::OWNERS;

/// The bits of a slot's number.
const SLOT_BITS: u32 = SLOTS.trailing_zeros();

/// A slot (bits 0..15) and the lower bits of its `generation`: one word, which tells when the
/// slot has another tenant.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tenant(pub u32);

impl Tenant {
    /// The current tenant of a slot.
    #[inline(always)]
    pub fn of(slot: Slot) -> Option<Tenant> {
        let owner = OWNERS.get_ptr(slot)?;
        // SAFETY: a map value; one word is read.
        let generation = unsafe { (*owner).generation };
        Some(Tenant(slot | generation << SLOT_BITS))
    }

    /// The slot, if it still has this tenant.
    #[inline(always)]
    pub fn slot(self) -> Option<Slot> {
        let slot = self.0 & (SLOTS - 1);
        if slot < SLOT_FIRST {
            return None;
        }
        let owner = OWNERS.get_ptr(slot)?;
        // SAFETY: a map value; the user half writes `retired`.
        let (generation, retired) = unsafe { ((*owner).generation, (*owner).retired) };
        (generation << SLOT_BITS == self.0 & !(SLOTS - 1) && retired == 0).then_some(slot)
    }
}
