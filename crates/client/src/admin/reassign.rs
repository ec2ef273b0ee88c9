//! Moving partitions: from broker to broker (KIP-455), and between the directories of a broker
//! (KIP-113).

use std::collections::BTreeMap;

use kalda_model::{BrokerId, TopicPartition};
use kalda_protocol::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use kalda_protocol::messages::alter_replica_log_dirs::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
};
use kalda_protocol::messages::list_partition_reassignments::ListPartitionReassignmentsRequest;

use super::Admin;
use crate::{Error, Result};

/// What becomes of a partition that is being moved.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reassignment {
    /// The brokers that have it now, those that come and those that go included.
    pub replicas: Vec<i32>,
    /// The brokers that will have it.
    pub adding: Vec<i32>,
    /// The brokers that will have it no more.
    pub removing: Vec<i32>,
}

/// Whether a partition may get more or fewer replicas by being moved (KIP-860).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FactorChange {
    /// It may.
    Allowed,
    /// It may not; clusters before 4.1 do not know the condition.
    Forbidden,
}

impl Admin {
    /// The partitions that are being moved: the replicas that come and those that go.
    ///
    /// # Errors
    /// As the broker says; an older one does not know the question.
    pub async fn reassignments(&self) -> Result<BTreeMap<TopicPartition, Reassignment>> {
        let request = ListPartitionReassignmentsRequest { topics: None, ..Default::default() };
        self.with_retries("listPartitionReassignments", async || {
            let response = self.cluster.controller().await?.call(&request).await?;
            Error::check(response.error_code, response.error_message)?;
            let mut all = BTreeMap::new();
            for topic in response.topics {
                for moving in topic.partitions {
                    let partition =
                        TopicPartition::new(topic.name.as_str(), moving.partition_index);
                    let reassignment = Reassignment {
                        replicas: moving.replicas,
                        adding: moving.adding_replicas,
                        removing: moving.removing_replicas,
                    };
                    all.insert(partition, reassignment);
                }
            }
            Ok(all)
        })
        .await
    }

    /// Starts moving each partition to the brokers named, or ends its move with `None`, and tells
    /// how that went.
    ///
    /// # Errors
    /// As the controller says of all of them, or nobody answers in time.
    pub async fn alter_reassignments(
        &self,
        targets: &BTreeMap<TopicPartition, Option<Vec<i32>>>,
        factor: FactorChange,
    ) -> Result<BTreeMap<TopicPartition, Result<()>>> {
        let mut topics: BTreeMap<String, Vec<ReassignablePartition>> = BTreeMap::new();
        for (partition, replicas) in targets {
            let target = ReassignablePartition {
                partition_index: partition.partition,
                replicas: replicas.clone(),
            };
            topics.entry(partition.topic.to_string()).or_default().push(target);
        }
        let topics = topics.into_iter();
        let request = AlterPartitionReassignmentsRequest {
            timeout_ms: self.server_timeout_ms(),
            allow_replication_factor_change: factor == FactorChange::Allowed,
            topics: topics
                .map(|(name, partitions)| ReassignableTopic { name, partitions })
                .collect(),
        };
        self.with_retries("alterPartitionReassignments", async || {
            let response = self.cluster.controller().await?.call(&request).await?;
            Error::check(response.error_code, response.error_message)?;
            let mut outcomes = BTreeMap::new();
            for topic in response.responses {
                for result in topic.partitions {
                    let partition =
                        TopicPartition::new(topic.name.as_str(), result.partition_index);
                    let outcome = Error::check(result.error_code, result.error_message);
                    outcomes.insert(partition, outcome);
                }
            }
            Ok(outcomes)
        })
        .await
    }

    /// Asks a broker to have its replicas of these partitions in these directories, and tells how
    /// each went; moves that are needed go on after the answer.
    ///
    /// # Errors
    /// The broker does not answer in time.
    pub async fn alter_replica_log_dirs(
        &self,
        broker: BrokerId,
        targets: &BTreeMap<TopicPartition, String>,
    ) -> Result<BTreeMap<TopicPartition, Result<()>>> {
        let mut dirs: BTreeMap<String, BTreeMap<String, Vec<i32>>> = BTreeMap::new();
        for (partition, dir) in targets {
            let topics = dirs.entry(dir.clone()).or_default();
            topics.entry(partition.topic.to_string()).or_default().push(partition.partition);
        }
        let topics = |topics: BTreeMap<String, Vec<i32>>| {
            let topic = |(name, partitions)| AlterReplicaLogDirTopic { name, partitions };
            topics.into_iter().map(topic).collect()
        };
        let dirs =
            dirs.into_iter().map(|(path, of)| AlterReplicaLogDir { path, topics: topics(of) });
        let request = AlterReplicaLogDirsRequest { dirs: dirs.collect() };
        self.with_retries("alterReplicaLogDirs", async || {
            if self.cluster.with_metadata(|metadata| metadata.nodes.is_empty()) {
                self.nodes().await?;
            }
            let response = self.cluster.node(broker).await?.call(&request).await?;
            let mut outcomes = BTreeMap::new();
            for topic in response.results {
                for result in topic.partitions {
                    let partition =
                        TopicPartition::new(topic.topic_name.as_str(), result.partition_index);
                    outcomes.insert(partition, Error::check(result.error_code, None));
                }
            }
            Ok(outcomes)
        })
        .await
    }
}
