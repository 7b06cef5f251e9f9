//! Sums of facts.

use std::ops::Add;

use iotop_common::Class;

use super::{BlockFact, Metadata, Reason, Unattributed};

/// Block I/O that the kernel half counted, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockTotals {
    /// All reads.
    pub read: u64,
    /// All writes, without the copies on lower devices.
    pub write: u64,
    /// Part of `write`: each page had its owner's tag, or the owner wrote directly.
    pub attributed: u64,
    /// Part of `write`: charged to an owner by estimate.
    pub shared: u64,
    /// The part of `shared` that is journals and metadata.
    pub metadata: Metadata,
    /// The rest of `write`, by reason; also the copies on lower devices, which are not part
    /// of `write`.
    pub unattributed: Unattributed,
}

impl Add for BlockTotals {
    type Output = BlockTotals;

    fn add(self, other: BlockTotals) -> BlockTotals {
        BlockTotals {
            read: self.read + other.read,
            write: self.write + other.write,
            attributed: self.attributed + other.attributed,
            shared: self.shared + other.shared,
            metadata: self.metadata + other.metadata,
            unattributed: self.unattributed + other.unattributed,
        }
    }
}

impl BlockTotals {
    /// The sum of these facts.
    pub fn of<'a>(facts: impl IntoIterator<Item = &'a BlockFact>) -> BlockTotals {
        let mut totals = BlockTotals::default();
        for fact in facts {
            totals.count(fact);
        }
        totals
    }

    /// What these totals have beyond a sum of facts, by reason: facts that found no room have
    /// neither an owner nor a file.
    pub fn beyond(&self, known: &BlockTotals) -> Unattributed {
        let mut rest = Unattributed::default();
        for (reason, bytes) in self.unattributed.parts() {
            rest[reason] = bytes.saturating_sub(known.unattributed[reason]);
        }
        rest[Reason::Unknown] += self.attributed.saturating_sub(known.attributed)
            + self.shared.saturating_sub(known.shared);
        rest
    }

    /// Adds a fact to its part. If a class has owners but this fact's owner is not known,
    /// the bytes count as `unknown`, so that the sum over the tasks equals the sum of the
    /// parts.
    pub fn count(&mut self, fact: &BlockFact) {
        let reason = Reason::of(fact.class).unwrap_or(Reason::Unknown);
        let part = match (fact.class, fact.owner) {
            (Class::Read, _) => {
                self.read += fact.bytes;
                return;
            }
            (Class::Exact | Class::Direct, Some(_)) => &mut self.attributed,
            (Class::Shared | Class::Journal | Class::Home | Class::Tree, Some(_)) => {
                self.metadata = self.metadata + Metadata::of(fact.class, fact.bytes);
                &mut self.shared
            }
            _ => &mut self.unattributed[reason],
        };
        *part += fact.bytes;
        if reason.is_in_total() {
            self.write += fact.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use iotop_common::FlushId;

    use super::*;
    use crate::sample::Lags;

    #[test]
    fn the_parts_of_every_class_add_up_to_the_written_bytes() {
        for owner in [None, Some(0)] {
            let facts = Class::ALL.map(|class| BlockFact {
                owner,
                submitter: Some(0),
                device: (8, 0),
                ino: 0,
                class,
                file: 0,
                flush: FlushId::NONE,
                bytes: 1 << class as u32,
                bios: 1,
                lag: None,
                lags: Lags::default(),
            });
            let totals = BlockTotals::of(&facts);
            let parts = totals.attributed + totals.shared + totals.unattributed.in_total();
            assert_eq!(parts, totals.write);
            let metadata =
                [Class::Journal, Class::Home, Class::Tree].map(|class| 1 << class as u32);
            let metadata = owner.map_or(0, |_| metadata.into_iter().sum());
            assert_eq!(totals.metadata.total(), metadata);
            let data = owner.map_or(0, |_| 1 << Class::Shared as u32);
            assert_eq!(totals.shared, metadata + data, "metadata is a part of it");
            let all: u64 = facts.iter().map(|fact| fact.bytes).sum();
            assert_eq!(
                totals.read + totals.write + totals.unattributed[Reason::Stacked],
                all
            );
        }
    }
}
