//! Bytes without an owner, by reason.

use std::ops::{Add, Index, IndexMut};

use iotop_common::Class;

/// Why bytes have no owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The page was dirtied before the trace began.
    PreTrace,
    /// File-system metadata or a journal.
    Metadata,
    /// Swapped-out memory.
    Swap,
    /// A lower device's copy of a write to an upper one (dm, md).
    Stacked,
    /// One of our tables was full.
    Overflow,
    /// The owner can't be determined.
    Unknown,
}

impl Reason {
    /// All reasons, in the order of the exports.
    pub const ALL: [Reason; 6] = [
        Reason::PreTrace,
        Reason::Metadata,
        Reason::Swap,
        Reason::Stacked,
        Reason::Overflow,
        Reason::Unknown,
    ];

    /// The name in the exports, the label on screens, and the text in explanations.
    const fn words(self) -> [&'static str; 3] {
        match self {
            Reason::PreTrace => ["pre_trace", "pre-trace", "dirty before the trace began"],
            Reason::Metadata => ["metadata", "metadata", "metadata or journal"],
            Reason::Swap => ["swap", "swap", "swapped-out memory"],
            Reason::Stacked => ["stacked", "stacked", "copies on lower devices"],
            Reason::Overflow => ["overflow", "overflow", "a table of iotop-trace was full"],
            Reason::Unknown => ["unknown", "unknown", "reason unknown"],
        }
    }

    /// Its name in the exports.
    pub const fn name(self) -> &'static str {
        self.words()[0]
    }

    /// Its label on screens.
    pub const fn label(self) -> &'static str {
        self.words()[1]
    }

    /// Its text in explanations.
    pub const fn sentence(self) -> &'static str {
        self.words()[2]
    }

    /// True if its bytes are part of `BlockTotals::write`. Copies on lower devices are not:
    /// the write to the upper device is already counted.
    pub const fn is_in_total(self) -> bool {
        !matches!(self, Reason::Stacked)
    }

    /// The reason for this class; `None` if bytes of the class have an owner.
    pub const fn of(class: Class) -> Option<Reason> {
        match class {
            Class::PreTrace => Some(Reason::PreTrace),
            Class::Metadata => Some(Reason::Metadata),
            Class::Swap => Some(Reason::Swap),
            Class::Stacked => Some(Reason::Stacked),
            Class::Overflow => Some(Reason::Overflow),
            Class::Unknown => Some(Reason::Unknown),
            Class::Read | Class::Exact | Class::Direct => None,
            Class::Shared | Class::Journal | Class::Home | Class::Tree => None,
        }
    }
}

/// Bytes without an owner, by [`Reason`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unattributed([u64; Reason::ALL.len()]);

impl Unattributed {
    /// The sum over all reasons that are part of `BlockTotals::write`.
    pub fn in_total(&self) -> u64 {
        let parts = self.parts().filter(|(reason, _)| reason.is_in_total());
        parts.map(|(_, bytes)| bytes).sum()
    }

    /// Every reason and its bytes.
    pub fn parts(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.0)
    }
}

impl Index<Reason> for Unattributed {
    type Output = u64;

    fn index(&self, reason: Reason) -> &u64 {
        &self.0[reason as usize]
    }
}

impl IndexMut<Reason> for Unattributed {
    fn index_mut(&mut self, reason: Reason) -> &mut u64 {
        &mut self.0[reason as usize]
    }
}

impl<const N: usize> From<[(Reason, u64); N]> for Unattributed {
    fn from(parts: [(Reason, u64); N]) -> Unattributed {
        let mut all = Unattributed::default();
        for (reason, bytes) in parts {
            all[reason] += bytes;
        }
        all
    }
}

impl Add for Unattributed {
    type Output = Unattributed;

    fn add(self, other: Unattributed) -> Unattributed {
        Unattributed(std::array::from_fn(|n| self.0[n] + other.0[n]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_its_discriminant_as_index() {
        for (n, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, n, "{reason:?}");
        }
    }
}
