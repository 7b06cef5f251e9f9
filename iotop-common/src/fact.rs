//! What the kernel half counts: facts, totals and losses.
//!
//! Facts and totals exist twice, for even and odd epochs. The user half increments the
//! epoch, waits for an RCU grace period, after which no program can still be writing to
//! the old pair, and drains it. So every byte is read exactly once.

/// How the owner of a fact's bytes was found.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Class {
    /// Read from the device by the owner itself.
    Read = 0,
    /// Written; each page carried its owner's tag.
    Exact = 1,
    /// Written by the owner itself past the page cache (`O_DIRECT`).
    Direct = 2,
    /// Written, and perhaps by another task: the page had lost its tag, so the inode's
    /// last dirtier answers for it; or of a large folio only the first dirtier is known.
    Shared = 3,
    /// Written; the page may have been dirtied before the trace began.
    PreTrace = 4,
    /// Written; file-system metadata or a journal, and no task is known that changed it.
    Metadata = 5,
    /// Written to swap.
    Swap = 6,
    /// A lower device's copy of an upper device's bio. Not part of the written bytes.
    Stacked = 7,
    /// Written; the page became dirty while no owner slot was free.
    Overflow = 8,
    /// Written; the owner is not known.
    Unknown = 9,
    /// Written to a journal's log, and dealt: each block is charged to one of the tasks that
    /// joined the transaction, drawn by how much each changed.
    Journal = 10,
    /// Written; metadata at its home, its own place on the device, charged to a task that
    /// changed it.
    Home = 11,
    /// Written; a page of a btrfs tree, charged to a task that changed it.
    Tree = 12,
}

impl Class {
    /// Every class, in the order of its numbers.
    pub const ALL: [Class; 13] = [
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
        Class::Journal,
        Class::Home,
        Class::Tree,
    ];

    /// The class with this number, if there is one.
    pub fn from_u32(n: u32) -> Option<Class> {
        Class::ALL.get(n as usize).copied()
    }
}

/// A bit of [`FactKey::class`]: a device turned these bios away, see
/// [`FactKey::turned_away`]. They are part of the other facts, and of the totals, too.
const TURNED_AWAY: u32 = 1 << 31;

/// The key of a fact.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Hash)]
pub struct FactKey {
    /// `inode.i_ino` of the page cache that was written or read; 0 where there is none.
    pub ino: u64,
    /// The device of the bio, as the kernel encodes it (major << 20 | minor).
    pub dev: u32,
    /// A [`Class`].
    pub class: u32,
    /// The owner's slot; 0 where the class has no owner.
    pub owner: u32,
    /// The slot of the task that submitted the bio.
    pub submitter: u32,
    /// Why the submitter wrote, a [`crate::FlushId`]; 0 while the user half does not want
    /// it.
    pub flush: u32,
    /// Tells inodes with the same number apart, see [`crate::InodeKey`]; 0 while the user
    /// half does not want it.
    pub file: u32,
}

impl FactKey {
    /// The key for bios with this key that a device turned away: they would have had to wait,
    /// and had `REQ_NOWAIT`.
    #[inline(always)]
    pub const fn turned_away(self) -> FactKey {
        FactKey {
            class: self.class | TURNED_AWAY,
            ..self
        }
    }

    /// The key that bios were counted by before a device turned them away. `None`: no device
    /// turned them away.
    pub fn counted_as(&self) -> Option<FactKey> {
        (self.class & TURNED_AWAY != 0).then_some(FactKey {
            class: self.class & !TURNED_AWAY,
            ..*self
        })
    }
}

/// The number of lag classes.
pub const LAGS: usize = 15;

/// The class of a lag in ticks. Class 0 is less than one tick, class `n` is from 2^(n-1)
/// to below 2^n. The last class also has all longer lags.
#[inline(always)]
pub const fn lag_class(age: u32) -> usize {
    let class = (u32::BITS - age.leading_zeros()) as usize;
    if class < LAGS { class } else { LAGS - 1 }
}

/// The number of facts in a table above which the user half is to end the epoch early.
pub const FACTS_FILLING: u64 = 4 * 1024;

