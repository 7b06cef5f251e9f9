//! What the kernel half counts: facts, totals and losses.
//!
//! Facts and totals exist twice, for even and odd epochs. The user half moves
//! the epoch on, waits until no program can still be writing to the old pair
//! (an RCU grace period), and drains it: every byte is read exactly once.

/// How a fact's bytes came to their owner.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Class {
    /// Read from the device by the owner itself.
    Read = 0,
    /// Written; each page carried its owner's tag.
    Exact = 1,
    /// Written by the owner itself past the page cache (`O_DIRECT`).
    Direct = 2,
    /// Written; the page had lost its tag and the inode's last dirtier answers.
    Shared = 3,
    /// Written; dirtied before the trace began.
    PreTrace = 4,
    /// Written; file-system metadata or a journal.
    Metadata = 5,
    /// Written to swap.
    Swap = 6,
    /// A lower device's copy of an upper bio. Not part of the totals.
    Stacked = 7,
    /// Written; the page became dirty while no owner slot was free.
    Overflow = 8,
    /// Written; nothing tells whose it was.
    Unknown = 9,
}

impl Class {
    /// Every class, in the order of its numbers.
    pub const ALL: [Class; 10] = [
        Class::Read,
        Class::Exact,
        Class::Direct,
        Class::Shared,
        Class::PreTrace,
        Class::Metadata,
        Class::Swap,
        Class::Stacked,
        Class::Overflow,
        Class::Unknown,
    ];

    /// The class with this number, if there is one.
    pub fn from_u32(n: u32) -> Option<Class> {
        Class::ALL.get(n as usize).copied()
    }
}

/// The key of a fact.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Hash)]
pub struct FactKey {
    /// `inode.i_ino` of the page cache written or read; 0 where there is none.
    pub ino: u64,
    /// The device of the bio, as the kernel encodes it (major << 20 | minor).
    pub dev: u32,
    /// A [`Class`].
    pub class: u32,
    /// The owner's slot; 0 where the class has no owner.
    pub owner: u32,
    /// The slot of the task in whose context the bio was submitted.
    pub submitter: u32,
    /// What the submitter did it for, a [`crate::FlushId`]; 0 while nobody asks.
    pub flush: u32,
    /// Tells inodes of one number apart, see [`crate::InodeKey`]; 0 while nobody
    /// asks.
    pub file: u32,
}

/// How many classes of lags there are.
pub const LAGS: usize = 15;

/// The class of a lag in ticks: class 0 is less than one, class `n` from
/// 2^(n-1) to 2^n, and the last one all that is longer too.
#[inline(always)]
pub const fn lag_class(age: u32) -> usize {
    let class = (u32::BITS - age.leading_zeros()) as usize;
    if class < LAGS { class } else { LAGS - 1 }
}

/// What is counted for a [`FactKey`] in one epoch.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Bytes.
    pub bytes: u64,
    /// The lags of exact ones added up, in ticks.
    pub lag_sum: u64,
    /// The longest lag, in ticks.
    pub lag_max: u32,
    /// Bios that began with these bytes: added up over all facts, the number of bios.
    pub bios: u32,
    /// Pages that waited for this: their tag was live.
    pub pages: u32,
    /// How many pages had a lag of each class.
    pub lags: [u32; LAGS],
}

/// One CPU's part of one epoch: its totals, and the fact it counted last.
///
/// Consecutive bios mostly have one owner, one submitter and one file: they
/// are added up here and enter the table of facts when another one follows.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct EpochPart {
    /// What all facts of this CPU must add up to.
    pub totals: Totals,
    /// The key of `fact`.
    pub key: FactKey,
    /// What is not in the table yet; nothing when it has no bytes.
    pub fact: Fact,
}

