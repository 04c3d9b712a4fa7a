//! Rows in memory that remember which of them were changed, in the order of their first change.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

#[derive(Debug)]
pub(crate) struct Table<K, V> {
    rows: HashMap<K, V>,
    stored: HashSet<K>,
    changed: HashSet<K>,
    order: Vec<K>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self {
            rows: HashMap::new(),
            stored: HashSet::new(),
            changed: HashSet::new(),
            order: Vec::new(),
        }
    }
}

impl<K: Eq + Hash + Clone, V> Table<K, V> {
    /// Put a row as it is stored: no change.
    pub(crate) fn load(&mut self, key: K, row: V) {
        self.stored.insert(key.clone());
        self.rows.insert(key, row);
    }

    /// Whether the row was loaded, so that the store holds one to update.
    pub(crate) fn is_stored(&self, key: &K) -> bool {
        self.stored.contains(key)
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.rows.get(key)
    }

    pub(crate) fn put(&mut self, key: K, row: V) {
        self.mark(&key);
        self.rows.insert(key, row);
    }

    pub(crate) fn remove(&mut self, key: &K) {
        self.mark(key);
        self.rows.remove(key);
    }

    /// The row, to be changed, if there is one.
    pub(crate) fn change(&mut self, key: &K) -> Option<&mut V> {
        if self.rows.contains_key(key) {
            self.mark(key);
        }
        self.rows.get_mut(key)
    }

    /// The row, to be changed, made first if there is none.
    pub(crate) fn change_or_insert(&mut self, key: &K, new: impl FnOnce() -> V) -> &mut V {
        self.mark(key);
        self.rows.entry(key.clone()).or_insert_with(new)
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = (&K, &V)> {
        self.rows.iter()
    }

    /// Changed rows, the first changed first; `None` is a removed one.
    pub(crate) fn changes(&self) -> impl Iterator<Item = (&K, Option<&V>)> {
        self.order.iter().map(|key| (key, self.rows.get(key)))
    }

    fn mark(&mut self, key: &K) {
        if !self.changed.contains(key) {
            self.changed.insert(key.clone());
            self.order.push(key.clone());
        }
    }
}
