//! The table of owners, mapped into our memory. Only slots that were handed out are
//! mapped, because each mapped page counts as this process's memory, used or not.

use std::{io, mem::offset_of};

use aya::maps::MapData;
use iotop_common::{
    Owner,
    tag::{SLOTS, Slot},
};

use super::mapped::Mapped;

/// How many slots are mapped at the start.
const INITIAL: usize = 1024;

/// The map `OWNERS`, and our mapping of its first slots.
pub struct Owners {
    map: MapData,
    mapped: Mapped<Owner>,
}

impl Owners {
    /// Maps the first slots.
    ///
    /// # Errors
    ///
    /// mmap failed.
    pub fn new(map: MapData) -> io::Result<Owners> {
        let mapped = Mapped::new(&map, INITIAL)?;
        Ok(Owners { map, mapped })
    }

    /// Maps at least the slots up to this one, and all slots that were handed out. Slots
    /// are handed out in order: if the last mapped one was not, none above it was.
    ///
    /// # Errors
    ///
    /// mmap failed.
    pub fn reach(&mut self, slot: Slot) -> io::Result<()> {
        loop {
            let length = self.mapped.len();
            let last = self.mapped.get(length - 1);
            let is_used = last.is_some_and(|owner| owner.generation != 0);
            if length >= SLOTS as usize || length > slot as usize && !is_used {
                return Ok(());
            }
            self.mapped = Mapped::new(&self.map, (2 * length).min(SLOTS as usize))?;
        }
    }

    /// A copy of the owner in this slot. `None` if the slot is not mapped.
    pub fn get(&self, slot: Slot) -> Option<Owner> {
        self.mapped.get(slot as usize)
    }

    /// Counts one page of an owner as cleaned: it is no longer pending, and was not
    /// submitted.
    pub fn cleaned(&self, slot: Slot) {
        let counter = offset_of!(Owner, cleaned_pages);
        self.mapped.add(slot as usize, counter, 1);
    }

    /// Marks a slot as retired.
    pub fn retire(&self, slot: Slot) {
        let retired = offset_of!(Owner, retired);
        self.mapped.set_u16(slot as usize, retired, 1);
    }
}
