//! Who joined the transactions of a file system's journal, and how much each changed.
//!
//! A block of a journal belongs to all tasks that joined its transaction. It is *dealt*: charged
//! at once to one of them, drawn by their weights. Over a few blocks each task gets its part.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST},
    helpers::generated::bpf_get_prandom_u32,
    macros::map,
    maps::{Array, HashMap},
};
use iotop_common::{
    Owner, Tick,
    journal::{CELLS, JOURNALS, Journal},
    tag::{METADATA_ANSWERS_TICKS, SLOT_NONE, Slot},
};

use super::tenant::Tenant;
use crate::{
    counters::{add, add_u32},
    kernel::{clock::now, verifier::clear},
    maps::OWNERS,
};

/// 2^32 divided by the golden ratio. Multiples of it, modulo 2^32, are spread evenly, so that
/// few draws already come out as the weights say.
const GOLDEN: u32 = 0x9e37_79b9;

/// For how many ticks after the last change a file system counts as mounted: two minutes or
/// more. No event tells that it is unmounted.
const MOUNTED_TICKS: u32 = 9000;

/// A share stays closed for at least this long, a quarter of a second, unless about as much was
/// changed since: a checkpoint of xfs's log is written in many bios.
const CLOSED_TICKS: u32 = 16;

/// Below this sum of weights, few joined a transaction.
const FEW: u64 = 64;

/// The journals, by the device of the file system (`super_block.s_dev`).
#[map]
static JOURNAL_OF: HashMap<u32, Journal> = HashMap::with_max_entries(JOURNALS, 0);

/// A journal that no task has joined. A journal is too large for the stack.
#[map]
static NO_JOURNAL: Array<Journal> = Array::with_max_entries(1, 0);

/// The file system that writes to a device, where that is not `super_block.s_dev`: an external
/// log's, or one of several devices of a btrfs.
#[map]
static FILE_SYSTEM_OF: HashMap<u32, u32> = HashMap::with_max_entries(4 * JOURNALS, 0);

/// The share of jbd2's transaction with this number.
#[inline(always)]
pub const fn of_transaction(tid: u32) -> u32 {
    tid & 1
}

/// The share of the running transaction. Where few joined it, it is dealt from the other one.
pub const RUNNING: u32 = 2;
/// The share of the transaction before it.
pub const CLOSED: u32 = 3;

/// The index of a share.
#[inline(always)]
fn share_index(journal: &Journal, which: u32) -> usize {
    (match which {
        RUNNING => journal.running,
        CLOSED => journal.running ^ 1,
        which => which,
    } & 1) as usize
}

#[inline(always)]
fn find(dev: u32) -> Option<&'static mut Journal> {
    // SAFETY: a map value. CPUs share it: an addition that is lost moves a weight, no bytes.
    Some(unsafe { &mut *JOURNAL_OF.get_ptr_mut(dev)? })
}

/// Whether tasks join transactions of a file system on this device.
#[inline(always)]
pub fn exists(dev: u32) -> bool {
    find(dev).is_some_and(|journal| now().0.wrapping_sub(journal.joined) <= MOUNTED_TICKS)
}

/// Records which file system writes to a device.
#[inline(always)]
pub fn records_to(dev: u32, file_system: u32) {
    if file_system_of(dev) != file_system {
        let _ = FILE_SYSTEM_OF.insert(dev, file_system, u64::from(BPF_ANY));
    }
}

/// The device by which the journal of the file system on this device is found.
#[inline(always)]
pub fn file_system_of(dev: u32) -> u32 {
    // A device may get another file system, with a journal of its own.
    if exists(dev) {
        return dev;
    }
    // SAFETY: a copy of one word.
    unsafe { FILE_SYSTEM_OF.get(dev) }.copied().unwrap_or(dev)
}

/// The task of `slot` joins a transaction with a weight. Returns the sum of all weights. A
/// global function, see the crate documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn join_transaction(dev: u32, which: u32, slot: u32, weight: u32) -> u32 {
    join(dev, which, slot, weight).unwrap_or(0)
}

