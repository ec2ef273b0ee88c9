//! An ordered map of which copies share all but what changed.
//!
//! The image of a cluster is copied with every decision, and a decision changes a topic or two of
//! perhaps ten thousand: only the chunk that holds it is copied. Used by `topics`.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Entries of one chunk, at most: a change copies this many.
const CHUNK_LEN_MAX: usize = 128;

/// A sorted map in sorted chunks, none of them empty.
pub(crate) struct ChunkedMap<K, V> {
    chunks: Vec<Arc<Vec<(K, V)>>>,
    len: usize,
}

impl<K: Ord + Clone, V: Clone> ChunkedMap<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let chunk = self.chunks.get(self.chunk_of(key))?;
        let at = find(chunk, key).ok()?;
        Some(&chunk[at].1)
    }

    pub(crate) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let index = self.chunk_of(key);
        let chunk = self.chunks.get_mut(index)?;
        let at = find(chunk, key).ok()?;
        Some(&mut Arc::make_mut(chunk)[at].1)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        let index = self.chunk_of(&key);
        let Some(chunk) = self.chunks.get_mut(index) else {
            self.chunks.push(Arc::new(vec![(key, value)]));
            self.len += 1;
            return;
        };
        let chunk = Arc::make_mut(chunk);
        match find(chunk, &key) {
            Ok(at) => chunk[at].1 = value,
            Err(at) => {
                chunk.insert(at, (key, value));
                self.len += 1;
            }
        }
        if chunk.len() > CHUNK_LEN_MAX {
            let rest = chunk.split_off(CHUNK_LEN_MAX / 2);
            self.chunks.insert(index + 1, Arc::new(rest));
        }
    }

    pub(crate) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let index = self.chunk_of(key);
        let chunk = self.chunks.get_mut(index)?;
        let at = find(chunk, key).ok()?;
        let chunk = Arc::make_mut(chunk);
        let (_, removed) = chunk.remove(at);
        if chunk.is_empty() {
            self.chunks.remove(index);
        }
        self.len -= 1;
        Some(removed)
    }

    /// The values in the order of their keys.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.chunks.iter().flat_map(|chunk| chunk.iter().map(|(_, value)| value))
    }

    /// The index of the chunk in which `key` is, or belongs.
    fn chunk_of<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        let after = self.chunks.partition_point(|chunk| chunk[0].0.borrow() <= key);
        after.saturating_sub(1)
    }
}

fn find<K: Borrow<Q>, V, Q: Ord + ?Sized>(chunk: &[(K, V)], key: &Q) -> Result<usize, usize> {
    chunk.binary_search_by(|(other, _)| other.borrow().cmp(key))
}

impl<K, V> ChunkedMap<K, V> {
    fn iter(&self) -> impl Iterator<Item = &(K, V)> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }
}

impl<K, V> Clone for ChunkedMap<K, V> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone(), len: self.len }
    }
}

impl<K, V> Default for ChunkedMap<K, V> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

/// Where the chunks end depends on the way, so it does not count.
impl<K: PartialEq, V: PartialEq> PartialEq for ChunkedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq> Eq for ChunkedMap<K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for ChunkedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(key, value)| (key, value))).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn it_is_a_map_like_any_other_and_copies_keep_what_they_had() {
        let mut model = BTreeMap::new();
        let mut map = ChunkedMap::<u64, u64>::default();
        let mut state = 7_u64;
        let mut kept = Vec::new();
        for step in 0..20_000_u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let key = (state >> 33) % 1500;
            // Grows, then shrinks.
            let removes = if step < 10_000 { 4 } else { 12 };
            match (state >> 20) % 16 {
                0 => {
                    if let Some(value) = map.get_mut(&key) {
                        *value += 1;
                    }
                    model.entry(key).and_modify(|value| *value += 1);
                }
                turn if turn <= removes => assert_eq!(map.remove(&key), model.remove(&key)),
                _ => {
                    map.insert(key, step);
                    model.insert(key, step);
                }
            }
            assert_eq!((map.get(&key), map.len()), (model.get(&key), model.len()));
            if step % 1000 == 0 {
                kept.push((map.clone(), model.clone()));
            }
        }
        kept.push((map, model));
        for (map, model) in kept {
            assert!(map.values().eq(model.values()));
            assert!(map.iter().map(|(key, value)| (key, value)).eq(model.iter()));
            assert!(map.chunks.iter().all(|chunk| !chunk.is_empty()));
            let mut again = ChunkedMap::default();
            model.iter().rev().for_each(|(key, value)| again.insert(*key, *value));
            assert_eq!(map, again);
        }
    }
}
