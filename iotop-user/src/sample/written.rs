//! Written bytes and their owners.

use std::collections::{BTreeMap, HashMap};

use super::{BlockTotals, FlushFile, FlushLag, FlushOwner, TaskKey, sum};

/// Written bytes and their owners.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// All bytes, by part.
    pub totals: BlockTotals,
    /// Number of bios.
    pub bios: u64,
    /// Time from dirtying to submission, over all owners.
    pub lag: Option<FlushLag>,
    /// The owners, those with most bytes first.
    pub owners: Vec<FlushOwner>,
}

impl Written {
    /// Adds other written bytes. An owner in both appears once, with the sum.
    pub fn add(&mut self, other: &Written) {
        self.totals = self.totals + other.totals;
        self.bios += other.bios;
        self.lag = sum(self.lag, other.lag);
        let indices = self.owners.iter().map(|owner| owner.task.key()).zip(0..);
        let mut indices: HashMap<TaskKey, usize> = indices.collect();
        for owner in &other.owners {
            match indices.get(&owner.task.key()) {
                Some(&index) => self.owners[index].add(owner),
                None => {
                    indices.insert(owner.task.key(), self.owners.len());
                    self.owners.push(owner.clone());
                }
            }
        }
        self.owners
            .sort_by_key(|owner| std::cmp::Reverse(owner.bytes));
    }
}

impl FlushOwner {
    /// Adds the same owner's bytes of another flush; its names there are newer.
    fn add(&mut self, other: &FlushOwner) {
        self.task = other.task.clone();
        self.bytes += other.bytes;
        self.shared += other.shared;
        self.metadata = self.metadata + other.metadata;
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