/// The counters of a [`FactKey`] in one epoch.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Bytes.
    pub bytes: u64,
    /// The sum of the pages' lags, in ticks.
    pub lag_sum: u64,
    /// The longest lag, in ticks.
    pub lag_max: u32,
    /// Bios that began with these bytes. The sum over all facts is the number of bios.
    pub bios: u32,
    /// Pages that waited to be written: their tag was live.
    pub pages: u32,
    /// The number of pages with a lag of each class.
    pub lags: [u32; LAGS],
}

/// One CPU's part of one epoch: its totals and its current fact.
///
/// Consecutive bios mostly have the same owner, submitter and file. They are added up
/// here. The fact enters the table of facts when a bio with another key follows.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct EpochPart {
    /// The sum that all facts of this CPU must have.
    pub totals: Totals,
    /// The key of `fact`.
    pub key: FactKey,
    /// The part that is not in the table yet. Empty if it has no bytes.
    pub fact: Fact,
}

/// One epoch's totals on one CPU. The facts must add up to them.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Bytes of all read bios.
    pub read_bytes: u64,
    /// Bytes of all write bios, without lower devices' copies.
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

/// The user half's requests to the kernel half while it runs: the only element of the
/// `CONTROL` array.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Control {
    /// The current epoch. Only its lowest bit matters.
    pub epoch: u32,
    /// The number of devices in `LOWER_DEVICES`. With 0 there is no look-up.
    pub lower_devices: u32,
    /// 1: the user half wants flushes and the paths of files.
    pub flushes: u32,
    /// 1: look up bios that a cgroup's limit may have held back.
    pub held_back: u32,
    /// 1: pages that became dirty before it may still be dirty.
    pub pre_trace: u32,
    /// File systems that write a large folio block by block, but whose events don't tell
    /// which pages a task writes. The bits are below.
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

/// The number of programs on `block_bio_queue`, which run one after the other. Where a
/// task may be preempted inside a program, the kernel skips that program for other tasks'
/// bios on the CPU. The next program counts these bios.
pub const BIO_PROGRAMS: u32 = 3;

impl EpochPart {
    /// The number of parts of each CPU.
    pub const COUNT: u32 = 2 * BIO_PROGRAMS;

    /// The index of a program's part of an epoch.
    #[inline(always)]
    pub const fn index(epoch: u32, order: u32) -> u32 {
        epoch & 1 | order << 1
    }
}

/// The index of each counter in the `LOST` array.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lost {
    /// A task was seen while no slot was free.
    OwnerSlots = 0,
    /// A fact found no room. Its bytes are only in `Totals`.
    Facts = 1,
    /// A fact found no room and was counted without its inode.
    FactInodes = 2,
    /// Pages without a place in the tag table.
    Tags = 3,
    /// Bios whose pages were not all walked.
    LongBios = 4,
    /// A tid found no room in `SLOT_OF`.
    SlotOf = 5,
    /// Kernel memory that could not be read.
    Faults = 6,
    /// Exited tasks that found no room in `EXITS`.
    ExitRecords = 7,
    /// Runs of writeback workers that found no room in `RUNS` or `FLUSHES`.
    Flushes = 8,
    /// Bios submitted during the submission of another bio on the same CPU (before 6.1).
    Nested = 9,
    /// Not a loss: bios and exits that the kernel skipped a program for, and that a later
    /// program counted.
    Recovered = 10,
    /// Bios of cgroups with a limit that found no room in `HELD_BACK`. If the limit holds
    /// such a bio back, the worker that submits it later counts as its submitter.
    LimitedBios = 11,
    /// Paths of files that found no room in `FILES`.
    Paths = 12,
    /// Causes of commits that found no room in the table.
    Causes = 13,
    /// New cgroups that found no room in `CGROUPS`.
    Cgroups = 14,
    /// Command lines that could not be read, or found no room in `EXECUTED`.
    Commands = 15,
    /// Not a loss: command lines that the kernel skipped the first program for, and that the
    /// second one reported.
    RecoveredCommands = 16,
}

impl Lost {
    /// The number of counters.
    pub const COUNT: u32 = 17;
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
        assert_eq!(Class::from_u32(13), None);
    }
}
