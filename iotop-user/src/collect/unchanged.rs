//! Owners that have exited and of which nothing changed: their pages are only still dirty. After
//! some thousand forks most owners are like that.

use std::collections::HashSet;

use iotop_common::{Owner, owner::OWNER_EXITED, tag::Slot};

use super::Exited;
use crate::probe::PageDeltas;

/// The slots of such owners that get no row of their own. `is_here` says whether a task is alive
/// or did something in the interval, or whether its slot is in a fact.
pub fn without_row(
    owners: &[(Slot, Owner, PageDeltas)],
    exited: Exited,
    is_here: impl Fn(Slot, &Owner) -> bool,
) -> HashSet<Slot> {
    if exited == Exited::All {
        return HashSet::new();
    }
    let unchanged = owners.iter().filter(|(slot, owner, deltas)| {
        let pending = PageDeltas {
            pending: deltas.pending,
            ..PageDeltas::default()
        };
        owner.flags & OWNER_EXITED != 0 && *deltas == pending && !is_here(*slot, owner)
    });
    let pending = |(slot, _, deltas): &(Slot, Owner, PageDeltas)| (deltas.pending, *slot);
    let mut unchanged: Vec<(u64, Slot)> = unchanged.map(pending).collect();
    // Those with the most pending pages keep their rows.
    if let Exited::Few(most) = exited {
        unchanged.sort_unstable_by(|a, b| b.cmp(a));
        unchanged.drain(..most.min(unchanged.len()));
    }
    unchanged.into_iter().map(|(_, slot)| slot).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Owners in the slots 1 to 5, of which all but the last have exited.
    fn without(exited: Exited) -> Vec<Slot> {
        let owner = |slot: Slot| {
            let owner = Owner {
                flags: if slot < 5 { OWNER_EXITED } else { 0 },
                ..Owner::default()
            };
            let deltas = PageDeltas {
                pending: u64::from(slot),
                dirtied: u64::from(slot == 4),
                ..PageDeltas::default()
            };
            (slot, owner, deltas)
        };
        let owners: Vec<_> = (1..=5).map(owner).collect();
        let mut slots: Vec<Slot> = without_row(&owners, exited, |slot, _| slot == 3)
            .into_iter()
            .collect();
        slots.sort_unstable();
        slots
    }

    #[test]
    fn only_exited_owners_without_news_go_without_a_row() {
        assert_eq!(without(Exited::Changed), [1, 2]);
        assert_eq!(without(Exited::All), [0; 0]);
        assert_eq!(
            without(Exited::Few(1)),
            [1],
            "the other one has more pending"
        );
        assert_eq!(without(Exited::Few(2)), [0; 0]);
    }
}
