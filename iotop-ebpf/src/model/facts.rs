//! The tables of facts, one for even and one for odd epochs.

use aya_ebpf::bindings::BPF_NOEXIST;
use iotop_common::{Class, EpochPart, Fact, FactKey, LAGS, Lost};

use crate::{
    counters::{add, add_u32, lose},
    maps::{ENTERED, EPOCHS, FACTS_EVEN, FACTS_ODD, FACTS_WITH_INODE},
};

/// Stores a CPU's current fact in the table. Where that has no room, the fact is stored
/// without its inode. Where that has no room either, its bytes count as overflow. A
/// global function, see the crate documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn store_fact(index: u32) -> u32 {
    let Some(part) = EPOCHS.get_ptr_mut(index) else {
        return 0;
    };
    // SAFETY: a map value of this CPU.
    let EpochPart {
        totals, key, fact, ..
    } = unsafe { &mut *part };
    if store(index, key, fact) {
        return 0;
    }
    let without_inode = FactKey {
        ino: 0,
        file: 0,
        ..*key
    };
    if store(index, &without_inode, fact) {
        lose(Lost::FactInodes, 1);
        return 0;
    }
    lose(Lost::Facts, 1);
    if key.class == Class::Read as u32 {
        totals.read_overflow_bytes += fact.bytes;
    } else if key.class == Class::Stacked as u32 {
        totals.stacked_overflow_bytes += fact.bytes;
    } else {
        totals.write_overflow_bytes += fact.bytes;
    }
    0
}

/// Stores a fact that no CPU collects. Any program may call this, also one that interrupts
/// another.
#[inline(always)]
pub fn store_one(epoch: u32, key: &FactKey, fact: &Fact) {
    if !store(epoch, key, fact) {
        lose(Lost::Facts, 1);
    }
}

/// Adds a fact to the one that the table has under its key, or inserts it; `false`
/// without room.
#[inline(always)]
fn store(index: u32, key: &FactKey, fact: &Fact) -> bool {
    let known = match find(index, key) {
        None if insert(index, key, fact) => return true,
        // Another CPU inserted the key first, or there is no room.
        None => find(index, key),
        known => known,
    };
    known.map(|known| merge(known, fact)).is_some()
}

/// The lowest bit of an index is the epoch's.
#[inline(always)]
fn find(index: u32, key: &FactKey) -> Option<*mut Fact> {
    match index & 1 {
        0 => FACTS_EVEN.get_ptr_mut(key),
        _ => FACTS_ODD.get_ptr_mut(key),
    }
}

#[inline(always)]
fn insert(index: u32, key: &FactKey, fact: &Fact) -> bool {
    let Some(entered) = ENTERED.get_ptr_mut(index & 1) else {
        return false;
    };
    // SAFETY: a map value of one aligned word.
    if key.ino != 0 && unsafe { *entered } >= FACTS_WITH_INODE {
        return false;
    }
    let flags = u64::from(BPF_NOEXIST);
    let inserted = match index & 1 {
        0 => FACTS_EVEN.insert(key, fact, flags).is_ok(),
        _ => FACTS_ODD.insert(key, fact, flags).is_ok(),
    };
    if inserted {
        add(entered, 1);
    }
    inserted
}

#[inline(always)]
fn merge(known: *mut Fact, fact: &Fact) {
    // SAFETY: a map value. `lag_max` is written without a lock: if two CPUs raise it
    // at the same instant, the lower value may remain.
    unsafe {
        add(&raw mut (*known).bytes, fact.bytes);
        add_u32(&raw mut (*known).bios, fact.bios);
        add_u32(&raw mut (*known).pages, fact.pages);
        add(&raw mut (*known).lag_sum, fact.lag_sum);
        if (*known).lag_max < fact.lag_max {
            (*known).lag_max = fact.lag_max;
        }
        for class in 0..LAGS {
            if fact.lags[class] != 0 {
                add_u32(&raw mut (*known).lags[class], fact.lags[class]);
            }
        }
    }
}
