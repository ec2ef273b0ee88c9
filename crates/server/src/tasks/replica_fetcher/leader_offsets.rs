//! Where a leader's logs start and end, asked when it does not have what was fetched (ListOffsets).

use std::collections::BTreeMap;

use kalda_model::Offset;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use kalda_replication::{FetchPosition, OutOfRange};

use super::{Key, error_of};
use crate::broker::Broker;
use crate::hosted::HostedPartition;
use crate::peer::Link;

/// Stands for the end of a log (`ListOffsetsRequest.LATEST_TIMESTAMP`).
const LATEST: i64 = -1;
/// Stands for its start (`ListOffsetsRequest.EARLIEST_TIMESTAMP`).
const EARLIEST: i64 = -2;

type Found = BTreeMap<Key, Result<Offset, ErrorCode>>;

/// Asks about `partitions`. One that the leader says nothing of is not in the answer.
pub(super) async fn ask(
    broker: &Broker,
    link: &Link,
    partitions: &[(&HostedPartition, FetchPosition)],
) -> BTreeMap<Key, Result<OutOfRange, ErrorCode>> {
    let starts = list(broker, link, partitions, EARLIEST).await;
    let ends = list(broker, link, partitions, LATEST).await;
    let both = starts.into_iter().filter_map(|(key, start)| {
        let end = *ends.get(&key)?;
        let found = start
            .and_then(|leader_start| end.map(|leader_end| OutOfRange { leader_start, leader_end }));
        Some((key, found))
    });
    both.collect()
}

async fn list(
    broker: &Broker,
    link: &Link,
    partitions: &[(&HostedPartition, FetchPosition)],
    timestamp: i64,
) -> Found {
    let topics = partitions.iter().map(|(partition, position)| ListOffsetsTopic {
        name: partition.topic.to_string(),
        partitions: vec![ListOffsetsPartition {
            partition_index: partition.index,
            current_leader_epoch: position.leader_epoch.0,
            timestamp,
        }],
    });
    let request = ListOffsetsRequest {
        replica_id: broker.node.0,
        topics: topics.collect(),
        ..ListOffsetsRequest::default()
    };
    let response = match link.call(&request).await {
        Ok(response) => response,
        Err(error) => {
            tracing::warn!("the leader did not say what its logs have: {error}");
            return Found::new();
        }
    };
    let mut found = Found::new();
    for topic in &response.topics {
        for answer in &topic.partitions {
            let asked = partitions.iter().find(|(partition, _)| {
                *partition.topic == *topic.name && partition.index == answer.partition_index
            });
            let Some((partition, _)) = asked else { continue };
            let offset = match error_of(answer.error_code) {
                ErrorCode::None => Ok(Offset(answer.offset)),
                error => Err(error),
            };
            found.insert((partition.topic_id, partition.index), offset);
        }
    }
    found
}
