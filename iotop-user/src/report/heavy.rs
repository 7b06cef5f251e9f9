//! Rows of bounded number: the largest ones, and the sum of all others.

use std::{cmp::Reverse, collections::HashMap, hash::Hash};

use super::{series::Room, usage::Usage};

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// At least this many rows are kept, if there are as many; for a while twice as many.
    pub rows: usize,
    /// Room for each row's series.
    pub series: Room,
}

/// A row that is kept.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Its bytes.
    pub usage: Usage,
    /// At most this many written bytes of it are in the sum of the others. 0: it is complete.
    pub lacks_at_most: u64,
}

/// The largest rows by key, and the sum of all others. Every byte is in one of them.
#[derive(Debug)]
pub(super) struct Heavy<K> {
    limits: Limits,
    kept: HashMap<K, Kept>,
    other: Usage,
    /// The written bytes that a row can have lost to `other` so far: each time rows are folded,
    /// no folded row is larger than the largest of them.
    folded_at_most: u64,
}

impl<K: Eq + Hash + Ord + Clone> Heavy<K> {
    pub fn new(limits: Limits) -> Heavy<K> {
        Heavy {
            limits,
            kept: HashMap::new(),
            other: Usage::default(),
            folded_at_most: 0,
        }
    }

    /// The row with this key, which is added if it is new.
    pub fn row(&mut self, key: &K) -> &mut Usage {
        if !self.kept.contains_key(key) && self.kept.len() >= 2 * self.limits.rows {
            self.fold();
        }
        let lacks_at_most = self.folded_at_most;
        let new = || Kept {
            lacks_at_most,
            ..Kept::default()
        };
        &mut self.kept.entry(key.clone()).or_insert_with(new).usage
    }

    /// The sum of all rows that are not kept.
    pub fn other(&mut self) -> &mut Usage {
        &mut self.other
    }

    /// Rows may lack so many bytes more: they are in the sum of the others.
    pub fn lack(&mut self, bytes: u64) {
        self.folded_at_most = self.folded_at_most.saturating_add(bytes);
        for kept in self.kept.values_mut() {
            kept.lacks_at_most = kept.lacks_at_most.saturating_add(bytes);
        }
    }

    /// The rows, and the sum of all others.
    pub fn into_parts(self) -> (HashMap<K, Kept>, Usage) {
        (self.kept, self.other)
    }

    /// Adds the smaller half of the rows to the others.
    fn fold(&mut self) {
        let mut rows: Vec<(K, Kept)> = self.kept.drain().collect();
        // The key decides between equals, so that a report is the same each time.
        rows.sort_by(|(a, one), (b, other)| {
            let weight = |kept: &Kept| Reverse(kept.usage.weight());
            weight(one).cmp(&weight(other)).then_with(|| a.cmp(b))
        });
        let folded = rows.split_off(self.limits.rows.min(rows.len()));
        let largest = folded.iter().map(|(_, kept)| kept.usage.written()).max();
        self.folded_at_most = self.folded_at_most.saturating_add(largest.unwrap_or(0));
        for (_, kept) in folded {
            self.other.merge(&kept.usage, self.limits.series);
        }
        self.kept.extend(rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        rows: 10,
        series: Room {
            recent: 4,
            buckets: 4,
        },
    };

    #[test]
    fn conservation_the_rows_and_the_others_have_every_byte() {
        let mut heavy: Heavy<u64> = Heavy::new(LIMITS);
        let mut truth: HashMap<u64, u64> = HashMap::new();
        // Two large rows among many small ones, which come back later.
        for round in 0..3 {
            for key in 0..500 {
                let bytes = if key % 250 == 7 { 1 << 20 } else { key + round };
                heavy.row(&key).exact += bytes;
                *truth.entry(key).or_default() += bytes;
            }
        }
        let (kept, other) = heavy.into_parts();
        assert!(kept.len() <= 2 * LIMITS.rows);
        let sum: u64 = kept.values().map(|kept| kept.usage.exact).sum();
        assert_eq!(sum + other.exact, truth.values().sum::<u64>());
        for large in [7, 257] {
            assert_eq!(kept[&large].usage.exact, truth[&large], "never folded");
        }
        for (key, kept) in &kept {
            let lacks = truth[key] - kept.usage.exact;
            assert!(lacks <= kept.lacks_at_most, "{key} lacks {lacks}");
        }
    }

    #[test]
    fn few_rows_lack_nothing() {
        let mut heavy: Heavy<u64> = Heavy::new(LIMITS);
        for key in 0..20 {
            heavy.row(&key).exact += key;
        }
        let (kept, other) = heavy.into_parts();
        assert_eq!(kept.len(), 20);
        assert!(other.is_nothing());
        assert!(kept.values().all(|kept| kept.lacks_at_most == 0));
    }
}
