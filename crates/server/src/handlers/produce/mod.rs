//! Produce (key 0, served v3–13): one batch for each partition, appended at once and answered when
//! the disk has what `acks` promises. v5 adds the log's start to the answer, v7 allows zstd, v8 adds
//! errors of single records (KIP-467), v10 the current leader (KIP-951), v13 topic ids (KIP-516).
//!
//! The request is read where it was received and the answer written as it becomes known
//! ([`kalda_protocol::produce`]): a produce that need not wait allocates nothing. What needs a transaction
//! coordinator first is a copy of its own, and then appended in the same way.

mod verified;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kalda_metadata::Image;
use kalda_model::{BrokerId, Uuid};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse,
};
use kalda_protocol::produce::{
    PartitionAnswer, ProducePartitionView, ProduceTopicView, ProduceView, ProduceWriter,
};
use kalda_replication::Acks;

use crate::broker::Broker;
use crate::connection::{Answer, Frame, Peer};
use crate::dispatch::{InPlace, LaterAnswer, Refusal, RequestContext, Served};
use crate::hosted::{AppendRefused, Appending, HostedPartition, PendingProduce, ProduceWaits};
use verified::Verified;

/// First version that names topics by id.
const TOPIC_IDS: i16 = 13;
/// First version that may carry zstd.
const ZSTD: i16 = 7;
/// First version that tells who leads instead.
const CURRENT_LEADER: i16 = 10;

/// Serves a produce whose bytes are only lent: the answer, if there is one now, is in `out`. `None` if it
/// has to wait before anything is appended; then it needs bytes of its own, and [`serve`]. The answer begins
/// at `start`, with a gap for its length and its header.
pub(crate) fn serve_in_place(
    broker: &Broker,
    peer: &Peer,
    version: i16,
    body: &[u8],
    out: &mut BytesMut,
    start: usize,
) -> Result<Option<InPlace>, Refusal> {
    let request = ProduceView::read(body, version)?;
    if verified::is_needed(&request) {
        return Ok(None);
    }
    let producing = Producing { broker, peer, version, verified: &Verified::default() };
    Ok(Some(match producing.append_all(&request, out, start)? {
        Appended::Silent => InPlace::Silent,
        Appended::Answered => InPlace::Answered,
        Appended::Waiting(wait) => InPlace::Later(later(wait, None)),
    }))
}

/// Serves a produce: on return everything is appended, and what is left is the wait.
pub(crate) async fn serve(
    cx: RequestContext,
    body: Bytes,
    frame: Frame,
    mut out: BytesMut,
) -> Result<Served, Refusal> {
    let request = ProduceView::read(&body, cx.version)?;
    let verified = Verified::of(&cx, &request).await;
    let RequestContext { broker, peer, version, .. } = &cx;
    let producing = Producing { broker, peer, version: *version, verified: &verified };
    Ok(match producing.append_all(&request, &mut out, 0)? {
        Appended::Silent => Served::Silent,
        Appended::Answered => Served::Now(Answer::from_encoded(out)),
        Appended::Waiting(wait) => Served::Later(later(wait, Some(frame))),
    })
}

/// The answer of a request that waits. The request's memory is given back when it is answered.
fn later(wait: Wait, frame: Option<Frame>) -> LaterAnswer {
    Box::pin(async move {
        let _frame = frame;
        wait.answer().await
    })
}

/// What became of a request.
enum Appended {
    /// Nothing is to be said (`acks=0`).
    Silent,
    /// The answer is written.
    Answered,
    Waiting(Wait),
}

/// An answer that is written, and not true yet.
struct Wait {
    acks: Option<Acks>,
    timeout: Duration,
    encoded: BytesMut,
    /// Where the partitions that wait stand in it.
    answers: Vec<(usize, PartitionAnswer)>,
    pending: Arc<PendingProduce>,
}

impl Wait {
    async fn answer(mut self) -> Result<Option<Answer>, Refusal> {
        let done = self.pending.done();
        match self.acks {
            // Nobody is told, but what this client asks next must find its records visible.
            Some(Acks::None) => {
                done.await;
                return Ok(None);
            }
            // As in Kafka, `timeout_ms` is for the replicas: the leader's own disk is waited for.
            Some(Acks::Leader) => done.await,
            // The records may be written all the same; a retry of an idempotent producer is safe.
            _ => {
                if tokio::time::timeout(self.timeout, done).await.is_err() {
                    self.pending.give_up();
                    for (_, answer) in &self.answers {
                        answer.fail(&mut self.encoded, ErrorCode::RequestTimedOut);
                    }
                }
            }
        }
        for (slot, error) in self.pending.failures() {
            let failed = self.answers.iter().filter(|(waiting, _)| *waiting == slot);
            failed.for_each(|(_, answer)| answer.fail(&mut self.encoded, error));
        }
        Ok(Some(Answer::from_encoded(self.encoded)))
    }
}

/// One request while it is appended.
struct Producing<'a> {
    broker: &'a Broker,
    peer: &'a Peer,
    version: i16,
    verified: &'a Verified,
}

