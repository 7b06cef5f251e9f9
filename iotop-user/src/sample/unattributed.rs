//! Bytes with no owner.

/// Bytes with no owner, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unattributed {
    /// Dirtied before the trace began.
    pub pre_trace: u64,
    /// File-system metadata and journals.
    pub metadata: u64,
    /// Swap.
    pub swap: u64,
    /// Lower devices' copies of upper bios: not part of `BlockTotals::write`.
    pub stacked: u64,
    /// One of our tables was full.
    pub overflow: u64,
    /// Nothing tells.
    pub unknown: u64,
}

impl Unattributed {
    /// The sum of what is part of `BlockTotals::write`.
    pub fn in_total(&self) -> u64 {
        self.pre_trace + self.metadata + self.swap + self.overflow + self.unknown
    }
}
