//! Facts: bytes that moved between one owner and one device.

use std::collections::BTreeMap;

use iotop_common::{Class, FlushId};

use super::{BlockTotals, Lag, Lags, Number};

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

/// The totals of each device; what found no room among the facts is in none.
pub fn by_device(facts: &[BlockFact]) -> Vec<(Number, BlockTotals)> {
    let mut totals: BTreeMap<Number, BlockTotals> = BTreeMap::new();
    for fact in facts {
        totals.entry(fact.device).or_default().count(fact);
    }
    totals.into_iter().collect()
}
