//! What was written, and whose it was.

use std::collections::{BTreeMap, HashMap};

use super::{BlockTotals, FlushFile, FlushLag, FlushOwner, TaskKey, sum};

/// Bytes and their owners.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// All bytes.
    pub totals: BlockTotals,
    /// Bios.
    pub bios: u64,
    /// From dirtying to submission, over all owners.
    pub lag: Option<FlushLag>,
    /// Whose bytes they are, most first.
    pub owners: Vec<FlushOwner>,
}

impl Written {
    /// Takes in what was written beside it.
    pub fn add(&mut self, other: &Written) {
        self.totals = self.totals + other.totals;
        self.bios += other.bios;
        self.lag = sum(self.lag, other.lag);
        let places = self.owners.iter().map(|owner| owner.task.key()).zip(0..);
        let mut places: HashMap<TaskKey, usize> = places.collect();
        for owner in &other.owners {
            match places.get(&owner.task.key()) {
                Some(&place) => self.owners[place].add(owner),
                None => {
                    places.insert(owner.task.key(), self.owners.len());
                    self.owners.push(owner.clone());
                }
            }
        }
        self.owners
            .sort_by_key(|owner| std::cmp::Reverse(owner.bytes));
    }
}

impl FlushOwner {
    fn add(&mut self, other: &FlushOwner) {
        self.task = other.task.clone();
        self.bytes += other.bytes;
        self.lag = sum(self.lag, other.lag);
        let mut by_inode: BTreeMap<(u64, u32), FlushFile> = BTreeMap::new();
        for file in self.files.drain(..).chain(other.files.iter().cloned()) {
            let known = by_inode.entry((file.ino, file.file));
            known
                .and_modify(|known| {
                    known.bytes += file.bytes;
                    known.path = file.path.clone().or(known.path.take());
                })
                .or_insert(file);
        }
        self.files = by_inode.into_values().collect();
        self.files.sort_by_key(|file| std::cmp::Reverse(file.bytes));
    }
}
