//! One Fetch request to one leader, and its answer by partition.
//!
//! Made and judged by the consumer. Fetch sessions are not used: a tool reads few partitions, and
//! a full request costs the broker less than a session that it has to remember.

use std::collections::BTreeMap;

use bytes::Bytes;
use kalda_model::{BrokerId, LeaderEpoch, TopicPartition, Uuid};
use kalda_protocol::messages::fetch::{
    AbortedTransaction, FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData,
};

use crate::cluster::Cluster;
use crate::config::{ConsumerConfig, IsolationLevel};
use crate::metadata::Leader;
use crate::{Error, Result};

/// What came for one partition.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) high_watermark: i64,
    pub(super) aborted: Vec<AbortedTransaction>,
    pub(super) records: Bytes,
}

/// What came, by partition.
pub(super) type Answers = Vec<(TopicPartition, Result<Answer>)>;

/// What is asked of one node.
#[derive(Clone, Debug, Default)]
pub(super) struct Fetch {
    partitions: BTreeMap<TopicPartition, (i64, i32)>,
}

impl Fetch {
    pub(super) fn add(&mut self, partition: &TopicPartition, offset: i64, epoch: LeaderEpoch) {
        self.partitions.insert(partition.clone(), (offset, epoch.0));
    }

    /// The offset that was asked for.
    pub(super) fn offset(&self, partition: &TopicPartition) -> Option<i64> {
        self.partitions.get(partition).map(|(offset, _)| *offset)
    }

    /// The epoch of the leader that was asked.
    pub(super) fn epoch(&self, partition: &TopicPartition) -> LeaderEpoch {
        self.partitions
            .get(partition)
            .map_or(LeaderEpoch::UNKNOWN, |(_, epoch)| LeaderEpoch(*epoch))
    }

    /// Asks and waits.
    pub(super) async fn send(
        &self,
        cluster: &Cluster,
        config: &ConsumerConfig,
        node: BrokerId,
    ) -> Result<Answers> {
        let connection = cluster.node(node).await?;
        let request = self.request(cluster, config);
        // Topics go by id from version 13 on, and not every topic need have one.
        let has_ids = request.topics.iter().all(|topic| !topic.topic_id.is_zero());
        let cap = if has_ids { i16::MAX } else { 12 };
        let version = connection.version::<FetchRequest>(cap)?;
        let response = connection.start(&request, version)?.answer(&connection).await?;
        Error::check(response.error_code, None)?;
        Ok(answers(cluster, response))
    }

    fn request(&self, cluster: &Cluster, config: &ConsumerConfig) -> FetchRequest {
        let mut topics: BTreeMap<&str, Vec<FetchPartition>> = BTreeMap::new();
        for (partition, (offset, epoch)) in &self.partitions {
            topics.entry(&partition.topic).or_default().push(FetchPartition {
                partition: partition.partition,
                current_leader_epoch: *epoch,
                fetch_offset: *offset,
                partition_max_bytes: config.max_partition_fetch_bytes,
                ..Default::default()
            });
        }
        let topic_id = |name: &str| {
            cluster.with_metadata(|metadata| metadata.topic(name).map(|topic| topic.id))
        };
        FetchRequest {
            max_wait_ms: config.fetch_max_wait_ms,
            min_bytes: config.fetch_min_bytes,
            max_bytes: config.fetch_max_bytes,
            isolation_level: i8::from(config.isolation_level == IsolationLevel::ReadCommitted),
            topics: topics
                .into_iter()
                .map(|(name, partitions)| FetchTopic {
                    topic: name.to_owned(),
                    topic_id: topic_id(name).unwrap_or(Uuid::ZERO),
                    partitions,
                })
                .collect(),
            rack_id: config.client_rack.clone(),
            ..Default::default()
        }
    }
}

fn answers(cluster: &Cluster, response: FetchResponse) -> Answers {
    let mut answers = Answers::new();
    for topic in response.responses {
        let name = if topic.topic_id.is_zero() {
            Some(topic.topic)
        } else {
            cluster.with_metadata(|metadata| metadata.topic_name(topic.topic_id).map(str::to_owned))
        };
        let Some(name) = name else { continue };
        for data in topic.partitions {
            let partition = TopicPartition::new(name.as_str(), data.partition_index);
            let answer = on_partition(cluster, &partition, data);
            answers.push((partition, answer));
        }
    }
    answers
}

fn on_partition(
    cluster: &Cluster,
    partition: &TopicPartition,
    data: PartitionData,
) -> Result<Answer> {
    if data.current_leader.leader_id >= 0 {
        let told = Leader {
            id: BrokerId(data.current_leader.leader_id),
            epoch: LeaderEpoch(data.current_leader.leader_epoch),
        };
        cluster.with_metadata(|metadata| {
            metadata.update_leader(&partition.topic, partition.partition, told);
        });
    }
    Error::check(data.error_code, None)?;
    Ok(Answer {
        high_watermark: data.high_watermark,
        aborted: data.aborted_transactions.unwrap_or_default(),
        records: data.records.unwrap_or_default(),
    })
}
