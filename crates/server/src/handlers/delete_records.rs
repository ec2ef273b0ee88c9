//! DeleteRecords (key 21, v0–2, KIP-107): moves the start of a log forward. -1 stands for the high
//! watermark.

use kalda_model::{LeaderEpoch, Offset};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::delete_records::{
    DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteRecordsTopicResult,
};
use kalda_storage::Checkpoint;

use crate::dispatch::{Handle, RequestContext};
use crate::tasks::housekeeping;

/// Stands for the high watermark (`DeleteRecordsRequest.HIGH_WATERMARK`).
const HIGH_WATERMARK: i64 = -1;

impl Handle for DeleteRecordsRequest {
    async fn handle(self, cx: &RequestContext) -> DeleteRecordsResponse {
        let mut topics = Vec::new();
        for topic in &self.topics {
            let mut partitions = Vec::new();
            for asked in &topic.partitions {
                let deleted = delete(cx, &topic.name, asked.partition_index, asked.offset);
                let (error, low_watermark) = match deleted {
                    Ok(low_watermark) => (ErrorCode::None, low_watermark.0),
                    Err(error) => (error, -1),
                };
                partitions.push(DeleteRecordsPartitionResult {
                    partition_index: asked.partition_index,
                    low_watermark,
                    error_code: error.code(),
                });
            }
            topics.push(DeleteRecordsTopicResult { name: topic.name.clone(), partitions });
        }
        // The new starts must outlive a crash before anyone is told of them.
        for directory in &cx.broker.directories {
            if let Err(error) = housekeeping::write_checkpoint(directory, Checkpoint::LogStart) {
                directory.fail(&error);
            }
        }
        DeleteRecordsResponse { topics, ..DeleteRecordsResponse::default() }
    }
}

fn delete(cx: &RequestContext, topic: &str, index: i32, offset: i64) -> Result<Offset, ErrorCode> {
    let image = cx.broker.image();
    let topic = image.topics.by_name(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let hosted = cx.broker.partitions.find(topic.id, index);
    let hosted = hosted.ok_or_else(|| cx.broker.why_not_hosted(topic, index))?;
    let now_ms = cx.broker.clock.wall_ms();
    let deleted = hosted.with_leader_log(LeaderEpoch::UNKNOWN, |log, state| {
        if !log.config().cleanup_policy.delete {
            return Err(ErrorCode::PolicyViolation);
        }
        let offset = match offset {
            HIGH_WATERMARK => state.high_watermark(),
            offset => Offset(offset),
        };
        if offset.0 < 0 || offset > state.high_watermark() {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        Ok(log.delete_records_before(offset, now_ms))
    })??;
    hosted.directory().note_removal();
    deleted.map_err(|error| {
        hosted.on_disk_error(&error);
        ErrorCode::KafkaStorageError
    })
}
