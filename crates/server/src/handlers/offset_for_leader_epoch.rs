//! OffsetForLeaderEpoch (key 23, v2–4): where an epoch ended, so that a client can tell whether what
//! it read was cut off since (KIP-101, KIP-320).

use kalda_model::LeaderEpoch;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition, OffsetForLeaderTopicResult,
};

use crate::dispatch::{Handle, RequestContext};

impl Handle for OffsetForLeaderEpochRequest {
    async fn handle(self, cx: &RequestContext) -> OffsetForLeaderEpochResponse {
        let image = cx.broker.image();
        let topics = self.topics.into_iter().map(|topic| {
            let known = image.topics.by_name(&topic.topic);
            let look_up = |asked: &OffsetForLeaderPartition| {
                let known = known.ok_or(ErrorCode::UnknownTopicOrPartition)?;
                let hosted = cx.broker.partitions.find(known.id, asked.partition);
                let hosted =
                    hosted.ok_or_else(|| cx.broker.why_not_hosted(known, asked.partition))?;
                hosted.with_leader_log(LeaderEpoch(asked.current_leader_epoch), |log, state| {
                    let wanted = LeaderEpoch(asked.leader_epoch);
                    // The epoch that is being written ends at the end of the log.
                    if wanted == state.leader_epoch() {
                        return Some((wanted, log.log_end_offset()));
                    }
                    log.end_offset_for_epoch(wanted)
                })
            };
            let partitions = topic.partitions.iter().map(|asked| {
                let (error, found) = match look_up(asked) {
                    Ok(found) => (ErrorCode::None, found),
                    Err(error) => (error, None),
                };
                EpochEndOffset {
                    error_code: error.code(),
                    partition: asked.partition,
                    leader_epoch: found.map_or(-1, |(epoch, _)| epoch.0),
                    end_offset: found.map_or(-1, |(_, end)| end.0),
                }
            });
            OffsetForLeaderTopicResult { partitions: partitions.collect(), topic: topic.topic }
        });
        let topics = topics.collect();
        OffsetForLeaderEpochResponse { topics, ..OffsetForLeaderEpochResponse::default() }
    }
}