#[inline(always)]
fn join(dev: u32, which: u32, slot: Slot, weight: u32) -> Option<u32> {
    let tenant = Tenant::of(slot)?;
    let owner = OWNERS.get_ptr_mut(slot)?;
    let now = now();
    // SAFETY: a map value of aligned fields. 0 says that the task never joined.
    unsafe { (*owner).joined = now.0 as u16 | 1 };
    keep_tenancy(owner, now);
    let journal = match find(dev) {
        Some(journal) => journal,
        None => {
            // SAFETY: a map value that is never written.
            let none = unsafe { &*NO_JOURNAL.get_ptr(0)? };
            let _ = JOURNAL_OF.insert(dev, none, u64::from(BPF_NOEXIST));
            find(dev)?
        }
    };
    let index = share_index(journal, which);
    journal.joined = now.0;
    let share = &mut journal.shares[index & 1];
    let at = slot.wrapping_mul(GOLDEN) >> 27;
    if share.total == 0 {
        share.first = at;
    }
    let cell = &mut share.cells[at as usize & (CELLS - 1)];
    if cell.tenant != tenant.0 {
        // Two tasks share a cell. It names one of them, drawn by what each changed.
        let all = cell.weight.wrapping_add(weight).max(1);
        // SAFETY: a helper without arguments.
        if cell.weight == 0 || unsafe { bpf_get_prandom_u32() } % all < weight {
            cell.tenant = tenant.0;
        }
    }
    add_u32(&raw mut cell.weight, weight);
    add(&raw mut share.total, u64::from(weight));
    Some(share.total as u32)
}

/// Keeps a long tenancy from looking short when the tags' clock wraps.
#[inline(always)]
fn keep_tenancy(owner: *mut Owner, now: Tick) {
    const LONG: u32 = 1 << 14;
    const { assert!(LONG > METADATA_ANSWERS_TICKS) };
    // SAFETY: a map value of aligned fields.
    unsafe {
        let tenancy = now.0.wrapping_sub(u32::from((*owner).assigned)) & 0xffff;
        if tenancy > LONG {
            (*owner).assigned = now.0.wrapping_sub(LONG) as u16;
        }
    }
}

/// Draws the owner of a block from those who joined a transaction. Where nobody joined the
/// running or the closed one, it is drawn from the other. `SLOT_NONE` where no task is known. A
/// global function, see the crate documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn deal_block(dev: u32, which: u32) -> u32 {
    let Some(journal) = find(dev) else {
        return SLOT_NONE;
    };
    let index = share_index(journal, which);
    // A transaction that has just begun says little about who joins it. A transaction of jbd2
    // has its own number: only those who joined it pay.
    let least = match which {
        RUNNING => FEW,
        CLOSED => 1,
        _ => 0,
    };
    let (this, other) = (&journal.shares[index & 1], &journal.shares[index & 1 ^ 1]);
    let index = match this.total < least && other.total != 0 {
        true => index ^ 1,
        false => index,
    };
    journal.cursor = journal.cursor.wrapping_add(GOLDEN);
    let share = &journal.shares[index & 1];
    let mut left = u64::from(journal.cursor) * (share.total & u64::from(u32::MAX)) >> 32;
    // If the drawn slot has another tenant, the next task gets the block: in the second round
    // the first one that is left.
    for n in 0..2 * CELLS {
        let cell = &share.cells[(share.first as usize).wrapping_add(n) & (CELLS - 1)];
        let weight = u64::from(cell.weight);
        if left >= weight && n < CELLS {
            left -= weight;
            continue;
        }
        left = 0;
        if weight != 0
            && let Some(slot) = Tenant(cell.tenant).slot()
        {
            return slot;
        }
    }
    SLOT_NONE
}

/// Empties a share of jbd2's journal: the transaction that uses it next has not begun.
#[inline(always)]
pub fn empty(dev: u32, which: u32) -> Option<()> {
    let journal = find(dev)?;
    let index = share_index(journal, which);
    clear(&mut journal.shares[index & 1]);
    journal.running = index as u32;
    Some(())
}

/// Closes the running transaction, if tasks joined it: the next one begins.
#[inline(always)]
pub fn close(dev: u32) -> Option<()> {
    let journal = find(dev)?;
    let running = journal.running & 1;
    let next = running ^ 1;
    let joined = journal.shares[running as usize & 1].total;
    let before = journal.shares[next as usize & 1].total;
    let now = now().0;
    let just_closed = now.wrapping_sub(journal.closed) <= CLOSED_TICKS;
    if joined != 0 && !(just_closed && joined * 8 < before) {
        clear(&mut journal.shares[next as usize & 1]);
        journal.running = next;
        journal.closed = now;
    }
    Some(())
}
