//! The way from one image to the next, and what changed on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kalda_model::{BrokerId, LeaderEpoch, Offset, TopicId};
use kalda_protocol::stored::metadata::{ConfigRecord, MetadataRecord, PartitionChangeRecord};

use crate::brokers::BrokerRegistration;
use crate::configs::{ConfigResource, ResourceType};
use crate::controllers::ControllerRegistration;
use crate::image::Image;
use crate::topics::{PartitionRegistration, TopicImage};

/// A record that contradicts the image: the log or this code is wrong, so nobody may go on.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReplayError {
    /// A partition of a topic that does not exist.
    #[error("a record speaks of the unknown topic id {0}")]
    UnknownTopic(TopicId),
    /// A change of a partition that does not exist.
    #[error("a record changes partition {1} of topic id {0}, which does not exist")]
    UnknownPartition(TopicId, i32),
    /// A change of a broker that is not registered.
    #[error("a record changes broker {0}, which is not registered")]
    UnknownBroker(i32),
    /// Settings of a kind of resource that is not known.
    #[error("a record sets `{1}` on a resource of the unknown type {0}")]
    UnknownResource(i8, String),
    /// A migration from ZooKeeper that was never finished.
    #[error(
        "the log holds a migration from ZooKeeper in state {0}; finish it with Kafka 3.9 first"
    )]
    ZkMigration(i8),
    /// A record outside its transaction, or a transaction inside another.
    #[error("a metadata transaction {0}")]
    Transaction(&'static str),
}

/// What happened to one topic on the way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TopicChange {
    /// It is new, or has new or changed partitions: their indexes.
    Changed(BTreeSet<i32>),
    /// It is gone: the topic as it was.
    Removed(Arc<TopicImage>),
}

/// Records being replayed on an image.
#[derive(Clone, Debug)]
pub struct Delta {
    image: Image,
    /// What happened to topics, by id.
    pub topics: BTreeMap<TopicId, TopicChange>,
    /// The resources whose settings changed.
    pub configs: BTreeSet<ConfigResource>,
    /// Whether any broker changed.
    pub brokers_changed: bool,
    /// Whether any controller changed.
    pub controllers_changed: bool,
}

impl Delta {
    /// A delta on top of `image`.
    #[must_use]
    pub fn new(image: &Image) -> Self {
        Self::from(image.clone())
    }

    /// [`Self::new`], of an image that nobody else needs: what the delta changes of it is changed in
    /// place.
    #[must_use]
    pub fn from(image: Image) -> Self {
        Self {
            image,
            topics: BTreeMap::new(),
            configs: BTreeSet::new(),
            brokers_changed: false,
            controllers_changed: false,
        }
    }

    /// The image with everything replayed so far.
    #[must_use]
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Ends the delta: its image now reaches up to `end_offset`.
    #[must_use]
    pub fn finish(mut self, end_offset: Offset, epoch: LeaderEpoch) -> (Image, Changes) {
        self.image.end_offset = end_offset;
        self.image.epoch = epoch;
        let changes = Changes {
            topics: self.topics,
            configs: self.configs,
            brokers_changed: self.brokers_changed,
            controllers_changed: self.controllers_changed,
        };
        (self.image, changes)
    }

