//! The topics and their partitions' registrations.

use std::collections::BTreeMap;
use std::sync::Arc;

use kalda_model::{BrokerId, DirectoryId, LeaderEpoch, PartitionEpoch, TopicId};
use kalda_protocol::stored::metadata::{PartitionChangeRecord, PartitionRecord};

use crate::chunks::ChunkedMap;

/// In a change record: the leader stays as it is.
const LEADER_UNCHANGED: i32 = -2;

/// The controller's word on one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionRegistration {
    /// The brokers that hold it, the preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// The log directory of each replica, in the same order.
    pub directories: Vec<DirectoryId>,
    /// The replicas that are in sync.
    pub isr: Vec<BrokerId>,
    /// Replicas that a reassignment takes away.
    pub removing_replicas: Vec<BrokerId>,
    /// Replicas that a reassignment adds.
    pub adding_replicas: Vec<BrokerId>,
    /// Replicas outside the ISR that hold all that was acknowledged (KIP-966).
    pub elr: Vec<BrokerId>,
    /// The members of the last ISR that was not empty (KIP-966).
    pub last_known_elr: Vec<BrokerId>,
    /// The leader, or [`BrokerId::NONE`].
    pub leader: BrokerId,
    /// 0 recovered, 1 recovering from an unclean election.
    pub leader_recovery_state: i8,
    /// Grows with every election.
    pub leader_epoch: LeaderEpoch,
    /// Grows with every change.
    pub partition_epoch: PartitionEpoch,
}

impl PartitionRegistration {
    /// The log directory that `replica` is assigned to: `Uuid::ONE` (not assigned) where it is not
    /// known.
    #[must_use]
    pub fn directory_of(&self, replica: BrokerId) -> DirectoryId {
        let at = self.replicas.iter().position(|id| *id == replica);
        at.and_then(|at| self.directories.get(at)).copied().unwrap_or(DirectoryId::ONE)
    }

    /// Whether replicas are being added or taken away.
    #[must_use]
    pub fn is_reassigning(&self) -> bool {
        !self.adding_replicas.is_empty() || !self.removing_replicas.is_empty()
    }

    /// How many replicas it is meant to have, those not counted that a reassignment is still adding:
    /// a partition that grows from one replica to three must not refuse writes until it has them.
    #[must_use]
    pub fn replication_factor(&self) -> usize {
        let is_settled = |id: &&BrokerId| !self.adding_replicas.contains(id);
        self.replicas.iter().filter(is_settled).count()
    }

    /// The registration after `change` (`PartitionRegistration.merge`): the partition epoch always
    /// grows, the leader epoch whenever the record names a leader, even the same one.
    #[must_use]
    pub fn changed_by(&self, change: &PartitionChangeRecord) -> Self {
        let mut changed = self.clone();
        let replace = |field: &mut Vec<BrokerId>, with: &Option<Vec<i32>>| {
            if let Some(ids) = with {
                *field = brokers(ids);
            }
        };
        replace(&mut changed.isr, &change.isr);
        replace(&mut changed.replicas, &change.replicas);
        replace(&mut changed.removing_replicas, &change.removing_replicas);
        replace(&mut changed.adding_replicas, &change.adding_replicas);
        replace(&mut changed.elr, &change.eligible_leader_replicas);
        replace(&mut changed.last_known_elr, &change.last_known_elr);
        if let Some(directories) = &change.directories {
            changed.directories.clone_from(directories);
        }
        if change.leader != LEADER_UNCHANGED {
            changed.leader = BrokerId(change.leader);
            changed.leader_epoch = LeaderEpoch(self.leader_epoch.0 + 1);
        }
        if change.leader_recovery_state >= 0 {
            changed.leader_recovery_state = change.leader_recovery_state;
        }
        changed.partition_epoch = PartitionEpoch(self.partition_epoch.0 + 1);
        changed
    }

    /// The record from which this registration can be replayed.
    #[must_use]
    pub fn to_record(&self, topic_id: TopicId, partition_id: i32) -> PartitionRecord {
        let optional = |ids: &[BrokerId]| (!ids.is_empty()).then(|| numbers(ids));
        PartitionRecord {
            partition_id,
            topic_id,
            replicas: numbers(&self.replicas),
            isr: numbers(&self.isr),
            removing_replicas: numbers(&self.removing_replicas),
            adding_replicas: numbers(&self.adding_replicas),
            leader: self.leader.0,
            leader_recovery_state: self.leader_recovery_state,
            leader_epoch: self.leader_epoch.0,
            partition_epoch: self.partition_epoch.0,
            directories: self.directories.clone(),
            eligible_leader_replicas: optional(&self.elr),
            last_known_elr: optional(&self.last_known_elr),
        }
    }
}

impl From<&PartitionRecord> for PartitionRegistration {
    fn from(record: &PartitionRecord) -> Self {
        let optional = |ids: &Option<Vec<i32>>| ids.as_deref().map(brokers).unwrap_or_default();
        Self {
            replicas: brokers(&record.replicas),
            directories: record.directories.clone(),
            isr: brokers(&record.isr),
            removing_replicas: brokers(&record.removing_replicas),
            adding_replicas: brokers(&record.adding_replicas),
            elr: optional(&record.eligible_leader_replicas),
            last_known_elr: optional(&record.last_known_elr),
            leader: BrokerId(record.leader),
            leader_recovery_state: record.leader_recovery_state,
            leader_epoch: LeaderEpoch(record.leader_epoch),
            partition_epoch: PartitionEpoch(record.partition_epoch),
        }
    }
}

fn brokers(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

fn numbers(ids: &[BrokerId]) -> Vec<i32> {
    ids.iter().map(|id| id.0).collect()
}

/// One topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicImage {
    /// Its name.
    pub name: Arc<str>,
    /// Its id, never used again after its deletion.
    pub id: TopicId,
    /// Its partitions by index.
    pub partitions: BTreeMap<i32, Arc<PartitionRegistration>>,
}

/// All topics, found by name and by id.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TopicsImage {
    by_name: ChunkedMap<Arc<str>, Arc<TopicImage>>,
    names: ChunkedMap<TopicId, Arc<str>>,
}

impl TopicsImage {
    /// The topic named `name`.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.by_name.get(name)
    }

    /// The topic whose id is `id`.
    #[must_use]
    pub fn by_id(&self, id: TopicId) -> Option<&Arc<TopicImage>> {
        self.by_name.get(self.names.get(&id)?)
    }

    /// All topics in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.by_name.values()
    }

    /// How many topics there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is no topic.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.len() == 0
    }

    /// How many partitions all topics have together.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.by_name.values().map(|topic| topic.partitions.len()).sum()
    }

    pub(crate) fn insert(&mut self, topic: TopicImage) {
        self.names.insert(topic.id, Arc::clone(&topic.name));
        self.by_name.insert(Arc::clone(&topic.name), Arc::new(topic));
    }

    pub(crate) fn remove(&mut self, id: TopicId) -> Option<Arc<TopicImage>> {
        let name = self.names.remove(&id)?;
        self.by_name.remove(&name)
    }

    pub(crate) fn by_id_mut(&mut self, id: TopicId) -> Option<&mut TopicImage> {
        let name = self.names.get(&id)?;
        self.by_name.get_mut(name).map(Arc::make_mut)
    }
}
