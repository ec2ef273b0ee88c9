//! Markers at the leaders of their partitions: written here, or sent to the broker that leads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kalda_coordinator::TopicPartitions;
use kalda_model::{BrokerId, ProducerEpoch, ProducerId};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerResult, WritableTxnMarkerTopic, WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
};
use kalda_records::EndTxnMarker;

use crate::broker::Broker;
use crate::coordinators::{Gathered, Gathering, remote};
use crate::groups::OFFSETS_TOPIC;
use crate::hosted::{MarkerToAppend, ProduceWaits};

/// How long a marker may wait for its replicas: the ends of other transactions wait behind it.
const WAIT: Duration = Duration::from_secs(5);

/// A marker, wherever it is to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Marker {
    pub(crate) producer_id: ProducerId,
    pub(crate) producer_epoch: ProducerEpoch,
    pub(crate) end: EndTxnMarker,
    pub(crate) transaction_version: i16,
}

/// A marker for partitions of one leader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MarkersToWrite {
    pub(crate) marker: Marker,
    pub(crate) partitions: TopicPartitions,
}

/// What became of a marker at each partition.
pub(crate) type Written = Vec<(String, i32, ErrorCode)>;

/// Writes markers to partitions that this broker leads; returns when they are committed everywhere,
/// and the groups have taken the offsets over that were committed with them (KAFKA-17507). What became
/// of each marker comes in the order of `markers`.
pub(crate) async fn write_markers(
    broker: &Arc<Broker>,
    markers: &[MarkersToWrite],
) -> Vec<Written> {
    let waits = ProduceWaits::default();
    let mut written: Vec<Written> = Vec::with_capacity(markers.len());
    let mut slots = Vec::new();
    for MarkersToWrite { marker, partitions } in markers {
        let mut of_marker = Written::new();
        for (topic, index, _) in all(partitions, ErrorCode::None) {
            let outcome = write_marker(broker, marker, &topic, index, &waits, slots.len());
            slots.push((written.len(), of_marker.len()));
            of_marker.push((topic, index, outcome.err().unwrap_or(ErrorCode::None)));
        }
        written.push(of_marker);
    }
    let Some(pending) = waits.into_pending() else { return written };
    let done = tokio::time::timeout(WAIT, pending.done()).await;
    if done.is_err() {
        pending.give_up();
        // Which of them still wait is not known; to be written twice harms none.
        let unsure = written.iter_mut().flatten().filter(|(.., error)| *error == ErrorCode::None);
        unsure.for_each(|(.., error)| *error = ErrorCode::RequestTimedOut);
    }
    for (slot, error) in pending.failures() {
        let (marker, partition) = slots[slot];
        written[marker][partition].2 = error;
    }
    written
}

fn write_marker(
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
        let shard = broker.groups.shard(broker, index);
        let appended = shard.and_then(|shard| shard.append_marker(&append, waits, slot));
        return appended.map_err(for_coordinator);
    }
    hosted.append_marker(None, &append, waits, slot).map(|_| ())
}

/// A group coordinator that is not there yet is to a coordinator of transactions a leader that is not
/// there yet: it tries again, and knows no other word for it.
fn for_coordinator(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NotCoordinator => ErrorCode::NotLeaderOrFollower,
        error => error,
    }
}

/// The same for every partition.
pub(super) fn all(partitions: &TopicPartitions, error: ErrorCode) -> Written {
    let of_topic = |(topic, indexes): (&String, &std::collections::BTreeSet<i32>)| {
        indexes.iter().map(|index| (topic.clone(), *index, error)).collect::<Written>()
    };
    partitions.iter().flat_map(of_topic).collect()
}

impl Gathered for MarkersToWrite {
    type Answer = Written;

    fn gathering(broker: &Broker) -> &Gathering<Self> {
        &broker.transactions.outbox.markers
    }

    /// An answer names a producer, and not which of its markers it is about.
    fn excludes(&self, earlier: &Self) -> bool {
        self.marker.producer_id == earlier.marker.producer_id
    }

    async fn ask(
        broker: &Arc<Broker>,
        to: BrokerId,
        gathered: &[Self],
    ) -> Result<Vec<Written>, ErrorCode> {
        let response = remote::ask(broker, to, &request(gathered)).await?;
        Ok(answers(gathered, &response))
    }
}

fn request(gathered: &[MarkersToWrite]) -> WriteTxnMarkersRequest {
    let markers = gathered.iter().map(|MarkersToWrite { marker, partitions }| {
        let topics = partitions.iter().map(|(name, indexes)| WritableTxnMarkerTopic {
            name: name.clone(),
            partition_indexes: indexes.iter().copied().collect(),
        });
        WritableTxnMarker {
            producer_id: marker.producer_id.0,
            producer_epoch: marker.producer_epoch.0,
            transaction_result: marker.end.committed,
            topics: topics.collect(),
            coordinator_epoch: marker.end.coordinator_epoch,
            transaction_version: i8::try_from(marker.transaction_version).unwrap_or(i8::MAX),
        }
    });
    WriteTxnMarkersRequest { markers: markers.collect() }
}

/// What the answer says of each partition that was asked for. One that it does not name has to be
/// asked for again.
fn answers(gathered: &[MarkersToWrite], response: &WriteTxnMarkersResponse) -> Vec<Written> {
    let by_producer: BTreeMap<i64, &WritableTxnMarkerResult> =
        response.markers.iter().map(|result| (result.producer_id, result)).collect();
    let answer = |MarkersToWrite { marker, partitions }: &MarkersToWrite| {
        let mut written = all(partitions, ErrorCode::UnknownServerError);
        let Some(result) = by_producer.get(&marker.producer_id.0) else { return written };
        let mut said = BTreeMap::new();
        for topic in &result.topics {
            for partition in &topic.partitions {
                let error = ErrorCode::from_code(partition.error_code);
                let key = (topic.name.as_str(), partition.partition_index);
                said.insert(key, error.unwrap_or(ErrorCode::UnknownServerError));
            }
        }
        for (topic, index, error) in &mut written {
            *error = said.get(&(topic.as_str(), *index)).copied().unwrap_or(*error);
        }
        written
    };
    gathered.iter().map(answer).collect()
}
