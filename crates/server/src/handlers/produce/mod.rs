//! Produce (key 0, served v3–13): one batch for each partition, appended at once and answered when
//! the disk has what `acks` promises. v5 adds the log's start to the answer, v7 allows zstd, v8 adds
//! errors of single records (KIP-467), v10 the current leader (KIP-951), v13 topic ids (KIP-516).

mod verified;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kalda_metadata::Image;
use kalda_model::Uuid;
use kalda_protocol::messages::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse,
    ProduceRequest, ProduceResponse, TopicProduceData, TopicProduceResponse,
};
use kalda_protocol::{ErrorCode, Message as _};
use kalda_replication::Acks;

use crate::connection::{Answer, Frame};
use crate::dispatch::{Refusal, RequestContext, Served};
use crate::hosted::{AppendRefused, Appending, HostedPartition, PendingProduce};
use verified::Verified;

/// First version that names topics by id.
const TOPIC_IDS: i16 = 13;
/// First version that may carry zstd.
const ZSTD: i16 = 7;
/// First version that tells who leads instead.
const CURRENT_LEADER: i16 = 10;

/// Serves a produce: on return everything is appended, and what is left is the wait.
pub(crate) async fn serve(
    cx: RequestContext,
    mut body: Bytes,
    frame: Frame,
    out: BytesMut,
) -> Result<Served, Refusal> {
    let request = ProduceRequest::decode(&mut body, cx.version)?;
    let timeout_ms = request.timeout_ms;
    let waits = PendingProduce::new();
    let acks = Acks::from_wire(request.acks);
    let verified = Verified::of(&cx, &request).await;
    let mut response = Produced::append_all(&cx, request, acks, &waits, &verified);
    let is_silent = acks == Some(Acks::None);
    if let (true, Some(error)) = (is_silent, response.first_error()) {
        // The producer hears nothing of an error but the end of its connection.
        return Err(Refusal::SilentProducer(error));
    }
    if waits.is_done_after_setup() {
        return if is_silent {
            Ok(Served::Silent)
        } else {
            response.encode(&cx, &waits, out).map(Served::Now)
        };
    }
    let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    Ok(Served::Later(Box::pin(async move {
        // The request's bytes are given back when it is answered.
        let _frame = frame;
        if is_silent {
            // Nobody is told, but what this client asks next must find its records visible.
            waits.done().await;
            return Ok(None);
        }
        if acks == Some(Acks::Leader) {
            // As in Kafka, `timeout_ms` is for the replicas: the leader's own disk is waited for.
            waits.done().await;
        } else if tokio::time::timeout(timeout, waits.done()).await.is_err() {
            response.time_out();
        }
        response.encode(&cx, &waits, out).map(Some)
    })))
}

/// What became of each partition, in the order of the request.
struct Produced {
    response: ProduceResponse,
    /// Topic and partition of the response by the number that the waits know them by; those that
    /// wait are not in the end of the line yet.
    waiting: Vec<(usize, usize)>,
}

impl Produced {
    fn append_all(
        cx: &RequestContext,
        request: ProduceRequest,
        acks: Option<Acks>,
        waits: &Arc<PendingProduce>,
        verified: &Verified,
    ) -> Self {
        let image = cx.broker.image();
        let now_ms = cx.broker.clock.wall_ms();
        let mut produced = Self { response: ProduceResponse::default(), waiting: Vec::new() };
        for (topic_at, topic) in request.topic_data.into_iter().enumerate() {
            let mut partitions = Vec::with_capacity(topic.partition_data.len());
            let reference = TopicProduceData { partition_data: Vec::new(), ..topic.clone() };
            for (partition_at, data) in topic.partition_data.into_iter().enumerate() {
                let slot = produced.waiting.len();
                produced.waiting.push((topic_at, partition_at));
                let index = data.index;
                let guard = verified.guard(topic_at, partition_at);
                let appended = match (acks, guard) {
                    (_, Err(error)) => Err(error.into()),
                    (Some(acks), Ok(guard)) => {
                        // Who waits for nothing is let go when the leader has it.
                        let acks = if acks == Acks::None { Acks::Leader } else { acks };
                        let appending = Appending {
                            records: data.records.unwrap_or_default(),
                            acks,
                            now_ms,
                            is_zstd_allowed: cx.version >= ZSTD,
                            request: waits,
                            slot,
                            guard,
                        };
                        append_one(cx, &image, &reference, index, appending)
                    }
                    (None, _) => Err(ErrorCode::InvalidRequiredAcks.into()),
                };
                partitions.push(match appended {
                    Ok(response) => response,
                    Err(refused) => refusal(cx, &image, &reference, index, refused),
                });
            }
            produced.response.responses.push(TopicProduceResponse {
                name: reference.name,
                topic_id: reference.topic_id,
                partition_responses: partitions,
            });
        }
        produced
    }

