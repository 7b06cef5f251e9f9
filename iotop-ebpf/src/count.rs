//! Counting: totals, facts and losses.

use core::arch::asm;

use aya_ebpf::bindings::BPF_NOEXIST;
use iotop_common::{Class, Control, EpochPart, Fact, FactKey, LAGS, Lost, lag_class};

use crate::{
    kernel::clear,
    maps::{CONTROL, ENTERED, EPOCHS, FACTS_EVEN, FACTS_ODD, FACTS_WITH_INODE, LOST},
};

/// Adds to a counter that other CPUs, and interrupts on this one, add to too.
#[inline(always)]
pub fn add(counter: *mut u64, n: u64) {
    // SAFETY: counters are 8-byte fields of map values. `core` has no atomic
    // addition for this target; without its result it is BPF_XADD, which every
    // kernel knows.
    unsafe { asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) counter, in(reg) n) };
}

/// The same for one of four bytes.
#[inline(always)]
pub fn add_u32(counter: *mut u32, n: u32) {
    // SAFETY: as above.
    unsafe { asm!("lock *(u32 *)({0} + 0) += {1}", in(reg) counter, in(reg) u64::from(n)) };
}

/// The same number, of which the compiler forgets what it knows: the verifier
/// wants to see the check of an index that the compiler finds superfluous.
#[inline(always)]
fn unknown(mut number: usize) -> usize {
    // SAFETY: it does nothing; but it is an instruction, for two lines of source
    // at the place of one are no debug information that a kernel takes.
    unsafe { asm!("{0} = {0}", inout(reg) number) };
    number
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

/// This CPU's part of an epoch. Only one program writes to it, and the kernel
/// never runs a program twice at once on one CPU: plain additions do.
pub struct Part {
    control: Control,
    index: u32,
    part: *mut EpochPart,
}

impl Part {
    /// The current CPU's.
    #[inline(always)]
    pub fn of(control: Control, turn: u32) -> Option<Part> {
        let index = EpochPart::index(control.epoch, turn);
        let part = EPOCHS.get_ptr_mut(index)?;
        Some(Part {
            control,
            index,
            part,
        })
    }

    /// What the user half said when this was taken.
    #[inline(always)]
    pub fn control(&self) -> Control {
        self.control
    }

    /// Whether flushes and files are asked for.
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

    /// What comes from here on is counted under this key: another one's fact
    /// enters the table.
    #[inline(always)]
    pub fn turn_to(&self, key: &FactKey) {
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

    /// The fact under the key turned to.
    #[inline(always)]
    pub fn fact(&self) -> &mut Fact {
        // SAFETY: a map value of this CPU.
        unsafe { &mut (*self.part).fact }
    }

    /// Counts pages that waited for so many ticks.
    #[inline(always)]
    pub fn waited(&self, pages: u32, ticks: u32) {
        let fact = self.fact();
        fact.pages += pages;
        fact.lag_sum += u64::from(ticks) * u64::from(pages);
        fact.lag_max = fact.lag_max.max(ticks);
        if let Some(class) = fact.lags.get_mut(unknown(lag_class(ticks))) {
            *class += pages;
        }
    }
}

/// What a CPU counted under its key goes into the table; where there is no room,
/// without the inode; where there is no room for that either, to the overflow. A
/// global function is verified once, on its own, and not at each of its calls.
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

/// Adds to what the table has under a key, or enters it; `false` without room.
#[inline(always)]
fn store(index: u32, key: &FactKey, fact: &Fact) -> bool {
    let known = match find(index, key) {
        None if enter(index, key, fact) => return true,
        // Another CPU came first, or there is no room.
        None => find(index, key),
        known => known,
    };
    known.map(|known| merge(known, fact)).is_some()
}

/// The lowest bit of an index is that of the epoch.
#[inline(always)]
fn find(index: u32, key: &FactKey) -> Option<*mut Fact> {
    match index & 1 {
        0 => FACTS_EVEN.get_ptr_mut(key),
        _ => FACTS_ODD.get_ptr_mut(key),
    }
}

#[inline(always)]
fn enter(index: u32, key: &FactKey, fact: &Fact) -> bool {
    let Some(entered) = ENTERED.get_ptr_mut(index & 1) else {
        return false;
    };
    // SAFETY: a map value of one aligned word.
    if key.ino != 0 && unsafe { *entered } >= FACTS_WITH_INODE {
        return false;
    }
    let flags = u64::from(BPF_NOEXIST);
    let there = match index & 1 {
        0 => FACTS_EVEN.insert(key, fact, flags).is_ok(),
        _ => FACTS_ODD.insert(key, fact, flags).is_ok(),
    };
    if there {
        add(entered, 1);
    }
    there
}

#[inline(always)]
fn merge(known: *mut Fact, fact: &Fact) {
    // SAFETY: a map value. `lag_max` is written without a lock: two CPUs that
    // raise it in the same instant may leave the lower of the two.
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
