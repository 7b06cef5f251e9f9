//! Every byte of a sample: the facts, each with its owner or a reason, and the rest that the
//! system's totals have beyond them.

use crate::sample::{BlockFact, BlockTotals, Reason, Sample, Unattributed};

/// The facts. One has no owner if its class says so, or if the owner is not in the sample.
pub(crate) fn owned_facts(sample: &Sample) -> Vec<BlockFact> {
    let facts = sample.facts.iter().map(|fact| {
        let has_one = Reason::of(fact.class).is_none();
        let owner = fact.owner;
        BlockFact {
            owner: owner.filter(|owner| has_one && *owner < sample.tasks.len()),
            ..*fact
        }
    });
    facts.collect()
}

/// What the system's totals have beyond the facts found no room among them: it has no owner, and
/// its device is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rest {
    /// Bytes that were read.
    pub read: u64,
    /// Bytes that were written.
    pub unattributed: Unattributed,
}

impl Rest {
    /// Of a sample whose facts have these totals.
    pub fn of(sample: &Sample, facts: &BlockTotals) -> Rest {
        let all = sample.system.block.unwrap_or_default();
        let mut unattributed = Unattributed::default();
        for (reason, bytes) in all.unattributed.parts() {
            unattributed[reason] = bytes.saturating_sub(facts.unattributed[reason]);
        }
        unattributed[Reason::Unknown] += all.attributed.saturating_sub(facts.attributed)
            + all.shared.saturating_sub(facts.shared);
        Rest {
            read: all.read.saturating_sub(facts.read),
            unattributed,
        }
    }

    /// The same as totals.
    pub fn totals(&self) -> BlockTotals {
        BlockTotals {
            read: self.read,
            write: self.unattributed.in_total(),
            unattributed: self.unattributed,
            ..BlockTotals::default()
        }
    }
}
