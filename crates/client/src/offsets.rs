//! ListOffsets, sent to the leaders of the partitions asked for.
//!
//! Used by the consumer to seek and by admin. One attempt; whoever calls decides what to try again.

use std::collections::BTreeMap;

use kalda_model::{LeaderEpoch, Offset, TopicPartition};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};

use crate::cluster::Cluster;
use crate::config::IsolationLevel;
use crate::metadata::Leader;
use crate::{Error, Result};

/// Which offset is asked for, as the wire says it in place of a timestamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OffsetSpec {
    /// The end: the high watermark, or the last stable offset for `read_committed`.
    Latest,
    /// The start of the log.
    Earliest,
    /// The record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// The first offset on the leader's own disk (KIP-405).
    EarliestLocal,
    /// The last offset in remote storage (KIP-1005).
    LatestTiered,
    /// The first record with that timestamp or a later one.
    Timestamp(i64),
}

impl OffsetSpec {
    fn wire(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::MaxTimestamp => -3,
            Self::EarliestLocal => -4,
            Self::LatestTiered => -5,
            Self::Timestamp(timestamp) => timestamp,
        }
    }
}

/// An offset as the leader told it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListedOffset {
    /// The offset; `None` when no record is that late.
    pub offset: Option<Offset>,
    /// The timestamp of the record found, or -1.
    pub timestamp: i64,
    /// The epoch under which the record was written, or unknown.
    pub leader_epoch: LeaderEpoch,
}

pub(crate) type Listed = BTreeMap<TopicPartition, Result<ListedOffset>>;

/// Asks every leader once.
pub(crate) async fn list(
    cluster: &Cluster,
    wanted: &BTreeMap<TopicPartition, OffsetSpec>,
    isolation: IsolationLevel,
) -> Listed {
    let mut listed = Listed::new();
    let mut by_leader: BTreeMap<_, Vec<(&TopicPartition, Leader)>> = BTreeMap::new();
    for partition in wanted.keys() {
        match cluster.leader(partition) {
            Some(leader) => by_leader.entry(leader.id).or_default().push((partition, leader)),
            None => {
                let error = Error::from(ErrorCode::LeaderNotAvailable);
                listed.insert(partition.clone(), Err(error));
            }
        }
    }
    for (node, partitions) in by_leader {
        let request = request(&partitions, wanted, isolation);
        let response = match cluster.node(node).await {
            Ok(connection) => connection.call(&request).await,
            Err(error) => Err(error),
        };
        match response {
            Err(error) => listed.extend(
                partitions.iter().map(|(partition, _)| ((*partition).clone(), Err(error.clone()))),
            ),
            Ok(response) => {
                for topic in response.topics {
                    for answer in topic.partitions {
                        let partition =
                            TopicPartition::new(topic.name.as_str(), answer.partition_index);
                        let outcome =
                            Error::check(answer.error_code, None).map(|()| ListedOffset {
                                offset: Some(Offset(answer.offset)).filter(|offset| offset.0 >= 0),
                                timestamp: answer.timestamp,
                                leader_epoch: LeaderEpoch(answer.leader_epoch),
                            });
                        listed.insert(partition, outcome);
                    }
                }
            }
        }
    }
    listed
}

fn request(
    partitions: &[(&TopicPartition, Leader)],
    wanted: &BTreeMap<TopicPartition, OffsetSpec>,
    isolation: IsolationLevel,
) -> ListOffsetsRequest {
    let mut topics: BTreeMap<&str, Vec<ListOffsetsPartition>> = BTreeMap::new();
    for (partition, leader) in partitions {
        topics.entry(&partition.topic).or_default().push(ListOffsetsPartition {
            partition_index: partition.partition,
            current_leader_epoch: leader.epoch.0,
            timestamp: wanted[*partition].wire(),
        });
    }
    let topics = topics
        .into_iter()
        .map(|(name, partitions)| ListOffsetsTopic { name: name.to_owned(), partitions })
        .collect();
    ListOffsetsRequest {
        replica_id: -1,
        // A level other than the default cannot be said in version 1; brokers that old have no
        // transactions.
        isolation_level: i8::from(isolation == IsolationLevel::ReadCommitted),
        topics,
        ..Default::default()
    }
}
