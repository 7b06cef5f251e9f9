//! Takes bios that a device turned away out of what was counted: they never reached it.
//!
//! The kernel half counts a bio when it is submitted, and counts it again, under a key of its
//! own, when the device turns it away. Mostly that is a moment later, in the same task.

use std::{cmp::Reverse, mem};

use iotop_common::{Class, Fact, FactKey, Totals};

/// Takes them out, epoch by epoch.
#[derive(Debug, Default)]
pub(super) struct TurnedAway {
    /// What the last epoch's facts did not have: bios that were counted in the epoch before.
    left: Vec<(FactKey, Fact)>,
}

impl TurnedAway {
    /// Takes the bios that were turned away out of an epoch's facts and totals. The facts with
    /// keys of their own disappear.
    pub(super) fn take_out(&mut self, facts: &mut Vec<(FactKey, Fact)>, totals: &mut Totals) {
        let late = mem::take(&mut self.left);
        let mut turned_away = Vec::new();
        facts.retain(|(key, fact)| match key.counted_as() {
            Some(key) => {
                turned_away.push((key, *fact));
                false
            }
            None => true,
        });
        self.left = turned_away;
        self.left
            .retain_mut(|(key, fact)| !take_one(key, fact, facts, totals));
        for (key, mut fact) in late {
            take_one(&key, &mut fact, facts, totals);
        }
    }
}

/// Takes bios out of the facts that most likely counted them. True if that were all of them.
fn take_one(
    key: &FactKey,
    away: &mut Fact,
    facts: &mut Vec<(FactKey, Fact)>,
    totals: &mut Totals,
) -> bool {
    let total = match total_of(key.class) {
        Total::Read => &mut totals.read_bytes,
        Total::Write => &mut totals.write_bytes,
        Total::Stacked => &mut totals.stacked_bytes,
    };
    let same = |other: &FactKey| {
        let class = other.class == key.class;
        let owner = other.owner == key.owner;
        (class, owner, other.submitter == key.submitter)
    };
    let mut counted_in: Vec<usize> = (0..facts.len())
        .filter(|&at| {
            let other = &facts[at].0;
            other.dev == key.dev && total_of(other.class) == total_of(key.class)
        })
        .collect();
    counted_in.sort_by_key(|&at| Reverse(same(&facts[at].0)));
    for at in counted_in {
        let fact = &mut facts[at].1;
        let bytes = fact.bytes.min(away.bytes);
        let bios = fact.bios.min(away.bios);
        fact.bytes -= bytes;
        fact.bios -= bios;
        *total -= bytes;
        away.bytes -= bytes;
        away.bios -= bios;
        if away.bytes == 0 {
            break;
        }
    }
    facts.retain(|(_, fact)| fact.bytes != 0 || fact.pages != 0);
    away.bytes == 0
}

/// The total that facts of a class are part of.
#[derive(PartialEq, Eq)]
enum Total {
    Read,
    Write,
    Stacked,
}

fn total_of(class: u32) -> Total {
    match Class::from_u32(class) {
        Some(Class::Read) => Total::Read,
        Some(Class::Stacked) => Total::Stacked,
        _ => Total::Write,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(class: Class, owner: u32) -> FactKey {
        FactKey {
            dev: 7,
            class: class as u32,
            owner,
            submitter: owner,
            ..FactKey::default()
        }
    }

    fn fact(bytes: u64) -> Fact {
        Fact {
            bytes,
            bios: (bytes / 4096) as u32,
            ..Fact::default()
        }
    }

    fn bytes(facts: &[(FactKey, Fact)]) -> Vec<u64> {
        facts.iter().map(|(_, fact)| fact.bytes).collect()
    }

    /// The sums of facts and totals stay equal.
    #[test]
    fn the_bytes_are_taken_from_the_task_that_submitted_them() {
        let (one, other) = (key(Class::Direct, 3), key(Class::Direct, 4));
        let mut facts = vec![
            (other, fact(40960)),
            (FactKey { flush: 5, ..one }, fact(40960)),
            (one.turned_away(), fact(8192)),
            (key(Class::Read, 3), fact(4096)),
        ];
        let mut totals = Totals {
            write_bytes: 81920,
            read_bytes: 4096,
            ..Totals::default()
        };
        TurnedAway::default().take_out(&mut facts, &mut totals);
        assert_eq!(bytes(&facts), [40960, 32768, 4096]);
        assert_eq!(facts[1].1.bios, 8);
        assert_eq!((totals.write_bytes, totals.read_bytes), (73728, 4096));
    }

    /// A bio may be counted right before the end of an epoch.
    #[test]
    fn what_one_epoch_lacks_is_taken_from_the_next() {
        let direct = key(Class::Direct, 3);
        let mut away = TurnedAway::default();
        let mut totals = Totals {
            write_bytes: 4096,
            ..Totals::default()
        };
        let mut facts = vec![(direct.turned_away(), fact(8192)), (direct, fact(4096))];
        away.take_out(&mut facts, &mut totals);
        assert_eq!((bytes(&facts), totals.write_bytes), (vec![], 0));
        // The worker that submits the bytes again.
        let mut facts = vec![(key(Class::Direct, 9), fact(8192))];
        totals.write_bytes = 8192;
        away.take_out(&mut facts, &mut totals);
        assert_eq!((bytes(&facts), totals.write_bytes), (vec![4096], 4096));
        away.take_out(&mut facts, &mut totals);
        assert_eq!(bytes(&facts), [4096]);
    }

    #[test]
    fn another_device_and_another_direction_are_left_alone() {
        let read = key(Class::Read, 3);
        let mut facts = vec![
            (read.turned_away(), fact(4096)),
            (key(Class::Direct, 3), fact(4096)),
            (FactKey { dev: 8, ..read }, fact(4096)),
        ];
        let mut totals = Totals::default();
        TurnedAway::default().take_out(&mut facts, &mut totals);
        assert_eq!(bytes(&facts), [4096, 4096]);
    }
}
