//! Counting: totals, facts and losses.

use core::arch::asm;

use aya_ebpf::{bindings::BPF_NOEXIST, maps::HashMap};
use iotop_common::{Class, Control, Fact, FactKey, Lost, Totals};

use crate::maps::{CONTROL, FACTS_EVEN, FACTS_ODD, LOST, TOTALS};

/// Adds to a counter that other CPUs, and interrupts on this one, add to too.
#[inline(always)]
pub fn add(counter: *mut u64, n: u64) {
    // SAFETY: counters are 8-byte fields of map values. `core` has no atomic
    // addition for this target; without its result it is BPF_XADD, which every
    // kernel knows.
    unsafe { asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) counter, in(reg) n) };
}

/// Counts a loss.
#[inline(always)]
pub fn lose(what: Lost, n: u64) {
    if let Some(counter) = LOST.get_ptr_mut(what as u32) {
        add(counter, n);
    }
}

/// What the user half says at this moment. A program looks once and keeps to
/// the epoch it saw, so that its totals and its facts are of the same epoch.
#[inline(always)]
pub fn control() -> Control {
    CONTROL.get(0).copied().unwrap_or_default()
}

/// Adds to one of an epoch's totals.
#[inline(always)]
pub fn total(epoch: u32, class: Class, bytes: u64) {
    let Some(totals) = TOTALS.get_ptr_mut(epoch & 1) else {
        return;
    };
    // SAFETY: a map value; only the field's address is taken.
    let counter = unsafe {
        match class {
            Class::Read => &raw mut (*totals).read_bytes,
            Class::Stacked => &raw mut (*totals).stacked_bytes,
            _ => &raw mut (*totals).write_bytes,
        }
    };
    add(counter, bytes);
}

/// Adds a fact; where there is no room for it, without its inode; where there
/// is no room for that either, to the epoch's overflow.
#[inline(never)]
pub fn fact(epoch: u32, key: &FactKey, fact: &Fact) {
    if store(epoch, key, fact) {
        return;
    }
    let without_inode = FactKey { ino: 0, ..*key };
    if store(epoch, &without_inode, fact) {
        lose(Lost::FactInodes, 1);
        return;
    }
    lose(Lost::Facts, 1);
    if let Some(totals) = TOTALS.get_ptr_mut(epoch & 1) {
        overflow(totals, key.class, fact.bytes);
    }
}

#[inline(always)]
fn overflow(totals: *mut Totals, class: u32, bytes: u64) {
    // SAFETY: a map value; only the field's address is taken.
    let counter = unsafe {
        if class == Class::Read as u32 {
            &raw mut (*totals).read_overflow_bytes
        } else if class == Class::Stacked as u32 {
            &raw mut (*totals).stacked_overflow_bytes
        } else {
            &raw mut (*totals).write_overflow_bytes
        }
    };
    add(counter, bytes);
}

#[inline(always)]
fn store(epoch: u32, key: &FactKey, fact: &Fact) -> bool {
    if epoch & 1 == 0 {
        store_in(&FACTS_EVEN, key, fact)
    } else {
        store_in(&FACTS_ODD, key, fact)
    }
}

#[inline(always)]
fn store_in(facts: &HashMap<FactKey, Fact>, key: &FactKey, fact: &Fact) -> bool {
    if merge(facts, key, fact) {
        return true;
    }
    match facts.insert(key, fact, u64::from(BPF_NOEXIST)) {
        Ok(()) => true,
        // Another CPU came first.
        Err(_) => merge(facts, key, fact),
    }
}

#[inline(always)]
fn merge(facts: &HashMap<FactKey, Fact>, key: &FactKey, fact: &Fact) -> bool {
    let Some(known) = facts.get_ptr_mut(key) else {
        return false;
    };
    // SAFETY: a map value. `lag_max` is written without a lock: two CPUs that
    // raise it in the same instant may leave the lower of the two.
    unsafe {
        add(&raw mut (*known).bytes, fact.bytes);
        add(&raw mut (*known).bios, fact.bios);
        add(&raw mut (*known).lag_pages, fact.lag_pages);
        add(&raw mut (*known).lag_sum, fact.lag_sum);
        if (*known).lag_max < fact.lag_max {
            (*known).lag_max = fact.lag_max;
        }
    }
    true
}
