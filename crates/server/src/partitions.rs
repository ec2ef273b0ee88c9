//! The partitions that this broker hosts, found by topic id and index.

use std::collections::HashMap;
use std::sync::Arc;

use kalda_model::TopicId;
use parking_lot::RwLock;

use crate::hosted::HostedPartition;

/// All hosted partitions. Looked at by every produce and fetch, changed only by metadata.
#[derive(Debug, Default)]
pub(crate) struct PartitionTable {
    by_topic: RwLock<HashMap<TopicId, HashMap<i32, Arc<HostedPartition>>>>,
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
