//! Journals and metadata that were written because of a task, by kind.

use std::ops::Add;

/// Bytes of journals and metadata that are charged to a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Written to a journal's log.
    pub journal: u64,
    /// Written to its home, its own place on the device.
    pub home: u64,
    /// Pages of btrfs's trees.
    pub tree: u64,
}

impl Metadata {
    /// The sum of all kinds.
    pub fn total(&self) -> u64 {
        self.journal + self.home + self.tree
    }
}

impl Add for Metadata {
    type Output = Metadata;

    fn add(self, other: Metadata) -> Metadata {
        Metadata {
            journal: self.journal + other.journal,
            home: self.home + other.home,
            tree: self.tree + other.tree,
        }
    }
}
