//! Every byte of a sample: the facts, each with its owner or a reason, and the rest that the
//! system's totals have beyond them.

use crate::sample::{BlockFact, BlockTotals, Reason, Sample, Unattributed};

/// The facts. One has no owner if its class says so, or if the owner is not in the sample.
pub(crate) fn owned_facts(sample: &Sample) -> Vec<BlockFact> {
    let facts = sample.facts.iter();
    facts.map(|fact| owned(fact, sample)).collect()
}

/// A fact without its owner if its class says that it has none, or if that is not in the sample.
pub(crate) fn owned(fact: &BlockFact, sample: &Sample) -> BlockFact {
    let has_one = Reason::of(fact.class).is_none();
    let is_here = |owner: &usize| has_one && *owner < sample.tasks.len();
    BlockFact {
        owner: fact.owner.filter(is_here),
        ..*fact
    }
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
        Rest {
            read: all.read.saturating_sub(facts.read),
            unattributed: all.beyond(facts),
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