    fn first_error(&self) -> Option<String> {
        let topics = self.response.responses.iter();
        let mut failed = topics.flat_map(|topic| {
            topic.partition_responses.iter().map(move |partition| (topic, partition))
        });
        failed.find(|(_, partition)| partition.error_code != 0).map(|(topic, partition)| {
            let error = ErrorCode::from_code(partition.error_code);
            let error = error.unwrap_or(ErrorCode::UnknownServerError);
            format!("{}-{}: {}", topic.name, partition.index, error.message())
        })
    }

    /// The disk was not in time: every partition that may still be waiting is answered so. The
    /// records may be written all the same, as in Kafka; a retry of an idempotent producer is safe.
    fn time_out(&mut self) {
        for topic in &mut self.response.responses {
            for partition in &mut topic.partition_responses {
                if partition.error_code == 0 {
                    partition.error_code = ErrorCode::RequestTimedOut.code();
                    partition.base_offset = -1;
                }
            }
        }
    }

    fn encode(
        mut self,
        cx: &RequestContext,
        waits: &PendingProduce,
        mut out: BytesMut,
    ) -> Result<Answer, Refusal> {
        for (slot, error) in waits.failures() {
            let (topic, partition) = self.waiting[slot];
            let failed = &mut self.response.responses[topic].partition_responses[partition];
            failed.error_code = error.code();
            failed.base_offset = -1;
        }
        if cx.version >= CURRENT_LEADER {
            self.name_leaders(cx);
        }
        out.reserve(self.response.size(cx.version));
        self.response.encode(&mut out, cx.version)?;
        Ok(Answer::from_encoded(out))
    }

    /// Lists the endpoints of the leaders that were named.
    fn name_leaders(&mut self, cx: &RequestContext) {
        let image = cx.broker.image();
        let partitions =
            self.response.responses.iter().flat_map(|topic| &topic.partition_responses);
        let mut leaders: Vec<i32> =
            partitions.map(|partition| partition.current_leader.leader_id).collect();
        leaders.sort_unstable();
        leaders.dedup();
        for id in leaders.into_iter().filter(|id| *id >= 0) {
            let Some(broker) = image.brokers.get(&kalda_model::BrokerId(id)) else { continue };
            if let Some((host, port)) = cx.broker.endpoint_for(&cx.peer, broker) {
                self.response.node_endpoints.push(NodeEndpoint {
                    node_id: id,
                    host,
                    port: i32::from(port),
                    rack: broker.rack.clone(),
                });
            }
        }
    }
}

fn append_one(
    cx: &RequestContext,
    image: &Image,
    topic: &TopicProduceData,
    index: i32,
    appending: Appending<'_>,
) -> Result<PartitionProduceResponse, AppendRefused> {
    let partition = find(cx, image, topic, index)?;
    let appended = partition.append(appending)?;
    Ok(PartitionProduceResponse {
        index,
        error_code: ErrorCode::None.code(),
        base_offset: appended.base_offset.0,
        log_append_time_ms: appended.log_append_time.unwrap_or(-1),
        log_start_offset: appended.log_start_offset.0,
        ..PartitionProduceResponse::default()
    })
}

fn find(
    cx: &RequestContext,
    image: &Image,
    topic: &TopicProduceData,
    index: i32,
) -> Result<Arc<HostedPartition>, ErrorCode> {
    let topic = if cx.version >= TOPIC_IDS {
        image.topics.by_id(topic.topic_id).ok_or(ErrorCode::UnknownTopicId)?
    } else {
        image.topics.by_name(&topic.name).ok_or(ErrorCode::UnknownTopicOrPartition)?
    };
    let hosted = cx.broker.partitions.find(topic.id, index);
    hosted.ok_or_else(|| cx.broker.why_not_hosted(topic, index))
}

fn refusal(
    cx: &RequestContext,
    image: &Image,
    topic: &TopicProduceData,
    index: i32,
    refused: AppendRefused,
) -> PartitionProduceResponse {
    let records = refused.records.iter().map(|record| BatchIndexAndErrorMessage {
        batch_index: record.index,
        batch_index_error_message: Some(record.to_string()),
    });
    let mut response = PartitionProduceResponse {
        index,
        error_code: refused.error.code(),
        base_offset: -1,
        record_errors: records.collect(),
        error_message: refused.message,
        ..PartitionProduceResponse::default()
    };
    if refused.error == ErrorCode::NotLeaderOrFollower && cx.version >= CURRENT_LEADER {
        response.current_leader = leader(image, &topic.name, topic.topic_id, index);
    }
    response
}

fn leader(image: &Image, name: &str, id: Uuid, index: i32) -> LeaderIdAndEpoch {
    let topic = if id.is_zero() { image.topics.by_name(name) } else { image.topics.by_id(id) };
    match topic.and_then(|topic| topic.partitions.get(&index)) {
        Some(partition) => LeaderIdAndEpoch {
            leader_id: partition.leader.0,
            leader_epoch: partition.leader_epoch.0,
        },
        None => LeaderIdAndEpoch::default(),
    }
}
