//! The tables of facts, one for even and one for odd epochs.

use aya_ebpf::{bindings::BPF_NOEXIST, macros::map, maps::PerCpuArray};
use iotop_common::{
    Class, EpochPart, Fact, FactKey, LAGS, Lost,
    fact::FACTS_FILLING,
    tag::{SLOT_FIRST, SLOT_NONE, Slot, is_crowd},
};

use super::{
    control::control,
    crowd::{self, crowd_slot, key_of},
    wake,
};
use crate::{
    counters::{add, add_u32, lose},
    kernel::verifier::copy,
    maps::{ENTERED, EPOCHS, FACTS_EVEN, FACTS_ODD, FACTS_OF_ALL, FACTS_WITH_INODE, OWNERS},
};

/// How many facts with a file a crowd may enter when the table is nearly full.
const FILES_EACH: u32 = 256;
/// How many of its owners it may enter after that.
const OWNERS_EACH: u32 = 64;

/// The key of each CPU's fact where facts run short. It lies in memory, as `crowd::KEY` does.
#[map]
static SHORT: PerCpuArray<FactKey> = PerCpuArray::with_max_entries(EpochPart::COUNT, 0);

/// Stores a CPU's current fact in the table. Where facts run short, it is stored without its
/// inode, or for the owner's crowd. Where there is no room at all, its bytes count as overflow.
/// A global function, see the crate documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn store_fact(index: u32) -> u32 {
    let Some(part) = EPOCHS.get_ptr_mut(index) else {
        return 0;
    };
    // SAFETY: a map value of this CPU.
    let EpochPart { key, fact, .. } = unsafe { &mut *part };
    let entered = match ENTERED.get_ptr(index & 1) {
        // SAFETY: a map value of one aligned word.
        Some(entered) => unsafe { *entered },
        None => return 0,
    };
    // Any task's facts may fill the table up to here.
    if store(index, key, fact, entered < FACTS_OF_ALL) {
        return 0;
    }
    let has_owner = key.owner >= SLOT_FIRST && !is_crowd(key.owner);
    if store_where_short(index) == 0 {
        return 0;
    }
    // One call after the other: before 5.11 the stack has no room for one in another.
    let crowd = match has_owner {
        true => crowd_slot(index, key.owner),
        false => SLOT_NONE,
    };
    store_for_crowd(index, crowd)
}

/// Stores a CPU's current fact where the table is nearly full. Returns 1 if its owner has no
/// room. A global function, see the crate documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn store_where_short(index: u32) -> u32 {
    let Some(part) = EPOCHS.get_ptr_mut(index) else {
        return 0;
    };
    // SAFETY: a map value of this CPU.
    let EpochPart { key, fact, .. } = unsafe { &mut *part };
    let has_owner = key.owner >= SLOT_FIRST && !is_crowd(key.owner);
    let (may_have_file, may_be_own) = match has_owner {
        true => allowance(index, key.owner),
        false => (has_room_for_files(index), true),
    };
    if store(index, key, fact, may_have_file) {
        return 0;
    }
    let Some(short) = SHORT.get_ptr_mut(index) else {
        return 0;
    };
    // SAFETY: a map value of this CPU, and only this program's.
    let short = unsafe { &mut *short };
    copy(short, key);
    (short.ino, short.file) = (0, 0);
    let files = u64::from(key.ino != 0);
    if store(index, short, fact, may_be_own) {
        lose(Lost::FactInodes, files);
        return 0;
    }
    1
}

/// Stores a CPU's current fact for the owner's crowd, or counts its bytes as overflow. A global
/// function, see the crate documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn store_for_crowd(index: u32, crowd: u32) -> u32 {
    let (Some(part), Some(short)) = (EPOCHS.get_ptr_mut(index), SHORT.get_ptr_mut(index)) else {
        return 0;
    };
    // SAFETY: map values of this CPU, and only this program's.
    let (part, short) = unsafe { (&mut *part, &mut *short) };
    let EpochPart {
        totals, key, fact, ..
    } = part;
    if crowd != SLOT_NONE {
        // The pages no longer wait for their owner. Their lag is not counted.
        if let Some(owner) = OWNERS.get_ptr_mut(key.owner) {
            // SAFETY: a map value; only the field's address is taken.
            let cleaned = unsafe { &raw mut (*owner).cleaned_pages };
            add(cleaned, fact.pages.into());
        }
        fact.pages = 0;
        fact.lag_sum = 0;
        fact.lag_max = 0;
        fact.lags.iter_mut().for_each(|pages| *pages = 0);
        copy(short, key);
        if key.submitter == key.owner {
            short.submitter = crowd;
        }
        short.owner = crowd;
        if store(index, short, fact, has_room_for_files(index)) {
            return 0;
        }
        (short.ino, short.file) = (0, 0);
        if store(index, short, fact, true) {
            lose(Lost::FactInodes, u64::from(key.ino != 0));
            return 0;
        }
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
    if !store(epoch, key, fact, true) {
        lose(Lost::Facts, 1);
    }
}

/// Whether the crowd of an owner may enter a further fact with a file, and one of a further
/// owner: a crowd must leave room for tasks that have nothing to do with it.
#[inline(always)]
fn allowance(index: u32, owner: Slot) -> (bool, bool) {
    let Some(crowd) = key_of(index, owner).and_then(|key| crowd::find(key)) else {
        return (false, false);
    };
    let epoch = control().epoch;
    // SAFETY: a map value of aligned fields. CPUs share it: the limits are not exact.
    let crowd = unsafe { &mut *crowd };
    if crowd.epoch != epoch {
        crowd.epoch = epoch;
        crowd.facts = 0;
    }
    crowd.facts += 1;
    (
        crowd.facts <= FILES_EACH,
        crowd.facts <= FILES_EACH + OWNERS_EACH,
    )
}

/// True if crowds may still enter facts with a file.
#[inline(always)]
fn has_room_for_files(index: u32) -> bool {
    ENTERED
        .get_ptr(index & 1)
        // SAFETY: a map value of one aligned word.
        .is_some_and(|entered| unsafe { *entered } < FACTS_WITH_INODE)
}

/// Adds a fact to the one that the table has under its key. If there is none, inserts it where
/// it `may` be inserted and there is room.
#[inline(always)]
fn store(index: u32, key: &FactKey, fact: &Fact, may: bool) -> bool {
    let known = match find(index, key) {
        None if may && insert(index, key, fact) => return true,
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
    let flags = u64::from(BPF_NOEXIST);
    let inserted = match index & 1 {
        0 => FACTS_EVEN.insert(key, fact, flags).is_ok(),
        _ => FACTS_ODD.insert(key, fact, flags).is_ok(),
    };
    if inserted {
        add(entered, 1);
        // SAFETY: a map value of one aligned word.
        if unsafe { *entered } >= FACTS_FILLING {
            wake::user_half();
        }
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