    /// Applies one record.
    ///
    /// # Errors
    /// The record contradicts the image.
    pub fn replay(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        use MetadataRecord as R;
        match record {
            R::RegisterBroker(_)
            | R::UnregisterBroker(_)
            | R::BrokerRegistrationChange(_)
            | R::FenceBroker(_)
            | R::UnfenceBroker(_) => self.replay_broker(record),
            R::Topic(_) | R::Partition(_) | R::PartitionChange(_) | R::RemoveTopic(_) => {
                self.replay_topic(record)
            }
            R::RegisterController(record) => {
                self.controllers_changed = true;
                let registration = ControllerRegistration::from(record);
                Arc::make_mut(&mut self.image.controllers)
                    .insert(registration.id, Arc::new(registration));
                Ok(())
            }
            R::ClearElr(record) => {
                self.clear_elr(&record.topic_name);
                Ok(())
            }
            R::Config(record) => self.replay_config(record),
            R::FeatureLevel(record) => {
                let features = Arc::make_mut(&mut self.image.features);
                match record.feature_level {
                    0 => features.remove(&record.name),
                    level => features.insert(record.name.clone(), level),
                };
                Ok(())
            }
            R::ProducerIds(record) => {
                self.image.next_producer_id = record.next_producer_id;
                Ok(())
            }
            R::NoOp(_) => Ok(()),
            R::ZkMigrationState(record) => match record.zk_migration_state {
                // 0 none, 4 finished.
                0 | 4 => Ok(()),
                state => Err(ReplayError::ZkMigration(state)),
            },
            R::BeginTransaction(_) | R::EndTransaction(_) | R::AbortTransaction(_) => {
                Err(ReplayError::Transaction("marker reached the image"))
            }
            other => {
                let kept = Arc::make_mut(&mut self.image.opaque).replay(other);
                assert!(kept, "every kind of record is replayed or kept");
                Ok(())
            }
        }
    }

    fn replay_broker(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        use MetadataRecord as R;
        match record {
            R::RegisterBroker(record) => self.put_broker(BrokerRegistration::from(record)),
            R::UnregisterBroker(record) => {
                self.brokers_changed = true;
                Arc::make_mut(&mut self.image.brokers).remove(&BrokerId(record.broker_id));
            }
            R::BrokerRegistrationChange(record) => {
                let changed = self.broker(record.broker_id)?.changed_by(record);
                self.put_broker(changed);
            }
            R::FenceBroker(record) => self.set_fenced(record.id, true)?,
            R::UnfenceBroker(record) => self.set_fenced(record.id, false)?,
            _ => {}
        }
        Ok(())
    }

    fn replay_topic(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        use MetadataRecord as R;
        match record {
            R::Topic(record) => {
                let name: Arc<str> = record.name.as_str().into();
                let topic = TopicImage { name, id: record.topic_id, partitions: BTreeMap::new() };
                Arc::make_mut(&mut self.image.topics).insert(topic);
                self.topics.insert(record.topic_id, TopicChange::Changed(BTreeSet::new()));
                Ok(())
            }
            R::Partition(record) => {
                let registration = PartitionRegistration::from(record);
                self.put_partition(record.topic_id, record.partition_id, registration)
            }
            R::PartitionChange(record) => {
                let (topic, index) = (record.topic_id, record.partition_id);
                let known = self.image.topics.by_id(topic);
                let known = known.ok_or(ReplayError::UnknownTopic(topic))?;
                let partition = known.partitions.get(&index);
                let partition = partition.ok_or(ReplayError::UnknownPartition(topic, index))?;
                let changed = partition.changed_by(record);
                self.put_partition(topic, index, changed)
            }
            R::RemoveTopic(record) => self.remove_topic(record.topic_id),
            _ => Ok(()),
        }
    }

    fn replay_config(&mut self, record: &ConfigRecord) -> Result<(), ReplayError> {
        let unknown = || ReplayError::UnknownResource(record.resource_type, record.name.clone());
        let kind = ResourceType::from_wire(record.resource_type).ok_or_else(unknown)?;
        let resource = ConfigResource { kind, name: record.resource_name.as_str().into() };
        Arc::make_mut(&mut self.image.configs).replay(&resource, record);
        self.configs.insert(resource);
        Ok(())
    }

    fn broker(&self, id: i32) -> Result<&BrokerRegistration, ReplayError> {
        let broker = self.image.brokers.get(&BrokerId(id));
        broker.map(Arc::as_ref).ok_or(ReplayError::UnknownBroker(id))
    }

    fn put_broker(&mut self, registration: BrokerRegistration) {
        self.brokers_changed = true;
        let brokers = Arc::make_mut(&mut self.image.brokers);
        brokers.insert(registration.id, Arc::new(registration));
    }

    fn set_fenced(&mut self, id: i32, fenced: bool) -> Result<(), ReplayError> {
        let changed = BrokerRegistration { fenced, ..self.broker(id)?.clone() };
        self.put_broker(changed);
        Ok(())
    }

