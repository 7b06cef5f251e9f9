//! What was read from the kernel half before the end of the interval, because its tables were
//! filling.

use std::{collections::HashMap, mem};

use iotop_common::{CauseKey, Fact, FactKey, Totals};

/// More facts than this are kept without their inodes: the owner stays known, however many files
/// are written. A fact takes about 400 bytes until it is printed.
const MOST: usize = 48 * 1024;

/// The facts, causes of commits and totals of one epoch or several.
pub type Counted = (Vec<(FactKey, Fact)>, Vec<(CauseKey, u64)>, Totals);

/// Facts, totals and causes of epochs that ended within the interval.
#[derive(Debug, Default)]
pub struct Undelivered {
    facts: HashMap<FactKey, Fact>,
    causes: HashMap<CauseKey, u64>,
    totals: Totals,
    /// How many facts were kept without their inode.
    without_inode: u64,
}

impl Undelivered {
    /// Adds what an epoch counted.
    pub fn add(&mut self, (facts, causes, totals): Counted) {
        for (key, fact) in facts {
            add_fact(&mut self.facts, key, &fact);
        }
        for (key, times) in causes {
            *self.causes.entry(key).or_default() += times;
        }
        add_totals(&mut self.totals, &totals);
        if self.facts.len() > MOST {
            self.drop_inodes();
        }
    }

    /// The facts.
    pub fn facts(&self) -> impl Iterator<Item = (&FactKey, &Fact)> + Clone {
        self.facts.iter()
    }

    /// Adds the last epoch of the interval. Returns what the whole interval counted, and how many
    /// facts have lost their inode, and starts again.
    pub fn take_with(&mut self, last: Counted) -> (Counted, u64) {
        if self.facts.is_empty() && self.causes.is_empty() && self.totals == Totals::default() {
            return (last, 0);
        }
        self.add(last);
        let all = mem::take(self);
        let counted = (
            all.facts.into_iter().collect(),
            all.causes.into_iter().collect(),
            all.totals,
        );
        (counted, all.without_inode)
    }

    fn drop_inodes(&mut self) {
        for (key, fact) in mem::take(&mut self.facts) {
            self.without_inode += u64::from(key.ino != 0);
            let owners = FactKey {
                ino: 0,
                file: 0,
                ..key
            };
            add_fact(&mut self.facts, owners, &fact);
        }
    }
}

fn add_fact(facts: &mut HashMap<FactKey, Fact>, key: FactKey, fact: &Fact) {
    let sum = facts.entry(key).or_default();
    sum.bytes += fact.bytes;
    sum.lag_sum += fact.lag_sum;
    sum.lag_max = sum.lag_max.max(fact.lag_max);
    sum.bios += fact.bios;
    sum.pages += fact.pages;
    for (sum, pages) in sum.lags.iter_mut().zip(fact.lags) {
        *sum += pages;
    }
}

/// Adds one part of an epoch's totals to another.
pub fn add_totals(sum: &mut Totals, totals: &Totals) {
    sum.read_bytes += totals.read_bytes;
    sum.write_bytes += totals.write_bytes;
    sum.stacked_bytes += totals.stacked_bytes;
    sum.read_overflow_bytes += totals.read_overflow_bytes;
    sum.write_overflow_bytes += totals.write_overflow_bytes;
    sum.stacked_overflow_bytes += totals.stacked_overflow_bytes;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(owner: u32, ino: u64, bytes: u64) -> (FactKey, Fact) {
        let key = FactKey {
            owner,
            ino,
            ..FactKey::default()
        };
        let fact = Fact {
            bytes,
            lag_max: bytes as u32,
            lags: [1; iotop_common::LAGS],
            ..Fact::default()
        };
        (key, fact)
    }

    fn written(write_bytes: u64) -> Totals {
        Totals {
            write_bytes,
            ..Totals::default()
        }
    }

    #[test]
    fn epochs_of_one_interval_are_added_up() {
        let mut undelivered = Undelivered::default();
        undelivered.add((vec![fact(3, 12, 100)], Vec::new(), written(100)));
        let last = vec![fact(3, 12, 20), fact(4, 12, 3)];
        let ((mut facts, _, totals), without_inode) =
            undelivered.take_with((last, Vec::new(), written(23)));
        facts.sort_by_key(|(key, _)| key.owner);
        let bytes: Vec<u64> = facts.iter().map(|(_, fact)| fact.bytes).collect();
        assert_eq!(bytes, [120, 3]);
        assert_eq!((totals.write_bytes, without_inode), (123, 0));
        assert_eq!((facts[0].1.lag_max, facts[0].1.lags[0]), (100, 2));
        let ((facts, _, totals), _) = undelivered.take_with((Vec::new(), Vec::new(), written(0)));
        assert_eq!((facts.len(), totals.write_bytes), (0, 0));
    }

    /// Memory stays bounded, and every byte keeps its owner.
    #[test]
    fn more_files_than_fit_in_memory_leave_each_owner_its_bytes() {
        let mut undelivered = Undelivered::default();
        let files = MOST as u64 + 1;
        let many = (1..=files).map(|ino| fact((ino % 2) as u32, ino, 1));
        undelivered.add((many.collect(), Vec::new(), written(files)));
        let ((facts, ..), without_inode) =
            undelivered.take_with((Vec::new(), Vec::new(), written(0)));
        let bytes: u64 = facts.iter().map(|(_, fact)| fact.bytes).sum();
        assert_eq!((facts.len(), bytes, without_inode), (2, files, files));
    }
}
