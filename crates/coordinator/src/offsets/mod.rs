//! Committed offsets: what the log says of them, and the requests that read and write them.
//!
//! Owned by the shard. The maps change only by [`OffsetStore::replay`] and its siblings; the handlers
//! in the submodules read them and decide on records.

mod commit;
mod delete;
mod expiry;
mod fetch;

use std::collections::BTreeMap;

use kalda_model::{Offset, ProducerId};
use kalda_protocol::stored::group::{OffsetCommitKey, OffsetCommitValue};

use crate::decision::CoordinatorRecord;
use crate::records;

pub(crate) use commit::{commit, txn_commit};
pub(crate) use delete::delete;
pub(crate) use expiry::{Expiry, ExpiryRule, expired};
pub(crate) use fetch::fetch;

/// One committed offset, with the place of its record: the younger record wins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CommittedOffset {
    /// Where the record stands in the log. Plain and transactional commits are ordered by it.
    pub(crate) record_offset: Offset,
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: String,
    pub(crate) commit_timestamp_ms: i64,
    /// Only commits that brought their own retention have one.
    pub(crate) expire_timestamp_ms: Option<i64>,
}

/// Offsets by topic and partition.
pub(crate) type TopicOffsets = BTreeMap<String, BTreeMap<i32, CommittedOffset>>;

/// The offsets of all groups of a shard.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct OffsetStore {
    committed: BTreeMap<String, TopicOffsets>,
    /// Offsets of open transactions, by producer and group. No entry is empty.
    pending: BTreeMap<ProducerId, BTreeMap<String, TopicOffsets>>,
}

impl OffsetStore {
    pub(crate) fn of_group(&self, group: &str) -> Option<&TopicOffsets> {
        self.committed.get(group)
    }

    pub(crate) fn find(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
    ) -> Option<&CommittedOffset> {
        self.committed.get(group)?.get(topic)?.get(&partition)
    }

    /// Whether an open transaction has committed an offset there.
    pub(crate) fn is_pending(&self, group: &str, topic: &str, partition: i32) -> bool {
        self.pending_of_group(group)
            .any(|topics| topics.get(topic).is_some_and(|offsets| offsets.contains_key(&partition)))
    }

    /// Whether an open transaction has committed any offset of the group.
    pub(crate) fn has_open_transaction(&self, group: &str) -> bool {
        self.pending_of_group(group).next().is_some()
    }

    pub(crate) fn has_offsets(&self, group: &str) -> bool {
        self.committed.contains_key(group)
    }

    fn pending_of_group(&self, group: &str) -> impl Iterator<Item = &TopicOffsets> {
        self.pending.values().filter_map(move |groups| groups.get(group))
    }

    /// Applies a plain record. A tombstone also ends what open transactions hold for the partition.
    pub(crate) fn replay(
        &mut self,
        offset: Offset,
        key: OffsetCommitKey,
        value: Option<OffsetCommitValue>,
    ) {
        match value {
            Some(value) => {
                let topics = self.committed.entry(key.group).or_default();
                settle(topics, key.topic, key.partition, CommittedOffset::new(offset, value));
            }
            None => {
                remove(&mut self.committed, &key);
                for groups in self.pending.values_mut() {
                    remove(groups, &key);
                }
                self.pending.retain(|_, groups| !groups.is_empty());
            }
        }
    }

    /// Applies a record of a transaction, which counts once the transaction commits.
    pub(crate) fn replay_transactional(
        &mut self,
        producer: ProducerId,
        offset: Offset,
        key: OffsetCommitKey,
        value: Option<OffsetCommitValue>,
    ) {
        // No coordinator writes tombstones inside a transaction; one that stands there deletes at
        // once, for there is nothing that it could leave pending.
        let Some(value) = value else { return self.replay(offset, key, None) };
        let topics = self.pending.entry(producer).or_default().entry(key.group).or_default();
        settle(topics, key.topic, key.partition, CommittedOffset::new(offset, value));
    }

    /// Ends a producer's transaction. A pending offset counts only if no younger record, plain or of
    /// another transaction, has been written since.
    pub(crate) fn replay_marker(&mut self, producer: ProducerId, outcome: Outcome) {
        let Some(groups) = self.pending.remove(&producer) else { return };
        if outcome == Outcome::Aborted {
            return;
        }
        for (group, pending) in groups {
            let topics = self.committed.entry(group).or_default();
            for (topic, partitions) in pending {
                for (partition, committed) in partitions {
                    settle(topics, topic.clone(), partition, committed);
                }
            }
        }
    }

    /// Tombstones for everything the group has, committed and pending.
    pub(crate) fn delete_group(&self, group: &str) -> Vec<CoordinatorRecord> {
        let mut partitions = std::collections::BTreeSet::new();
        for topics in self.committed.get(group).into_iter().chain(self.pending_of_group(group)) {
            for (topic, offsets) in topics {
                partitions.extend(offsets.keys().map(|partition| (topic.as_str(), *partition)));
            }
        }
        partitions
            .into_iter()
            .map(|(topic, partition)| records::offset_tombstone(group, topic, partition))
            .collect()
    }

    /// Tombstones for what all groups have of a topic that is gone.
    pub(crate) fn delete_topic(&self, topic: &str) -> Vec<CoordinatorRecord> {
        let mut partitions = std::collections::BTreeSet::new();
        let pending = self.pending.values().flatten();
        for (group, topics) in self.committed.iter().chain(pending) {
            let offsets = topics.get(topic).into_iter().flatten();
            partitions.extend(offsets.map(|(partition, _)| (group.as_str(), *partition)));
        }
        partitions
            .into_iter()
            .map(|(group, partition)| records::offset_tombstone(group, topic, partition))
            .collect()
    }
}

/// How a transaction ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Committed,
    Aborted,
}

impl CommittedOffset {
    fn new(record_offset: Offset, value: OffsetCommitValue) -> Self {
        Self {
            record_offset,
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata,
            commit_timestamp_ms: value.commit_timestamp,
            expire_timestamp_ms: (value.expire_timestamp != -1).then_some(value.expire_timestamp),
        }
    }
}

/// The one rule of order, live and loading alike: the record that stands later in the log wins.
fn settle(topics: &mut TopicOffsets, topic: String, partition: i32, candidate: CommittedOffset) {
    let partitions = topics.entry(topic).or_default();
    match partitions.get(&partition) {
        Some(standing) if standing.record_offset >= candidate.record_offset => {}
        _ => {
            partitions.insert(partition, candidate);
        }
    }
}

/// Takes an offset out, and the maps around it that become empty.
fn remove(groups: &mut BTreeMap<String, TopicOffsets>, key: &OffsetCommitKey) {
    let Some(topics) = groups.get_mut(&key.group) else { return };
    if let Some(partitions) = topics.get_mut(&key.topic) {
        partitions.remove(&key.partition);
        if partitions.is_empty() {
            topics.remove(&key.topic);
        }
    }
    if topics.is_empty() {
        groups.remove(&key.group);
    }
}
