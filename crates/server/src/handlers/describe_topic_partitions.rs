//! DescribeTopicPartitions (key 75, v0, KIP-966): topics page by page, with eligible leader
//! replicas. An empty list asks for all topics.

use kalda_metadata::{Image, PartitionRegistration};
use kalda_model::BrokerId;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};

use super::metadata::is_internal;
use crate::dispatch::{Handle, RequestContext};

impl Handle for DescribeTopicPartitionsRequest {
    async fn handle(self, cx: &RequestContext) -> DescribeTopicPartitionsResponse {
        let image = cx.broker.image();
        let limit = cx.broker.config.number("max.request.partition.size.limit");
        let limit = limit.min(i64::from(self.response_partition_limit)).max(1);
        let mut names: Vec<String> = if self.topics.is_empty() {
            image.topics.iter().map(|topic| topic.name.to_string()).collect()
        } else {
            self.topics.into_iter().map(|topic| topic.name).collect()
        };
        names.sort();
        names.dedup();
        let (first_topic, mut first_partition) = match self.cursor {
            Some(cursor) => (cursor.topic_name, cursor.partition_index),
            None => (String::new(), 0),
        };
        let mut room = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut response = DescribeTopicPartitionsResponse::default();
        for name in names.into_iter().filter(|name| *name >= first_topic) {
            if room == 0 {
                response.next_cursor = Some(Cursor { topic_name: name, partition_index: 0 });
                break;
            }
            let from = if name == first_topic { std::mem::take(&mut first_partition) } else { 0 };
            let topic = describe(&image, &name, from, &mut room);
            let next = topic.partitions.last().map_or(from, |last| last.partition_index + 1);
            let known = image.topics.by_name(&name);
            let is_whole =
                known.is_none_or(|topic| topic.partitions.range(next..).next().is_none());
            response.topics.push(topic);
            if !is_whole {
                response.next_cursor = Some(Cursor { topic_name: name, partition_index: next });
                break;
            }
        }
        response
    }
}

fn describe(
    image: &Image,
    name: &str,
    from: i32,
    room: &mut usize,
) -> DescribeTopicPartitionsResponseTopic {
    let mut described = DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::UnknownTopicOrPartition.code(),
        name: Some(name.to_owned()),
        ..DescribeTopicPartitionsResponseTopic::default()
    };
    let Some(topic) = image.topics.by_name(name) else { return described };
    let shown = topic.partitions.range(from..).take(*room);
    described.partitions = shown.map(|(index, found)| partition(image, *index, found)).collect();
    *room -= described.partitions.len();
    described.error_code = ErrorCode::None.code();
    described.topic_id = topic.id;
    described.is_internal = is_internal(name);
    described
}

fn partition(
    image: &Image,
    index: i32,
    found: &PartitionRegistration,
) -> DescribeTopicPartitionsResponsePartition {
    let ids = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect::<Vec<_>>();
    let is_alive = |id: &BrokerId| image.brokers.get(id).is_some_and(|broker| !broker.fenced);
    let leads = is_alive(&found.leader);
    let error = if leads { ErrorCode::None } else { ErrorCode::LeaderNotAvailable };
    DescribeTopicPartitionsResponsePartition {
        error_code: error.code(),
        partition_index: index,
        leader_id: if leads { found.leader.0 } else { BrokerId::NONE.0 },
        leader_epoch: found.leader_epoch.0,
        replica_nodes: ids(&found.replicas),
        isr_nodes: ids(&found.isr),
        eligible_leader_replicas: Some(ids(&found.elr)),
        last_known_elr: Some(ids(&found.last_known_elr)),
        offline_replicas: found.replicas.iter().filter(|id| !is_alive(id)).map(|id| id.0).collect(),
    }
}
