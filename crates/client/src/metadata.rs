//! What the client knows of the cluster: brokers, leaders and their epochs, topic ids.
//!
//! Filled by the cluster from Metadata answers, read by producer, consumer and admin. Pure: it never
//! asks for anything. Of two reports about one leader the one with the higher epoch holds (KIP-320).

use std::collections::BTreeMap;

use kalda_model::{BrokerId, LeaderEpoch, Uuid};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::metadata::{MetadataResponse, MetadataResponseTopic};

use crate::bootstrap::HostPort;
use crate::cluster::Node;

/// The state of one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Leader {
    /// The leader, or [`BrokerId::NONE`].
    pub(crate) id: BrokerId,
    /// Its epoch, or unknown from old brokers.
    pub(crate) epoch: LeaderEpoch,
}

/// What is known of one topic.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct TopicMetadata {
    /// Its id; zero from brokers that have none.
    pub(crate) id: Uuid,
    /// Its leaders by partition.
    pub(crate) leaders: BTreeMap<i32, Leader>,
}

impl TopicMetadata {
    /// How many partitions it has.
    pub(crate) fn partition_count(&self) -> i32 {
        i32::try_from(self.leaders.len()).unwrap_or(i32::MAX)
    }
}

/// The cache.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata {
    pub(crate) nodes: BTreeMap<i32, Node>,
    pub(crate) cluster_id: Option<String>,
    pub(crate) controller_id: Option<i32>,
    topics: BTreeMap<String, TopicMetadata>,
    /// Why a topic asked for is not there.
    errors: BTreeMap<String, ErrorCode>,
}

impl Metadata {
    /// Takes over an answer. Topics that it does not mention stay as they were.
    pub(crate) fn update(&mut self, response: MetadataResponse) {
        self.nodes = response
            .brokers
            .into_iter()
            .map(|broker| {
                let port = u16::try_from(broker.port).unwrap_or(0);
                let address = HostPort { host: broker.host, port };
                (broker.node_id, Node { id: BrokerId(broker.node_id), address, rack: broker.rack })
            })
            .collect();
        self.cluster_id = response.cluster_id;
        self.controller_id = Some(response.controller_id).filter(|id| *id >= 0);
        for topic in response.topics {
            self.update_topic(topic);
        }
    }

    fn update_topic(&mut self, topic: MetadataResponseTopic) {
        let Some(name) = topic.name else { return };
        let code = ErrorCode::from_code(topic.error_code).unwrap_or(ErrorCode::UnknownServerError);
        if code.is_error() {
            self.topics.remove(&name);
            self.errors.insert(name, code);
            return;
        }
        self.errors.remove(&name);
        // Epochs are only comparable within one life of the topic.
        let before = self.topics.get(&name).filter(|known| known.id == topic.topic_id);
        let leaders = topic.partitions.iter().map(|partition| {
            let told = Leader {
                id: BrokerId(partition.leader_id),
                epoch: LeaderEpoch(partition.leader_epoch),
            };
            let known = before.and_then(|known| known.leaders.get(&partition.partition_index));
            let newest = known.filter(|known| known.epoch > told.epoch).copied().unwrap_or(told);
            (partition.partition_index, newest)
        });
        let leaders = leaders.collect();
        self.topics.insert(name, TopicMetadata { id: topic.topic_id, leaders });
    }

    /// Takes over what a Produce or Fetch answer says of a leader (KIP-951), if it is newer.
    pub(crate) fn update_leader(&mut self, topic: &str, partition: i32, told: Leader) {
        let topic = self.topics.get_mut(topic);
        if let Some(known) = topic.and_then(|topic| topic.leaders.get_mut(&partition))
            && told.epoch > known.epoch
        {
            *known = told;
        }
    }

    /// What is known of a topic.
    pub(crate) fn topic(&self, name: &str) -> Option<&TopicMetadata> {
        self.topics.get(name)
    }

    /// The name that an id stands for.
    pub(crate) fn topic_name(&self, id: Uuid) -> Option<&str> {
        self.topics.iter().find(|(_, topic)| topic.id == id).map(|(name, _)| name.as_str())
    }

    /// Why a topic is not there, after it was asked for.
    pub(crate) fn topic_error(&self, name: &str) -> Option<ErrorCode> {
        self.errors.get(name).copied()
    }

    /// The leader of a partition, if there is one that can be reached: a leader that the brokers no
    /// longer name, or do not name yet, has no address, and asking for it again is all that helps.
    pub(crate) fn leader(&self, topic: &str, partition: i32) -> Option<Leader> {
        let leader = self.topics.get(topic)?.leaders.get(&partition).copied()?;
        self.nodes.contains_key(&leader.id.0).then_some(leader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kalda_protocol::messages::metadata::{MetadataResponseBroker, MetadataResponsePartition};

    fn answer(id: u128, leader_id: i32, leader_epoch: i32) -> MetadataResponse {
        let partition = MetadataResponsePartition { leader_id, leader_epoch, ..Default::default() };
        let topic = MetadataResponseTopic {
            name: Some("t".into()),
            topic_id: Uuid(id),
            partitions: vec![partition],
            ..Default::default()
        };
        let broker = |node_id| MetadataResponseBroker { node_id, ..Default::default() };
        let brokers = (5..8).map(broker).collect();
        MetadataResponse { brokers, topics: vec![topic], ..Default::default() }
    }

    /// Found by a seed: the producer took such a leader for one to connect to, failed at once, and
    /// tried again without a pause.
    #[test]
    fn a_leader_that_is_no_broker_any_more_is_none() {
        let mut metadata = Metadata::default();
        metadata.update(answer(1, 5, 3));
        let mut without = answer(1, 6, 2);
        without.brokers.retain(|broker| broker.node_id != 5);
        metadata.update(without);
        assert_eq!(metadata.leader("t", 0), None);
        metadata.update(answer(1, 6, 4));
        assert_eq!(metadata.leader("t", 0).unwrap().id, BrokerId(6));
    }

    #[test]
    fn an_older_epoch_does_not_win_but_a_new_topic_does() {
        let mut metadata = Metadata::default();
        metadata.update(answer(1, 5, 3));
        metadata.update(answer(1, 6, 2));
        assert_eq!(metadata.leader("t", 0).unwrap().id, BrokerId(5));
        metadata.update(answer(2, 7, 0));
        assert_eq!(metadata.leader("t", 0).unwrap().id, BrokerId(7));
        assert_eq!(metadata.topic_name(Uuid(2)), Some("t"));
    }

    #[test]
    fn a_topic_with_an_error_is_gone_and_says_why() {
        let mut metadata = Metadata::default();
        metadata.update(answer(1, 5, 3));
        let mut gone = answer(1, 5, 3);
        gone.topics[0].error_code = ErrorCode::UnknownTopicOrPartition.code();
        metadata.update(gone);
        assert!(metadata.topic("t").is_none());
        assert_eq!(metadata.topic_error("t"), Some(ErrorCode::UnknownTopicOrPartition));
    }

    #[test]
    fn a_partition_without_a_leader_has_none() {
        let mut metadata = Metadata::default();
        metadata.update(answer(1, -1, 3));
        assert_eq!(metadata.leader("t", 0), None);
        assert_eq!(metadata.topic("t").unwrap().partition_count(), 1);
    }
}
