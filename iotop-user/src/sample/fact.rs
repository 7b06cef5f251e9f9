//! Facts: bytes that moved between one owner and one device.

use std::collections::BTreeMap;

use iotop_common::{Class, FlushId};

use super::{BlockTotals, Lag, Lags, Metadata, Number, TaskBlock};

/// A file: its device, its inode number, and the bits that distinguish inodes with the
/// same number (`FactKey::file`).
pub type FileKey = (Number, u64, u32);

/// Bytes that moved between one owner and one device in the interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockFact {
    /// Index into `Sample::tasks`; `None` if the bytes have no owner or it is not known.
    pub owner: Option<usize>,
    /// The task that submitted the bios, as an index into `Sample::tasks`.
    pub submitter: Option<usize>,
    /// Major and minor number.
    pub device: (u32, u32),
    /// Inode number; 0 if there is none.
    pub ino: u64,
    /// How the bytes were attributed to their owner, or why they have none.
    pub class: Class,
    /// See `FactKey::file`; 0 unless flushes are wanted.
    pub file: u32,
    /// The flusher's run, or the system call, in which the bios were submitted.
    pub flush: FlushId,
    /// Number of bytes.
    pub bytes: u64,
    /// Number of bios.
    pub bios: u64,
    /// How long the pages had been dirty; `None` unless the class is [`Class::Exact`].
    pub lag: Option<Lag>,
    /// The distribution of these times.
    pub lags: Lags,
}

impl BlockFact {
    /// The file that the bytes belong to.
    pub fn file_key(&self) -> FileKey {
        (self.device, self.ino, self.file)
    }
}

impl BlockFact {
    /// The block I/O that the fact adds to its owner.
    pub fn of_owner(&self) -> TaskBlock {
        let mut block = TaskBlock {
            lag: self.lag,
            metadata: Metadata::of(self.class, self.bytes),
            ..TaskBlock::default()
        };
        match self.class {
            Class::Read => block.read = self.bytes,
            Class::Direct => block.write_self = self.bytes,
            Class::Exact if self.owner == self.submitter => block.write_self = self.bytes,
            Class::Exact => block.write_flushed = self.bytes,
            Class::Shared => block.write_shared = self.bytes,
            Class::Journal | Class::Home | Class::Tree => block.write_shared = self.bytes,
            // All others have a reason instead of an owner, see `Reason::of`.
            _ => {}
        }
        block
    }

    /// What the fact adds to each task: its bytes to the owner, and to a submitter that is
    /// not the owner, that it submitted them for another task.
    pub fn charges(&self) -> impl Iterator<Item = (usize, TaskBlock)> {
        let owner = self.owner.map(|owner| (owner, self.of_owner()));
        let for_another = self.owner.is_some() && self.submitter != self.owner;
        let submitter = self.submitter.filter(|_| for_another);
        let submitted = submitter.map(|submitter| {
            let block = TaskBlock {
                submitted_for_others: self.bytes,
                ..TaskBlock::default()
            };
            (submitter, block)
        });
        owner.into_iter().chain(submitted)
    }
}

/// A class's name in recordings.
pub const fn class_name(class: Class) -> &'static str {
    match class {
        Class::Read => "read",
        Class::Exact => "exact",
        Class::Direct => "direct",
        Class::Shared => "shared",
        Class::PreTrace => "pre_trace",
        Class::Metadata => "metadata",
        Class::Swap => "swap",
        Class::Stacked => "stacked",
        Class::Overflow => "overflow",
        Class::Unknown => "unknown",
        Class::Journal => "journal",
        Class::Home => "home",
        Class::Tree => "tree",
    }
}

/// The totals of each device. Bytes whose fact found no room are missing here: their
/// device is not known.
pub fn by_device(facts: &[BlockFact]) -> Vec<(Number, BlockTotals)> {
    let mut totals: BTreeMap<Number, BlockTotals> = BTreeMap::new();
    for fact in facts {
        totals.entry(fact.device).or_default().count(fact);
    }
    totals.into_iter().collect()
}
