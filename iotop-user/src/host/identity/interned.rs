//! One copy of each value: most tasks have most of their names in common with others.

use std::{collections::HashSet, hash::Hash, sync::Arc};

/// Values of which there is one copy each.
#[derive(Debug)]
pub struct Interned<T: ?Sized + Eq + Hash>(HashSet<Arc<T>>);

impl<T: ?Sized + Eq + Hash> Default for Interned<T> {
    fn default() -> Interned<T> {
        Interned(HashSet::new())
    }
}

impl<T: ?Sized + Eq + Hash> Interned<T> {
    /// The copy of a value: the one that is known, or else `new`.
    pub fn share(&mut self, new: Arc<T>) -> Arc<T> {
        match self.0.get(&new) {
            Some(known) => known.clone(),
            None => {
                self.0.insert(new.clone());
                new
            }
        }
    }

    /// True if there is a copy.
    pub fn has(&self, value: &T) -> bool {
        self.0.contains(value)
    }

    /// Forgets the values that are not used any more.
    pub fn forget_unused(&mut self) {
        self.0.retain(|value| Arc::strong_count(value) > 1);
    }
}

impl Interned<str> {
    /// The copy of a string.
    pub fn string(&mut self, string: &str) -> Arc<str> {
        match self.0.get(string) {
            Some(known) => known.clone(),
            None => self.share(string.into()),
        }
    }
}
