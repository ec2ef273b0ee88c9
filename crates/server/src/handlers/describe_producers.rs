//! DescribeProducers (key 61, v0, KIP-664): the producers that a partition remembers.

use kalda_model::LeaderEpoch;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState,
    TopicResponse,
};
use kalda_storage::Log;

use crate::dispatch::{Handle, RequestContext};

impl Handle for DescribeProducersRequest {
    async fn handle(self, cx: &RequestContext) -> DescribeProducersResponse {
        let image = cx.broker.image();
        let topics = self.topics.into_iter().map(|topic| {
            let known = image.topics.by_name(&topic.name);
            let describe = |index: i32| {
                let known = known.ok_or(ErrorCode::UnknownTopicOrPartition)?;
                let hosted = cx.broker.partitions.find(known.id, index);
                let hosted = hosted.ok_or_else(|| cx.broker.why_not_hosted(known, index))?;
                hosted.with_leader_log(LeaderEpoch::UNKNOWN, |log, _| producers(log))
            };
            let partitions = topic.partition_indexes.iter().map(|index| match describe(*index) {
                Ok(active_producers) => PartitionResponse {
                    partition_index: *index,
                    active_producers,
                    error_message: None,
                    ..PartitionResponse::default()
                },
                Err(error) => PartitionResponse {
                    partition_index: *index,
                    error_code: error.code(),
                    error_message: Some(error.message().to_owned()),
                    active_producers: Vec::new(),
                },
            });
            TopicResponse { partitions: partitions.collect(), name: topic.name }
        });
        let topics = topics.collect();
        DescribeProducersResponse { topics, ..DescribeProducersResponse::default() }
    }
}

fn producers(log: &Log) -> Vec<ProducerState> {
    let producers = log.producers().iter().map(|(id, entry)| ProducerState {
        producer_id: id.0,
        producer_epoch: i32::from(entry.epoch.0),
        last_sequence: entry.last_sequence(),
        last_timestamp: entry.last_timestamp,
        coordinator_epoch: entry.coordinator_epoch,
        current_txn_start_offset: entry.current_txn_first_offset.map_or(-1, |offset| offset.0),
    });
    producers.collect()
}