    fn put_partition(
        &mut self,
        topic_id: TopicId,
        index: i32,
        registration: PartitionRegistration,
    ) -> Result<(), ReplayError> {
        let topics = Arc::make_mut(&mut self.image.topics);
        let topic = topics.by_id_mut(topic_id).ok_or(ReplayError::UnknownTopic(topic_id))?;
        topic.partitions.insert(index, Arc::new(registration));
        let change = self.topics.entry(topic_id);
        match change.or_insert_with(|| TopicChange::Changed(BTreeSet::new())) {
            TopicChange::Changed(indexes) => {
                indexes.insert(index);
                Ok(())
            }
            TopicChange::Removed(_) => Err(ReplayError::UnknownTopic(topic_id)),
        }
    }

    fn remove_topic(&mut self, topic_id: TopicId) -> Result<(), ReplayError> {
        let removed = Arc::make_mut(&mut self.image.topics).remove(topic_id);
        let removed = removed.ok_or(ReplayError::UnknownTopic(topic_id))?;
        let resource = ConfigResource::topic(&removed.name);
        Arc::make_mut(&mut self.image.configs).remove_resource(&resource);
        self.configs.insert(resource);
        self.topics.insert(topic_id, TopicChange::Removed(removed));
        Ok(())
    }

    /// Forgets the eligible leader replicas of a topic, or of all topics when `name` is empty. That is
    /// a change like any other: the partition epoch grows.
    fn clear_elr(&mut self, name: &str) {
        let named = |topic: &&Arc<TopicImage>| name.is_empty() || &*topic.name == name;
        let has_elr = |partition: &PartitionRegistration| {
            !partition.elr.is_empty() || !partition.last_known_elr.is_empty()
        };
        let mut cleared = Vec::new();
        for topic in self.image.topics.iter().filter(named) {
            for (index, partition) in &topic.partitions {
                if has_elr(partition) {
                    let forget = PartitionChangeRecord {
                        eligible_leader_replicas: Some(Vec::new()),
                        last_known_elr: Some(Vec::new()),
                        ..PartitionChangeRecord::default()
                    };
                    cleared.push((topic.id, *index, partition.changed_by(&forget)));
                }
            }
        }
        for (topic_id, index, partition) in cleared {
            self.put_partition(topic_id, index, partition).expect("the partition was just listed");
        }
    }
}

/// What the broker must act on when it moves to a new image.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// What happened to topics, by id.
    pub topics: BTreeMap<TopicId, TopicChange>,
    /// The resources whose settings changed.
    pub configs: BTreeSet<ConfigResource>,
    /// Whether any broker changed.
    pub brokers_changed: bool,
    /// Whether any controller changed.
    pub controllers_changed: bool,
}

impl Changes {
    /// What is different in `after`, for who does not know the records between the two.
    #[must_use]
    pub fn between(before: &Image, after: &Image) -> Self {
        let mut changes = Self { brokers_changed: true, ..Self::default() };
        for topic in before.topics.iter().filter(|topic| after.topics.by_id(topic.id).is_none()) {
            changes.topics.insert(topic.id, TopicChange::Removed(Arc::clone(topic)));
        }
        for topic in after.topics.iter() {
            let known = before.topics.by_id(topic.id);
            let is_new = |index: &i32| {
                let known = known.and_then(|known| known.partitions.get(index));
                known != topic.partitions.get(index)
            };
            let changed: BTreeSet<_> = topic.partitions.keys().copied().filter(is_new).collect();
            if !changed.is_empty() {
                changes.topics.insert(topic.id, TopicChange::Changed(changed));
            }
        }
        let resources = before.configs.iter().chain(after.configs.iter());
        changes.configs = resources.map(|(resource, _)| resource.clone()).collect();
        changes
    }

    /// Adds what happened after.
    pub fn extend(&mut self, later: Self) {
        for (topic, change) in later.topics {
            match (self.topics.get_mut(&topic), change) {
                (Some(TopicChange::Changed(known)), TopicChange::Changed(more)) => {
                    known.extend(more)
                }
                (_, change) => {
                    self.topics.insert(topic, change);
                }
            }
        }
        self.configs.extend(later.configs);
        self.brokers_changed |= later.brokers_changed;
        self.controllers_changed |= later.controllers_changed;
    }
}