impl Producing<'_> {
    /// Appends every batch and completes the answer, of which `out` from `start` on holds the gap for the
    /// length and the header. What is not to be said now is taken out again.
    fn append_all(
        &self,
        request: &ProduceView<'_>,
        out: &mut BytesMut,
        start: usize,
    ) -> Result<Appended, Refusal> {
        let image = self.broker.image();
        let now_ms = self.broker.clock.wall_ms();
        let acks = Acks::from_wire(request.acks);
        let waits = ProduceWaits::default();
        let mut answers = Vec::new();
        let mut leaders = Vec::new();
        let mut slot = 0;
        let mut writer = ProduceWriter::begin(out, self.version, request.topic_count())?;
        for (topic_at, topic) in request.topics().enumerate() {
            writer.topic(out, &topic)?;
            for (partition_at, partition) in topic.partitions().enumerate() {
                let guard = self.verified.guard(topic_at, partition_at);
                let waiting_before = waits.count();
                let appended = match (acks, guard) {
                    (_, Err(error)) => Err(error.into()),
                    (None, _) => Err(ErrorCode::InvalidRequiredAcks.into()),
                    (Some(acks), Ok(guard)) => {
                        // Who waits for nothing is let go when the leader has it.
                        let acks = if acks == Acks::None { Acks::Leader } else { acks };
                        let is_zstd_allowed = self.version >= ZSTD;
                        let appending =
                            Appending { acks, now_ms, is_zstd_allowed, waits: &waits, slot, guard };
                        self.append_one(&image, &topic, &partition, &appending)
                    }
                };
                let answer = match appended {
                    Ok(answer) => answer,
                    Err(refused) if acks == Some(Acks::None) => {
                        // The producer hears nothing of an error but the end of its connection.
                        let error = refused.error.message();
                        let name = topic.name;
                        let text = format!("{name}-{}: {error}", partition.index);
                        return Err(Refusal::SilentProducer(text));
                    }
                    Err(refused) => self.refusal(&image, &topic, partition.index, refused),
                };
                leaders.extend(Some(answer.current_leader.leader_id).filter(|id| *id >= 0));
                let at = writer.partition(out, &answer)?;
                if waits.count() > waiting_before {
                    answers.push((slot, at.moved_up(start)));
                }
                slot += 1;
            }
            writer.end_topic(out)?;
        }
        writer.finish(out, &self.endpoints(&image, leaders))?;
        let Some(pending) = waits.into_pending() else {
            return Ok(if acks == Some(Acks::None) {
                out.truncate(start);
                Appended::Silent
            } else {
                Appended::Answered
            });
        };
        let encoded = BytesMut::from(&out[start..]);
        out.truncate(start);
        let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
        Ok(Appended::Waiting(Wait { acks, timeout, encoded, answers, pending }))
    }

    fn append_one(
        &self,
        image: &Image,
        topic: &ProduceTopicView<'_>,
        partition: &ProducePartitionView<'_>,
        appending: &Appending<'_>,
    ) -> Result<PartitionProduceResponse, AppendRefused> {
        let hosted = find(self.broker, self.version, image, topic, partition.index)?;
        let appended = hosted.append(partition.records.unwrap_or_default(), appending)?;
        Ok(PartitionProduceResponse {
            index: partition.index,
            error_code: ErrorCode::None.code(),
            base_offset: appended.base_offset.0,
            log_append_time_ms: appended.log_append_time.unwrap_or(-1),
            log_start_offset: appended.log_start_offset.0,
            ..PartitionProduceResponse::default()
        })
    }

    fn refusal(
        &self,
        image: &Image,
        topic: &ProduceTopicView<'_>,
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
        if refused.error == ErrorCode::NotLeaderOrFollower && self.version >= CURRENT_LEADER {
            response.current_leader = leader(image, topic.name, topic.id, index);
        }
        response
    }

    /// Where the leaders that were named are found.
    fn endpoints(&self, image: &Image, mut leaders: Vec<i32>) -> Vec<NodeEndpoint> {
        leaders.sort_unstable();
        leaders.dedup();
        let endpoint = |id: i32| {
            let broker = image.brokers.get(&BrokerId(id))?;
            let (host, port) = self.broker.endpoint_for(self.peer, broker)?;
            let rack = broker.rack.clone();
            Some(NodeEndpoint { node_id: id, host, port: i32::from(port), rack })
        };
        leaders.into_iter().filter_map(endpoint).collect()
    }
}

fn find(
    broker: &Broker,
    version: i16,
    image: &Image,
    topic: &ProduceTopicView<'_>,
    index: i32,
) -> Result<Arc<HostedPartition>, ErrorCode> {
    let topic = if version >= TOPIC_IDS {
        image.topics.by_id(topic.id).ok_or(ErrorCode::UnknownTopicId)?
    } else {
        image.topics.by_name(topic.name).ok_or(ErrorCode::UnknownTopicOrPartition)?
    };
    let hosted = broker.partitions.find(topic.id, index);
    hosted.ok_or_else(|| broker.why_not_hosted(topic, index))
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
