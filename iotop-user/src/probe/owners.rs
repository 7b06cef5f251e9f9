//! The owners' table, mapped as far as slots were ever handed out: each page that is
//! mapped counts as this process's memory, used or not.

use std::{io, mem::offset_of};

use aya::maps::MapData;
use iotop_common::{
    Owner,
    tag::{SLOTS, Slot},
};

use super::mapped::Mapped;

/// Slots that are mapped at first.
const FIRST: usize = 1024;

/// `OWNERS`.
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
        let mapped = Mapped::new(&map, FIRST)?;
        Ok(Owners { map, mapped })
    }

    /// Maps at least the slots up to this one, and all that were handed out: that
    /// happens in their order, so the first that was not ends them.
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

    /// An owner, as far as its slot is mapped.
    pub fn get(&self, slot: Slot) -> Option<Owner> {
        self.mapped.get(slot as usize)
    }

    /// Counts a page of an owner that waits no longer without having been submitted.
    pub fn cleaned(&self, slot: Slot) {
        let counter = offset_of!(Owner, cleaned_pages);
        self.mapped.add(slot as usize, counter, 1);
    }

    /// Writes a word of an owner.
    pub fn set_word(&self, slot: Slot, offset: usize, value: u32) {
        self.mapped.set_word(slot as usize, offset, value);
    }
}
