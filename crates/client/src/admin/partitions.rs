//! Partitions: their offsets, their producers, and cutting off their beginning.

use std::collections::BTreeMap;

use kalda_model::{Offset, TopicPartition};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};

use super::Admin;
use super::topics::incomplete;
use crate::cluster::AutoCreate;
use crate::config::IsolationLevel;
use crate::offsets::{self, Listed, ListedOffset, OffsetSpec};
use crate::{Error, Result};

/// An idempotent or transactional producer, as a partition's leader remembers it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerState {
    /// Its id.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i32,
    /// The last sequence that was appended.
    pub last_sequence: i32,
    /// When that was.
    pub last_timestamp: i64,
    /// The epoch of the coordinator that wrote its last marker, or -1.
    pub coordinator_epoch: i32,
    /// Where its open transaction begins, or -1.
    pub current_txn_start_offset: i64,
}

impl Admin {
    /// The offsets asked for, by partition. An error of one partition does not spoil the others.
    ///
    /// # Errors
    /// No broker answers in time.
    pub async fn list_offsets(
        &self,
        wanted: &BTreeMap<TopicPartition, OffsetSpec>,
    ) -> Result<BTreeMap<TopicPartition, Result<ListedOffset>>> {
        let topics: std::collections::BTreeSet<String> =
            wanted.keys().map(|partition| partition.topic.to_string()).collect();
        let topics: Vec<String> = topics.into_iter().collect();
        self.with_retries("listOffsets", async || {
            self.cluster.refresh(Some(topics.clone()), AutoCreate::Forbidden).await?;
            let listed: Listed =
                offsets::list(&self.cluster, wanted, IsolationLevel::ReadUncommitted).await;
            // A leader that moves is worth asking again; a topic that is not there is not.
            let moved = listed.values().find_map(|outcome| match outcome {
                Err(error) if error.is_retriable() && !is_absent(error) => Some(error.clone()),
                _ => None,
            });
            moved.map_or(Ok(listed), Err)
        })
        .await
    }

    /// Deletes the records before an offset (-1: all up to the high watermark), and tells the new
    /// start.
    ///
    /// # Errors
    /// As the broker says.
    pub async fn delete_records(&self, partition: &TopicPartition, before: i64) -> Result<Offset> {
        let request = DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic {
                name: partition.topic.to_string(),
                partitions: vec![DeleteRecordsPartition {
                    partition_index: partition.partition,
                    offset: before,
                }],
            }],
            timeout_ms: self.server_timeout_ms(),
        };
        self.with_retries("deleteRecords", async || {
            let connection = self.leader_of(partition).await?;
            let response = connection.call(&request).await?;
            let topic = response.topics.into_iter().next().ok_or_else(incomplete)?;
            let result = topic.partitions.into_iter().next().ok_or_else(incomplete)?;
            Error::check(result.error_code, None)?;
            Ok(Offset(result.low_watermark))
        })
        .await
    }

    pub(super) async fn leader_of(
        &self,
        partition: &TopicPartition,
    ) -> Result<std::sync::Arc<crate::connection::Connection>> {
        let topics = Some(vec![partition.topic.to_string()]);
        self.cluster.refresh(topics, AutoCreate::Forbidden).await?;
        let leader = self.cluster.leader(partition).ok_or_else(|| {
            let exists =
                self.cluster.with_metadata(|metadata| metadata.topic(&partition.topic).is_some());
            // Asking again helps where a leader is being elected, not where nothing is.
            if exists { Error::from(ErrorCode::LeaderNotAvailable) } else { absent(partition) }
        })?;
        self.cluster.node(leader.id).await
    }
}

fn absent(partition: &TopicPartition) -> Error {
    Error::InvalidArgument(format!("Topic '{}' does not exist as expected", partition.topic))
}

fn is_absent(error: &Error) -> bool {
    matches!(error.code(), Some(ErrorCode::UnknownTopicOrPartition | ErrorCode::LeaderNotAvailable))
}
