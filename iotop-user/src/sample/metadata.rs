//! Journals and metadata that were written because of a task, by kind.

use std::ops::Add;

use iotop_common::Class;

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
    /// Bytes of a fact of this class; nothing if the class is another one.
    pub fn of(class: Class, bytes: u64) -> Metadata {
        let mut metadata = Metadata::default();
        match class {
            Class::Journal => metadata.journal = bytes,
            Class::Home => metadata.home = bytes,
            Class::Tree => metadata.tree = bytes,
            _ => {}
        }
        metadata
    }

    /// The name of each kind and its bytes.
    pub fn parts(&self) -> [(&'static str, u64); 3] {
        [
            ("journal", self.journal),
            ("home", self.home),
            ("tree", self.tree),
        ]
    }

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

/// What bytes of this class are called where exact bytes and estimated ones are kept apart;
/// `None` if the class is exact or has no owner.
pub const fn kind_of_estimate(class: Class) -> Option<&'static str> {
    match class {
        Class::Shared => Some("data"),
        Class::Journal => Some("journal"),
        Class::Home => Some("home"),
        Class::Tree => Some("tree"),
        Class::Read | Class::Exact | Class::Direct => None,
        Class::PreTrace | Class::Metadata | Class::Swap => None,
        Class::Stacked | Class::Overflow | Class::Unknown => None,
    }
}
