//! The transaction coordinator as this broker hosts it, and the way of a transaction's end to its
//! partitions.

use std::sync::Arc;
use std::time::Duration;

use kalda_coordinator::{
    TopicPartitions, TransactionEnding, TransactionSettings, TransactionShard,
};
use kalda_model::{LeaderEpoch, ProducerEpoch, ProducerId};
use kalda_protocol::ErrorCode;
use kalda_records::EndTxnMarker;

use crate::broker::Broker;
use crate::config::BrokerConfig;
use crate::coordinators::{Hosted, InternalTopic, Shards, run_timers};
use crate::groups::OFFSETS_TOPIC;
use crate::hosted::{MarkerToAppend, ProduceWaits};

/// All live shards of transactions.
pub(crate) type TransactionCoordinator = Shards<TransactionShard>;

/// The pause before a partition without a leader is tried again, first and at the most.
const RETRY: Duration = Duration::from_millis(20);
const RETRY_MAX: Duration = Duration::from_secs(1);

impl Hosted for TransactionShard {
    const TOPIC: InternalTopic = InternalTopic {
        name: "__transaction_state",
        partitions: "transaction.state.log.num.partitions",
        replication_factor: "transaction.state.log.replication.factor",
        segment_bytes: "transaction.state.log.segment.bytes",
        min_insync_replicas: Some("transaction.state.log.min.isr"),
        compression_type: "uncompressed",
    };

    fn new(config: &BrokerConfig, leader_epoch: LeaderEpoch) -> Self {
        let number = |name: &str| config.number(name);
        let settings = TransactionSettings {
            max_timeout_ms: i32::try_from(number("transaction.max.timeout.ms")).unwrap_or(i32::MAX),
            id_expiration_ms: number("transactional.id.expiration.ms"),
            expiration_check_interval_ms: number(
                "transaction.remove.expired.transaction.cleanup.interval.ms",
            ),
            held_ms_max: number("add.partitions.to.txn.retry.backoff.max.ms"),
        };
        Self::new(settings, leader_epoch.0)
    }

    fn shards(broker: &Broker) -> &Shards<Self> {
        &broker.transactions
    }
}

/// Loads what this broker coordinates, since transactions time out and end although nobody asks, and
/// then runs the timers until the broker stops.
pub(crate) async fn run(broker: Arc<Broker>) {
    broker.transactions.load_all(&broker).await;
    run_timers::<TransactionShard>(broker).await;
}

/// Writes a transaction's markers until every partition has its own or is gone; then its coordinator
/// hears of it.
pub(crate) async fn deliver(broker: &Arc<Broker>, ending: TransactionEnding) {
    let marker = Marker {
        producer_id: ending.producer_id,
        producer_epoch: ending.producer_epoch,
        end: EndTxnMarker { committed: ending.commit, coordinator_epoch: ending.coordinator_epoch },
        transaction_version: ending.transaction_version,
    };
    let mut left = ending.partitions.clone();
    let mut pause = RETRY;
    loop {
        let mut again = TopicPartitions::new();
        for (topic, index, error) in write_markers(broker, &marker, &left).await {
            match error {
                ErrorCode::None | ErrorCode::UnknownTopicOrPartition => {}
                // A newer coordinator has been there, and does the rest.
                ErrorCode::TransactionCoordinatorFenced => return,
                ErrorCode::InvalidProducerEpoch => tracing::warn!(
                    transactional_id = ending.transactional_id,
                    "{topic}-{index} has a newer epoch of producer {} than the end of its transaction",
                    ending.producer_id
                ),
                _ => {
                    again.entry(topic).or_default().insert(index);
                }
            }
        }
        if again.is_empty() {
            break;
        }
        left = again;
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(RETRY_MAX),
            () = broker.stopping() => return,
        }
    }
    broker.transactions.decide(broker, &ending.transactional_id, |shard, cx| {
        shard.on_markers_written(&ending, cx)
    });
}

/// A marker, wherever it is to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marker {
    pub(crate) producer_id: ProducerId,
    pub(crate) producer_epoch: ProducerEpoch,
    pub(crate) end: EndTxnMarker,
    pub(crate) transaction_version: i16,
}

/// Writes a marker to partitions that this broker leads; returns when it is committed everywhere, and
/// the groups have taken the offsets over that were committed with it (KAFKA-17507).
pub(crate) async fn write_markers(
    broker: &Arc<Broker>,
    marker: &Marker,
    partitions: &TopicPartitions,
) -> Vec<(String, i32, ErrorCode)> {
    let waits = ProduceWaits::default();
    let mut written = Vec::new();
    for (topic, indexes) in partitions {
        for index in indexes {
            let outcome = write_marker(broker, marker, topic, *index, &waits, written.len()).await;
            let error = outcome.err().unwrap_or(ErrorCode::None);
            written.push((topic.clone(), *index, error));
        }
    }
    if let Some(pending) = waits.into_pending() {
        pending.done().await;
        for (slot, error) in pending.failures() {
            written[slot].2 = error;
        }
    }
    written
}

async fn write_marker(
    broker: &Arc<Broker>,
    marker: &Marker,
    topic: &str,
    index: i32,
    waits: &ProduceWaits,
    slot: usize,
) -> Result<(), ErrorCode> {
    let image = broker.image();
    let found = image.topics.by_name(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let hosted = broker.partitions.find(found.id, index);
    let hosted = hosted.ok_or_else(|| broker.why_not_hosted(found, index))?;
    let append = MarkerToAppend {
        producer_id: marker.producer_id,
        producer_epoch: marker.producer_epoch,
        marker: marker.end,
        transaction_version: marker.transaction_version,
        now_ms: broker.clock.wall_ms(),
    };
    if topic == OFFSETS_TOPIC {
        let shard = broker.groups.shard(broker, index)?;
        return shard.append_marker(&append, waits, slot).await;
    }
    hosted.append_marker(&append, waits, slot).map(|_| ())
}
