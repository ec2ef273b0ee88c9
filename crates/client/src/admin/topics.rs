//! Topics: create, delete, list, describe, more partitions.

use std::collections::BTreeMap;

use kalda_model::Uuid;
use kalda_protocol::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use kalda_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use kalda_protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use kalda_protocol::messages::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponseTopic, TopicRequest,
};
use kalda_protocol::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponseTopic,
};
use kalda_protocol::{ApiKey, ErrorCode};

use super::Admin;
use crate::cluster::{AutoCreate, Node};
use crate::{Error, Result};

/// A topic to be created.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; `None` is the cluster's default.
    pub partitions: Option<i32>,
    /// How many replicas each; `None` is the cluster's default.
    pub replication_factor: Option<i16>,
    /// The replicas of each partition, by hand; then the two numbers must be absent.
    pub assignments: Vec<Vec<i32>>,
    /// Its configs.
    pub configs: BTreeMap<String, String>,
}

/// A topic as a list shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicListing {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: Uuid,
    /// Whether brokers keep their own state in it.
    pub is_internal: bool,
}

/// By what a topic is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TopicRef {
    /// Its name.
    Name(String),
    /// Its id.
    Id(Uuid),
}

/// A topic in detail.
#[derive(Clone, PartialEq, Debug)]
pub struct TopicDescription {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: Uuid,
    /// Whether brokers keep their own state in it.
    pub is_internal: bool,
    /// Its partitions by index.
    pub partitions: Vec<PartitionDescription>,
}

/// A partition in detail.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PartitionDescription {
    /// Its index.
    pub index: i32,
    /// The leader, if there is one.
    pub leader: Option<i32>,
    /// The brokers that have it, preferred leader first.
    pub replicas: Vec<i32>,
    /// Those in sync.
    pub isr: Vec<i32>,
    /// The eligible leader replicas (KIP-966); `None` where the broker does not tell.
    pub elr: Option<Vec<i32>>,
    /// The last members of the ELR that went down uncleanly.
    pub last_known_elr: Option<Vec<i32>>,
}

