//! The partitions that this broker hosts, found by topic id and index.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use kalda_model::TopicId;
use parking_lot::RwLock;

use crate::hosted::HostedPartition;

/// All hosted partitions. Looked at by every produce and fetch, changed only by metadata.
#[derive(Debug, Default)]
pub(crate) struct PartitionTable {
    by_topic: RwLock<HashMap<TopicId, OfTopic, BuildHasherDefault<OwnIds>>>,
}

type OfTopic = HashMap<i32, Arc<HostedPartition>, BuildHasherDefault<OwnIds>>;

/// Hashes what this cluster gave out itself: ids that are random, and indexes that count from 0. Clients look
/// up under any key but never choose what is in the table, so nothing has to be kept from them.
#[derive(Default)]
struct OwnIds(u64);

impl Hasher for OwnIds {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_ne_bytes(word));
        }
    }

    fn write_i32(&mut self, value: i32) {
        self.write_u64(u64::from(value.cast_unsigned()));
    }

    fn write_u64(&mut self, value: u64) {
        // The table takes its buckets from the low bits and its tags from the high ones.
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 ^= self.0 >> 32;
    }

    fn write_u128(&mut self, value: u128) {
        self.write_u64(value as u64 ^ (value >> 64) as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl PartitionTable {
    /// The partition, if this broker hosts it.
    pub(crate) fn find(&self, topic: TopicId, index: i32) -> Option<Arc<HostedPartition>> {
        self.by_topic.read().get(&topic)?.get(&index).cloned()
    }

    pub(crate) fn insert(&self, partition: Arc<HostedPartition>) {
        let mut by_topic = self.by_topic.write();
        by_topic.entry(partition.topic_id).or_default().insert(partition.index, partition);
    }

    /// Forgets the partitions of a topic.
    pub(crate) fn remove_topic(&self, topic: TopicId) {
        self.by_topic.write().remove(&topic);
    }

    /// Forgets one partition: this broker is no replica of it any more.
    pub(crate) fn remove(&self, topic: TopicId, index: i32) -> Option<Arc<HostedPartition>> {
        let mut by_topic = self.by_topic.write();
        let of_topic = by_topic.get_mut(&topic)?;
        let removed = of_topic.remove(&index);
        if of_topic.is_empty() {
            by_topic.remove(&topic);
        }
        removed
    }

    /// Every partition.
    pub(crate) fn all(&self) -> Vec<Arc<HostedPartition>> {
        let by_topic = self.by_topic.read();
        by_topic.values().flat_map(HashMap::values).cloned().collect()
    }

    /// The partitions of one topic.
    pub(crate) fn of_topic(&self, topic: TopicId) -> Vec<Arc<HostedPartition>> {
        let by_topic = self.by_topic.read();
        by_topic.get(&topic).into_iter().flat_map(HashMap::values).cloned().collect()
    }
}
