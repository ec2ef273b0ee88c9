//! The way of a transaction's end to its partitions, wherever they are led.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kalda_coordinator::{TopicPartitions, TransactionEnding, TransactionShard};
use kalda_model::BrokerId;
use kalda_protocol::ErrorCode;
use kalda_records::EndTxnMarker;

use super::{Marker, MarkersToWrite, Written, write_markers};
use crate::broker::Broker;
use crate::coordinators::{Gathering, LiveShard};

/// The pause before a partition that did not take its marker is tried again, first and at the most.
/// Newer metadata ends it.
const RETRY: Duration = Duration::from_millis(20);
const RETRY_MAX: Duration = Duration::from_secs(1);

/// Writes a transaction's markers until every partition has its own or is gone; then its coordinator
/// hears of it. Once this broker coordinates the transaction no longer, that is for another to do.
pub(super) async fn deliver(
    broker: &Arc<Broker>,
    owner: &Arc<LiveShard<TransactionShard>>,
    ending: TransactionEnding,
) {
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
        let written = tokio::select! {
            biased;
            () = owner.closed() => return,
            written = spread(broker, marker, &left, &mut again) => written,
        };
        for (topic, index, error) in written {
            match error {
                ErrorCode::None => {}
                // A newer coordinator has been there, and does the rest.
                ErrorCode::TransactionCoordinatorFenced => return,
                ErrorCode::InvalidProducerEpoch => tracing::warn!(
                    transactional_id = ending.transactional_id,
                    "{topic}-{index} has a newer epoch of producer {} than the end of its transaction",
                    ending.producer_id
                ),
                // If it is gone the metadata says so next time.
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
            biased;
            () = broker.stopping() => return,
            () = owner.closed() => return,
            () = broker.transactions.metadata_changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(RETRY_MAX);
    }
    owner.decide(broker, |shard, cx| shard.on_markers_written(&ending, cx));
}

/// Writes a marker to all `partitions`, here and at other brokers at once. Those without a leader are
/// for `again`; of those that the metadata does not have, nothing is said (KAFKA-16352).
async fn spread(
    broker: &Arc<Broker>,
    marker: Marker,
    partitions: &TopicPartitions,
    again: &mut TopicPartitions,
) -> Written {
    let mut by_leader = by_leader(broker, partitions);
    if let Some(leaderless) = by_leader.remove(&BrokerId::NONE) {
        *again = leaderless;
    }
    let ours = by_leader.remove(&broker.node);
    let mut under_way = Vec::with_capacity(by_leader.len());
    for (leader, partitions) in by_leader {
        let to_write = MarkersToWrite { marker, partitions: partitions.clone() };
        under_way.push((partitions, Gathering::send(broker, leader, to_write)));
    }
    let mut written = Written::new();
    if let Some(partitions) = ours {
        let here = write_markers(broker, &[MarkersToWrite { marker, partitions }]).await;
        written.extend(here.into_iter().flatten());
    }
    for (partitions, answering) in under_way {
        match answering.answer().await {
            Ok(said) => written.extend(said),
            Err(error) => written.extend(super::markers::all(&partitions, error)),
        }
    }
    written
}

fn by_leader(broker: &Broker, partitions: &TopicPartitions) -> BTreeMap<BrokerId, TopicPartitions> {
    let image = broker.image();
    let mut by_leader: BTreeMap<BrokerId, TopicPartitions> = BTreeMap::new();
    for (name, indexes) in partitions {
        let Some(topic) = image.topics.by_name(name) else { continue };
        for index in indexes {
            let Some(partition) = topic.partitions.get(index) else { continue };
            let led = by_leader.entry(partition.leader).or_default();
            led.entry(name.clone()).or_default().insert(*index);
        }
    }
    by_leader
}