/// One epoch's totals on one CPU: what the facts must add up to.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Bytes of all read bios.
    pub read_bytes: u64,
    /// Bytes of all write bios that are not a lower device's copies.
    pub write_bytes: u64,
    /// Bytes of lower devices' copies.
    pub stacked_bytes: u64,
    /// Bytes of reads whose fact found no room.
    pub read_overflow_bytes: u64,
    /// Bytes of writes whose fact found no room.
    pub write_overflow_bytes: u64,
    /// Bytes of lower devices' copies whose fact found no room.
    pub stacked_overflow_bytes: u64,
}

/// What the user half tells the kernel half while it runs: the one element of
/// the `CONTROL` array.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Control {
    /// The current epoch; only its lowest bit is looked at.
    pub epoch: u32,
    /// How many devices stand in `LOWER_DEVICES`; 0 spares the look-up.
    pub lower_devices: u32,
    /// 1: flushes are wanted, and the paths of files.
    pub flushes: u32,
    /// 1: bios that a cgroup's limit holds back are looked for.
    pub held_back: u32,
    /// 1: pages may still be dirty that became so before the trace began.
    pub young: u32,
    /// File systems whose events don't tell which pages of a large folio a task writes,
    /// though they write it block by block: the bits below.
    pub whole_folios: u32,
}

impl Control {
    /// ext4, in `whole_folios`.
    pub const EXT4: u32 = 1 << 0;
    /// xfs.
    pub const XFS: u32 = 1 << 1;
    /// btrfs.
    pub const BTRFS: u32 = 1 << 2;
}

/// How many programs may meet each bio, one after the other. Where a task may be
/// preempted inside of one, the next takes what that one is kept from.
pub const TURNS: u32 = 3;

impl EpochPart {
    /// How many there are for each CPU.
    pub const COUNT: u32 = 2 * TURNS;

    /// Where a program's part of an epoch lies.
    #[inline(always)]
    pub const fn index(epoch: u32, turn: u32) -> u32 {
        epoch & 1 | turn << 1
    }
}

/// The index of each counter in the `LOST` array.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lost {
    /// A task was met while no slot was free.
    OwnerSlots = 0,
    /// A fact found no room: its bytes are in `Totals` only.
    Facts = 1,
    /// A fact found no room and was counted without its inode.
    FactInodes = 2,
    /// Pages with no place in the tag table.
    Tags = 3,
    /// Bios with more pages than were walked.
    LongBios = 4,
    /// A tid could not be entered in `SLOT_OF`.
    SlotOf = 5,
    /// Kernel memory that could not be read.
    Faults = 6,
    /// Exited tasks that found no room in `EXITS`.
    ExitRecords = 7,
    /// Runs of writeback workers that found no room in `RUNS` or `FLUSHES`.
    Flushes = 8,
    /// Bios submitted amid the submission of another one (before 6.1).
    Nested = 9,
    /// No loss: bios and exits that a program was kept from and one after it has
    /// taken.
    Recovered = 10,
    /// Bios of cgroups with a limit that found no room in `HELD_BACK`: of those
    /// that the limit does hold back, whoever submits them later is said to have
    /// handed them over.
    LimitedBios = 11,
    /// Paths of files that found no room in `FILES`.
    Paths = 12,
}

impl Lost {
    /// How many counters there are.
    pub const COUNT: u32 = 13;
}

const _: () = assert!(size_of::<FactKey>() == 32);
const _: () = assert!(size_of::<Fact>() == 88);
const _: () = assert!(size_of::<Totals>() == 48);
const _: () = assert!(size_of::<EpochPart>() == 168);
const _: () = assert!(size_of::<Control>() == 24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lags_are_classed_by_powers_of_two() {
        let classes = [0, 1, 2, 3, 4, 7, 8, 0xffff].map(lag_class);
        assert_eq!(classes, [0, 1, 2, 2, 3, 3, 4, LAGS - 1]);
    }

    #[test]
    fn every_class_is_found_by_its_number() {
        for (n, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, n);
            assert_eq!(Class::from_u32(n as u32), Some(class));
        }
        assert_eq!(Class::from_u32(10), None);
    }
}