impl Admin {
    /// Creates a topic, or only asks whether it could be.
    ///
    /// # Errors
    /// As the broker says.
    pub async fn create_topic(&self, topic: &NewTopic, validate_only: bool) -> Result<()> {
        let assignments = (0..).zip(&topic.assignments).map(|(partition_index, brokers)| {
            CreatableReplicaAssignment { partition_index, broker_ids: brokers.clone() }
        });
        let configs = topic.configs.iter().map(|(name, value)| CreatableTopicConfig {
            name: name.clone(),
            value: Some(value.clone()),
        });
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: topic.name.clone(),
                num_partitions: topic.partitions.unwrap_or(-1),
                replication_factor: topic.replication_factor.unwrap_or(-1),
                assignments: assignments.collect(),
                configs: configs.collect(),
            }],
            timeout_ms: self.server_timeout_ms(),
            validate_only,
        };
        self.with_retries("createTopics", async || {
            let response = self.cluster.controller().await?.call(&request).await?;
            let result = response.topics.into_iter().next().ok_or_else(incomplete)?;
            Error::check(result.error_code, result.error_message)
        })
        .await
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// As the broker says.
    pub async fn delete_topic(&self, name: &str) -> Result<()> {
        self.with_retries("deleteTopics", async || {
            let connection = self.cluster.controller().await?;
            let version = connection.version::<DeleteTopicsRequest>(i16::MAX)?;
            let mut request =
                DeleteTopicsRequest { timeout_ms: self.server_timeout_ms(), ..Default::default() };
            if version >= 6 {
                let state = DeleteTopicState { name: Some(name.to_owned()), topic_id: Uuid::ZERO };
                request.topics.push(state);
            } else {
                request.topic_names.push(name.to_owned());
            }
            let response = connection.start(&request, version)?.answer(&connection).await?;
            let result = response.responses.into_iter().next().ok_or_else(incomplete)?;
            Error::check(result.error_code, result.error_message)
        })
        .await
    }

    /// Gives a topic more partitions; `assignments` are the replicas of the new ones, or empty.
    ///
    /// # Errors
    /// As the broker says.
    pub async fn create_partitions(
        &self,
        name: &str,
        count: i32,
        assignments: &[Vec<i32>],
    ) -> Result<()> {
        let assignment =
            |brokers: &Vec<i32>| CreatePartitionsAssignment { broker_ids: brokers.clone() };
        let by_hand =
            (!assignments.is_empty()).then(|| assignments.iter().map(assignment).collect());
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: name.to_owned(),
                count,
                assignments: by_hand,
            }],
            timeout_ms: self.server_timeout_ms(),
            validate_only: false,
        };
        self.with_retries("createPartitions", async || {
            let response = self.cluster.controller().await?.call(&request).await?;
            let result = response.results.into_iter().next().ok_or_else(incomplete)?;
            Error::check(result.error_code, result.error_message)
        })
        .await
    }

    /// All topics, internal ones included, in the broker's order.
    ///
    /// # Errors
    /// No broker answers in time.
    pub async fn list_topics(&self) -> Result<Vec<TopicListing>> {
        self.with_retries("listTopics", async || {
            let response = self.cluster.refresh(None, AutoCreate::Forbidden).await?;
            let listing = |topic: MetadataResponseTopic| {
                let (id, is_internal) = (topic.topic_id, topic.is_internal);
                topic.name.map(|name| TopicListing { name, id, is_internal })
            };
            Ok(response.topics.into_iter().filter_map(listing).collect())
        })
        .await
    }

    /// How many partitions each of these topics has; those that are gone are left out.
    ///
    /// # Errors
    /// No broker answers in time.
    pub async fn partition_counts(&self, topics: &[String]) -> Result<BTreeMap<String, i32>> {
        self.with_retries("describeTopics", async || {
            self.cluster.refresh(Some(topics.to_vec()), AutoCreate::Forbidden).await?;
            Ok(self.cluster.with_metadata(|metadata| {
                let count = |name: &String| {
                    let topic = metadata.topic(name)?;
                    Some((name.clone(), topic.partition_count()))
                };
                topics.iter().filter_map(count).collect()
            }))
        })
        .await
    }

    /// One topic in detail. `partition_limit` bounds how much the broker puts in one answer.
    ///
    /// # Errors
    /// The topic is not there, or no broker answers in time.
    pub async fn describe_topic(
        &self,
        topic: &TopicRef,
        partition_limit: i32,
    ) -> Result<TopicDescription> {
        self.with_retries("describeTopics", async || {
            let connection = self.cluster.any().await?;
            let tells_elr =
                connection.versions().pick(ApiKey::DescribeTopicPartitions, i16::MAX).is_some();
            match topic {
                TopicRef::Name(name) if tells_elr => {
                    self.describe_in_portions(name, partition_limit).await
                }
                _ => self.describe_by_metadata(topic).await,
            }
        })
        .await
        .map_err(|error| match topic {
            TopicRef::Name(name) => name_the_topic(error, name),
            TopicRef::Id(_) => error,
        })
    }

    async fn describe_in_portions(&self, name: &str, limit: i32) -> Result<TopicDescription> {
        let connection = self.cluster.any().await?;
        let mut request = DescribeTopicPartitionsRequest {
            topics: vec![TopicRequest { name: name.to_owned() }],
            response_partition_limit: limit,
            cursor: None,
        };
        let mut described: Option<TopicDescription> = None;
        loop {
            let response = connection.call(&request).await?;
            let topic = response.topics.into_iter().next().ok_or_else(incomplete)?;
            final_check(topic.error_code)?;
            let mut portion = from_portion(topic);
            match &mut described {
                None => described = Some(portion),
                Some(described) => described.partitions.append(&mut portion.partitions),
            }
            let got_more = response.next_cursor != request.cursor;
            request.cursor = response.next_cursor;
            if request.cursor.is_none() || !got_more {
                return described.ok_or_else(incomplete);
            }
        }
    }

    async fn describe_by_metadata(&self, topic: &TopicRef) -> Result<TopicDescription> {
        let connection = self.cluster.any().await?;
        let version = connection.version::<MetadataRequest>(i16::MAX)?;
        let asked = match topic {
            TopicRef::Name(name) => {
                MetadataRequestTopic { name: Some(name.clone()), ..Default::default() }
            }
            TopicRef::Id(topic_id) => MetadataRequestTopic { topic_id: *topic_id, name: None },
        };
        let request = MetadataRequest {
            topics: Some(vec![asked]),
            allow_auto_topic_creation: version < 4,
            ..Default::default()
        };
        let response = connection.start(&request, version)?.answer(&connection).await?;
        let topic = response.topics.into_iter().next().ok_or_else(incomplete)?;
        final_check(topic.error_code)?;
        from_metadata(topic)
    }

    /// All topics in detail but for their eligible leader replicas, internal ones included.
    ///
    /// # Errors
    /// No broker answers in time.
    pub async fn describe_all_topics(&self) -> Result<Vec<TopicDescription>> {
        self.with_retries("describeTopics", async || {
            let response = self.cluster.refresh(None, AutoCreate::Forbidden).await?;
            // A topic that is being deleted has an error and no partitions.
            let whole = response.topics.into_iter().filter(|topic| topic.name.is_some());
            let is_there =
                |topic: &MetadataResponseTopic| Error::from_code(topic.error_code, None).is_none();
            whole.filter(is_there).map(from_metadata).collect()
        })
        .await
    }

    /// The brokers, as they advertise themselves.
    ///
    /// # Errors
    /// No broker answers in time.
    pub async fn nodes(&self) -> Result<Vec<Node>> {
        self.with_retries("describeCluster", async || {
            self.cluster.refresh(Some(Vec::new()), AutoCreate::Forbidden).await?;
            Ok(self.cluster.with_metadata(|metadata| metadata.nodes.values().cloned().collect()))
        })
        .await
    }
}

