//! Which partition a record goes to when it does not say.
//!
//! The default is Java's: murmur2 of the key, so that clients in both languages agree; without a
//! key it stays with one partition until a batch is full, then draws another (KIP-480, KIP-794).

use std::collections::BTreeMap;
use std::sync::Arc;

use kalda_env::Rng;
use parking_lot::Mutex;

use super::Record;

/// Chooses partitions.
pub trait Partitioner: Send + Sync {
    /// A partition from 0 to `partition_count - 1`; `available` are those that have a leader.
    fn partition(&self, record: &Record, partition_count: i32, available: &[i32]) -> i32;
}

/// Java's 32-bit hash of keys (`org.apache.kafka.common.utils.Utils.murmur2`).
#[must_use]
pub fn murmur2(data: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let mut hash = SEED ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes(word.try_into().expect("chunks of four bytes"));
        k = k.wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (index, &byte) in rest.iter().enumerate() {
            hash ^= u32::from(byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^= hash >> 15;
    hash as i32
}

/// The partition of a key.
#[must_use]
pub fn partition_of_key(key: &[u8], partition_count: i32) -> i32 {
    (murmur2(key) & i32::MAX) % partition_count
}

/// The default.
#[derive(Debug)]
pub(super) struct DefaultPartitioner {
    /// After so many bytes, another partition has its turn.
    batch_size: usize,
    sticky: Mutex<BTreeMap<String, Sticky>>,
    rng: Arc<dyn Rng>,
}

/// The partition that a topic's records without a key go to for now.
#[derive(Clone, Copy, Debug)]
struct Sticky {
    partition: i32,
    bytes: usize,
}

impl DefaultPartitioner {
    pub(super) fn new(batch_size: usize, rng: Arc<dyn Rng>) -> Self {
        Self { batch_size, sticky: Mutex::default(), rng }
    }

    fn stick(&self, record: &Record, partition_count: i32, available: &[i32]) -> i32 {
        let mut sticky = self.sticky.lock();
        let current = sticky.get(&record.topic).copied();
        let stays = current.filter(|sticky| {
            sticky.bytes < self.batch_size
                && sticky.partition < partition_count
                && (available.is_empty() || available.contains(&sticky.partition))
        });
        let mut chosen = stays.unwrap_or_else(|| Sticky {
            partition: draw(partition_count, available, &*self.rng),
            bytes: 0,
        });
        chosen.bytes += record.size_max();
        sticky.insert(record.topic.clone(), chosen);
        chosen.partition
    }
}

fn draw(partition_count: i32, available: &[i32], rng: &dyn Rng) -> i32 {
    if available.is_empty() {
        return rng.below(partition_count.unsigned_abs().into()) as i32;
    }
    available[rng.below(available.len() as u64) as usize]
}

impl Partitioner for DefaultPartitioner {
    fn partition(&self, record: &Record, partition_count: i32, available: &[i32]) -> i32 {
        match &record.key {
            Some(key) => partition_of_key(key, partition_count),
            None => self.stick(record, partition_count, available),
        }
    }
}

#[cfg(test)]
mod tests {
    use kalda_env::OsRng;

    use super::*;

    #[test]
    fn hashes_are_javas() {
        // The values of Java's own test of the function.
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
    }

    #[test]
    fn a_key_always_has_one_partition_and_a_negative_hash_is_no_trouble() {
        assert_eq!(partition_of_key(b"foobar", 7), (-790_332_482_i32 & i32::MAX) % 7);
        assert!((0..3).contains(&partition_of_key(b"21", 3)));
    }

    #[test]
    fn without_a_key_one_partition_is_kept_until_a_batch_is_full() {
        let partitioner = DefaultPartitioner::new(1000, Arc::new(OsRng));
        let small = Record::to("t").value(vec![0; 10]);
        let first = partitioner.partition(&small, 100, &[]);
        for _ in 0..5 {
            assert_eq!(partitioner.partition(&small, 100, &[]), first);
        }
        let large = Record::to("t").value(vec![0; 1000]);
        let drawn: std::collections::BTreeSet<i32> =
            (0..50).map(|_| partitioner.partition(&large, 100, &[])).collect();
        assert!(drawn.len() > 5, "{drawn:?}");
    }

    #[test]
    fn only_partitions_with_a_leader_are_drawn() {
        let partitioner = DefaultPartitioner::new(1, Arc::new(OsRng));
        for _ in 0..20 {
            let record = Record::to("t").value("x");
            assert_eq!(partitioner.partition(&record, 100, &[42]), 42);
        }
    }
}