#[cfg(test)]
mod tests {
    use kalda_protocol::stored::metadata::{
        ClearElrRecord, ConfigRecord, PartitionRecord, RemoveTopicRecord, TopicRecord,
    };

    use super::*;

    fn topic(id: u128, name: &str) -> MetadataRecord {
        let topic_id = TopicId::from_bytes(id.to_be_bytes());
        MetadataRecord::Topic(TopicRecord { name: name.into(), topic_id })
    }

    fn partition(id: u128, partition_id: i32) -> MetadataRecord {
        MetadataRecord::Partition(PartitionRecord {
            topic_id: TopicId::from_bytes(id.to_be_bytes()),
            partition_id,
            replicas: vec![1],
            isr: vec![1],
            leader: 1,
            leader_epoch: 0,
            partition_epoch: 0,
            ..PartitionRecord::default()
        })
    }

    fn replay(records: &[MetadataRecord]) -> Delta {
        let mut delta = Delta::new(&Image::default());
        for record in records {
            delta.replay(record).unwrap();
        }
        delta
    }

    #[test]
    fn a_change_that_names_the_leader_moves_both_epochs_and_one_that_does_not_only_one() {
        let id = TopicId::from_bytes(7u128.to_be_bytes());
        let change = |leader| {
            MetadataRecord::PartitionChange(PartitionChangeRecord {
                topic_id: id,
                partition_id: 0,
                leader,
                ..PartitionChangeRecord::default()
            })
        };
        let delta = replay(&[topic(7, "t"), partition(7, 0), change(1), change(-2)]);
        let registration = &delta.image().topics.by_name("t").unwrap().partitions[&0];
        assert_eq!(registration.leader_epoch, LeaderEpoch(1));
        assert_eq!(registration.partition_epoch.0, 2);
    }

    #[test]
    fn eligible_leaders_that_are_forgotten_are_a_change_of_the_partition() {
        let with_elr = MetadataRecord::Partition(PartitionRecord {
            topic_id: TopicId::from_bytes(7u128.to_be_bytes()),
            partition_id: 1,
            replicas: vec![1, 2],
            isr: vec![1],
            leader: 1,
            leader_epoch: 4,
            partition_epoch: 9,
            eligible_leader_replicas: Some(vec![2]),
            ..PartitionRecord::default()
        });
        let clear = MetadataRecord::ClearElr(ClearElrRecord { topic_name: "t".into() });
        let delta = replay(&[topic(7, "t"), partition(7, 0), with_elr, clear]);
        let partitions = &delta.image().topics.by_name("t").unwrap().partitions;
        assert!(partitions[&1].elr.is_empty());
        assert_eq!((partitions[&1].leader_epoch.0, partitions[&1].partition_epoch.0), (4, 10));
        assert_eq!(partitions[&0].partition_epoch.0, 0);
    }

    #[test]
    fn a_removed_topic_takes_its_settings_along() {
        let config = MetadataRecord::Config(ConfigRecord {
            resource_type: 2,
            resource_name: "t".into(),
            name: "retention.ms".into(),
            value: Some("1".into()),
        });
        let topic_id = TopicId::from_bytes(7u128.to_be_bytes());
        let remove = MetadataRecord::RemoveTopic(RemoveTopicRecord { topic_id });
        let delta = replay(&[topic(7, "t"), partition(7, 0), config, remove]);
        assert!(delta.image().topics.is_empty());
        assert_eq!(delta.image().configs.iter().count(), 0);
        assert!(matches!(delta.topics[&topic_id], TopicChange::Removed(_)));
    }

    #[test]
    fn the_records_of_an_image_make_it_again() {
        let one = replay(&[topic(7, "t"), partition(7, 0), partition(7, 1), topic(8, "u")]);
        let again = replay(&one.image().to_records());
        assert_eq!(one.image(), again.image());
    }

    #[test]
    fn a_partition_without_its_topic_is_refused() {
        let mut delta = Delta::new(&Image::default());
        assert!(matches!(delta.replay(&partition(9, 0)), Err(ReplayError::UnknownTopic(_))));
    }
}
