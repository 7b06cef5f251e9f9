//! What a CPU counts in the current epoch: its totals and its current fact.

use iotop_common::{Class, Control, EpochPart, Fact, FactKey, lag_class};

use super::facts::store_fact;
use crate::{
    kernel::verifier::{clear, opaque_index},
    maps::EPOCHS,
};

/// This CPU's part of an epoch. Only one program writes to it, and the kernel never
/// runs a program twice at once on one CPU. Plain additions are enough.
pub struct CpuEpoch {
    control: Control,
    index: u32,
    part: *mut EpochPart,
}

impl CpuEpoch {
    /// The current CPU's part, for one of the programs on `block_bio_queue`.
    #[inline(always)]
    pub fn of(control: Control, order: u32) -> Option<CpuEpoch> {
        let index = EpochPart::index(control.epoch, order);
        let part = EPOCHS.get_ptr_mut(index)?;
        Some(CpuEpoch {
            control,
            index,
            part,
        })
    }

    /// The user half's requests that came with the epoch.
    #[inline(always)]
    pub fn control(&self) -> Control {
        self.control
    }

    /// Whether the user half wants flushes and files.
    #[inline(always)]
    pub fn wants_flushes(&self) -> bool {
        self.control.flushes != 0
    }

    /// Adds to the totals.
    #[inline(always)]
    pub fn total(&self, class: Class, bytes: u64) {
        // SAFETY: a map value of this CPU.
        let totals = unsafe { &mut (*self.part).totals };
        match class {
            Class::Read => totals.read_bytes += bytes,
            Class::Stacked => totals.stacked_bytes += bytes,
            _ => totals.write_bytes += bytes,
        }
    }

    /// Makes the fact of this key the current one. The fact of another key enters the
    /// table.
    #[inline(always)]
    pub fn switch_to(&self, key: &FactKey) {
        // SAFETY: a map value of this CPU.
        let part = unsafe { &mut *self.part };
        if part.key != *key {
            if part.fact.bytes != 0 {
                store_fact(self.index);
            }
            part.key = *key;
            clear(&mut part.fact);
        }
    }

    /// The current fact.
    #[inline(always)]
    pub fn fact(&self) -> &mut Fact {
        // SAFETY: a map value of this CPU.
        unsafe { &mut (*self.part).fact }
    }

    /// Counts pages that waited `ticks` ticks for their bio.
    #[inline(always)]
    pub fn waited(&self, pages: u32, ticks: u32) {
        let fact = self.fact();
        fact.pages += pages;
        fact.lag_sum += u64::from(ticks) * u64::from(pages);
        fact.lag_max = fact.lag_max.max(ticks);
        if let Some(class) = fact.lags.get_mut(opaque_index(lag_class(ticks))) {
            *class += pages;
        }
    }
}
