//! Facts: bytes that moved between one owner and one device.

use std::collections::BTreeMap;

use iotop_common::{Class, FlushId};

use super::{BlockTotals, Lag, Lags, Number, TaskBlock};

/// A file: its device, its inode number, and what tells inodes of one number
/// apart (`FactKey::file`).
pub type FileKey = (Number, u64, u32);

/// Bytes that moved between one owner and one device in the interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockFact {
    /// Index into `Sample::tasks`; `None` where nobody owns the bytes.
    pub owner: Option<usize>,
    /// Index into `Sample::tasks` of who submitted the bios.
    pub submitter: Option<usize>,
    /// Major and minor number.
    pub device: (u32, u32),
    /// Inode number; 0 where there is none.
    pub ino: u64,
    /// How the bytes came to their owner.
    pub class: Class,
    /// See `FactKey::file`; 0 while flushes are not asked for.
    pub file: u32,
    /// What the submitter did it for.
    pub flush: FlushId,
    /// Bytes.
    pub bytes: u64,
    /// Bios.
    pub bios: u64,
    /// How long its pages waited; `None` unless they are [`Class::Exact`].
    pub lag: Option<Lag>,
    /// How that is spread.
    pub lags: Lags,
}

impl BlockFact {
    /// The file whose bytes they are.
    pub fn file_key(&self) -> FileKey {
        (self.device, self.ino, self.file)
    }
}

impl BlockFact {
    /// What the fact is to its owner.
    pub fn of_owner(&self) -> TaskBlock {
        let mut block = TaskBlock {
            lag: self.lag,
            ..TaskBlock::default()
        };
        match self.class {
            Class::Read => block.read = self.bytes,
            Class::Direct => block.write_self = self.bytes,
            Class::Exact if self.owner == self.submitter => block.write_self = self.bytes,
            Class::Exact => block.write_flushed = self.bytes,
            Class::Shared => block.write_shared = self.bytes,
            // Every other one has a reason in place of an owner, see `Reason::of`.
            _ => {}
        }
        block
    }

    /// What it adds to the tasks: its bytes to its owner's, and to the submitter's that it
    /// submitted them for another one.
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

/// The totals of each device; what found no room among the facts is in none.
pub fn by_device(facts: &[BlockFact]) -> Vec<(Number, BlockTotals)> {
    let mut totals: BTreeMap<Number, BlockTotals> = BTreeMap::new();
    for fact in facts {
        totals.entry(fact.device).or_default().count(fact);
    }
    totals.into_iter().collect()
}
