//! DeleteRecords (key 21, v0–2, KIP-107): moves the start of a log forward, here and on all
//! replicas that are alive. -1 stands for the high watermark.

use std::sync::Arc;
use std::time::Duration;

use kalda_model::{LeaderEpoch, Offset};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest,
    DeleteRecordsResponse, DeleteRecordsTopicResult,
};

use crate::dispatch::{Handle, RequestContext};
use crate::hosted::{HostedPartition, ProduceWaits, Registered};

/// Stands for the high watermark (`DeleteRecordsRequest.HIGH_WATERMARK`).
const HIGH_WATERMARK: i64 = -1;

impl Handle for DeleteRecordsRequest {
    async fn handle(self, cx: &RequestContext) -> DeleteRecordsResponse {
        let mut deleted = Vec::new();
        for topic in &self.topics {
            for asked in &topic.partitions {
                deleted.push(delete(cx, &topic.name, asked.partition_index, asked.offset));
            }
        }
        // The new starts must outlive a crash before anyone is told of them.
        cx.broker.housekeeper.write_log_starts(&cx.broker).await;
        await_replicas(cx, &mut deleted, self.timeout_ms).await;
        let mut outcomes = deleted.into_iter();
        let mut answer = |asked: &DeleteRecordsPartition| {
            let outcome = outcomes.next().expect("there is one for each partition");
            let (error, low_watermark) = match outcome.and_then(|deleted| deleted.low_watermark(cx))
            {
                Ok(low_watermark) => (ErrorCode::None, low_watermark.0),
                Err(error) => (error, -1),
            };
            DeleteRecordsPartitionResult {
                partition_index: asked.partition_index,
                low_watermark,
                error_code: error.code(),
            }
        };
        let topics = self.topics.iter().map(|topic| DeleteRecordsTopicResult {
            name: topic.name.clone(),
            partitions: topic.partitions.iter().map(&mut answer).collect(),
        });
        let topics = topics.collect();
        DeleteRecordsResponse { topics, ..DeleteRecordsResponse::default() }
    }
}

/// A partition whose log begins elsewhere now.
struct Deleted {
    hosted: Arc<HostedPartition>,
    start: Offset,
}

impl Deleted {
    fn low_watermark(&self, cx: &RequestContext) -> Result<Offset, ErrorCode> {
        self.hosted.low_watermark(&Registered(&cx.broker.image()))
    }
}

/// Waits until the other replicas have deleted as much, or the time is up.
async fn await_replicas(
    cx: &RequestContext,
    deleted: &mut [Result<Deleted, ErrorCode>],
    timeout_ms: i32,
) {
    let image = cx.broker.image();
    let waits = ProduceWaits::default();
    for (slot, outcome) in deleted.iter_mut().enumerate() {
        if let Ok(Deleted { hosted, start }) = outcome
            && let Err(error) = hosted.await_log_start(*start, &Registered(&image), &waits, slot)
        {
            *outcome = Err(error);
        }
    }
    let Some(pending) = waits.into_pending() else { return };
    let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    if tokio::time::timeout(timeout, pending.done()).await.is_err() {
        pending.give_up();
        let image = cx.broker.image();
        for outcome in deleted.iter_mut() {
            let is_late = outcome.as_ref().is_ok_and(|Deleted { hosted, start }| {
                hosted.low_watermark(&Registered(&image)).is_ok_and(|low| low < *start)
            });
            if is_late {
                *outcome = Err(ErrorCode::RequestTimedOut);
            }
        }
    }
    for (slot, error) in pending.failures() {
        deleted[slot] = Err(error);
    }
}

fn delete(cx: &RequestContext, topic: &str, index: i32, offset: i64) -> Result<Deleted, ErrorCode> {
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
    let start = deleted.map_err(|error| {
        hosted.on_disk_error(&error);
        ErrorCode::KafkaStorageError
    })?;
    Ok(Deleted { hosted, start })
}