/// A topic that is not there will not come by asking again: Kafka calls the code retriable for
/// those who wait for a topic, and a description does not.
fn final_check(code: i16) -> Result<()> {
    match Error::from_code(code, None) {
        Some(Error::Api {
            code: code @ (ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId),
            message,
        }) => Err(Error::InvalidArgument(format!("{}: {message}", code.name()))),
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn name_the_topic(error: Error, name: &str) -> Error {
    match error {
        Error::InvalidArgument(_) => {
            Error::InvalidArgument(format!("Topic '{name}' does not exist as expected"))
        }
        other => other,
    }
}

fn from_portion(topic: DescribeTopicPartitionsResponseTopic) -> TopicDescription {
    let partitions = topic.partitions.into_iter().map(|partition| PartitionDescription {
        index: partition.partition_index,
        leader: Some(partition.leader_id).filter(|leader| *leader >= 0),
        replicas: partition.replica_nodes,
        isr: partition.isr_nodes,
        elr: partition.eligible_leader_replicas,
        last_known_elr: partition.last_known_elr,
    });
    TopicDescription {
        name: topic.name.unwrap_or_default(),
        id: topic.topic_id,
        is_internal: topic.is_internal,
        partitions: partitions.collect(),
    }
}

fn from_metadata(topic: MetadataResponseTopic) -> Result<TopicDescription> {
    let mut partitions: Vec<PartitionDescription> = topic
        .partitions
        .into_iter()
        .map(|partition| PartitionDescription {
            index: partition.partition_index,
            leader: Some(partition.leader_id).filter(|leader| *leader >= 0),
            replicas: partition.replica_nodes,
            isr: partition.isr_nodes,
            elr: None,
            last_known_elr: None,
        })
        .collect();
    partitions.sort_by_key(|partition| partition.index);
    Ok(TopicDescription {
        name: topic.name.ok_or_else(incomplete)?,
        id: topic.topic_id,
        is_internal: topic.is_internal,
        partitions,
    })
}

pub(super) fn incomplete() -> Error {
    Error::Protocol("the broker's answer lacks what was asked for".to_owned())
}
