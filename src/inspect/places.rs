//! Numbers for keys in the order they first came. Nearly every answer has one or two of them, found at a glance; the upstream writes
//! the keys, so thousands must cost no more each. Knows nothing of lanes and parts.

use std::collections::HashMap;
use std::hash::Hash;

/// Up to as many keys are looked through; beyond, they are hashed.
const FEW: usize = 8;

/// Keys and their numbers.
#[derive(Debug)]
pub(super) struct Places<K> {
    keys: Vec<K>,
    hashed: HashMap<K, usize>,
    /// The number given last: text comes in runs.
    last: usize,
}

impl<K: Copy + Eq + Hash> Places<K> {
    pub(super) fn new() -> Self {
        Places { keys: Vec::new(), hashed: HashMap::new(), last: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The key's number, if it has one.
    pub(super) fn find(&self, key: K) -> Option<usize> {
        if self.keys.get(self.last) == Some(&key) {
            return Some(self.last);
        }
        if self.keys.len() <= FEW { self.keys.iter().position(|known| *known == key) } else { self.hashed.get(&key).copied() }
    }

    /// The key's number, a new one if need be.
    pub(super) fn number(&mut self, key: K) -> usize {
        self.last = self.find(key).unwrap_or_else(|| {
            self.keys.push(key);
            let number = self.keys.len() - 1;
            match self.keys.len() {
                ..=FEW => {}
                len if len == FEW + 1 => self.hashed.extend(self.keys.iter().copied().zip(0..)),
                _ => drop(self.hashed.insert(key, number)),
            }
            number
        });
        self.last
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::hash::Hasher;

    use proptest::prelude::*;

    use super::*;

    thread_local! {
        /// Comparisons and hashes so far.
        static WORK: Cell<usize> = const { Cell::new(0) };
    }

    /// A key that counts what is done with it.
    #[derive(Clone, Copy, Debug)]
    struct Counted(u32);

    impl PartialEq for Counted {
        fn eq(&self, other: &Self) -> bool {
            WORK.set(WORK.get() + 1);
            self.0 == other.0
        }
    }

    impl Eq for Counted {}

    impl Hash for Counted {
        fn hash<H: Hasher>(&self, state: &mut H) {
            WORK.set(WORK.get() + 1);
            self.0.hash(state);
        }
    }

    fn work(keys: u32) -> usize {
        WORK.set(0);
        let mut places = Places::new();
        for _ in 0..2 {
            for key in 0..keys {
                assert_eq!(places.number(Counted(key)), key as usize);
            }
        }
        WORK.get()
    }

    #[test]
    fn twice_the_keys_are_twice_the_work() {
        let (once, twice) = (work(4_000), work(8_000));
        assert!(twice < once * 5 / 2, "{once} comparisons and hashes for 4,000 keys, {twice} for 8,000");
    }

    proptest! {
        #[test]
        fn keys_are_numbered_as_they_come(keys in prop::collection::vec(0u32..30, 0..80)) {
            let mut places = Places::new();
            let mut order: Vec<u32> = Vec::new();
            for key in keys {
                prop_assert_eq!(places.find(key), order.iter().position(|known| *known == key));
                if !order.contains(&key) {
                    order.push(key);
                }
                prop_assert_eq!(places.number(key), order.iter().position(|known| *known == key).unwrap());
                prop_assert_eq!(places.len(), order.len());
            }
        }
    }
}
