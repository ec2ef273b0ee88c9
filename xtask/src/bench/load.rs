//! A load that costs its generator little: one batch, encoded before, sent over and over; and the
//! same bytes fetched back.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kalda_model::Uuid;
use kalda_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use kalda_protocol::messages::delete_topics::DeleteTopicsRequest;
use kalda_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use kalda_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use kalda_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use kalda_protocol::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kalda_records::{BatchBuilder, BatchIter, BatchOptions};

use super::Outcome;
use super::wire::{Connection, frame};

/// Versions that every broker measured here has, with topics by name.
const PRODUCE: i16 = 9;
const FETCH: i16 = 11;
const CREATE_TOPICS: i16 = 5;
const DELETE_TOPICS: i16 = 4;
/// The first with topic ids.
const METADATA: i16 = 10;
/// The version for [`latest_offsets`].
pub(crate) const LIST_OFFSETS: i16 = 5;
const LATEST: i64 = -1;
const BATCH_BYTES: usize = 64 * 1024;
const RECORD_BYTES: usize = 1000;
/// `max.in.flight.requests.per.connection`.
const IN_FLIGHT: usize = 5;
/// `max.partition.fetch.bytes`.
const FETCH_BYTES: i32 = 1024 * 1024;
const WAIT_MS: i32 = 30_000;
const SERVED_WITHIN: Duration = Duration::from_secs(30);

/// What a load took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    /// The bytes of its batches.
    pub(crate) bytes: u64,
    /// From the first byte to the last answer.
    pub(crate) seconds: f64,
    /// From sending to the answer, per request, in ms, sorted.
    pub(crate) latencies_ms: Vec<f64>,
}

impl Run {
    /// MB a second.
    pub(crate) fn rate(&self) -> f64 {
        self.bytes as f64 / self.seconds / 1e6
    }

    /// The latency that this part of the requests stayed below.
    pub(crate) fn percentile_ms(&self, part: f64) -> f64 {
        let at = (self.latencies_ms.len() as f64 * part) as usize;
        let at = at.min(self.latencies_ms.len().saturating_sub(1));
        self.latencies_ms.get(at).copied().unwrap_or_default()
    }
}

/// Creates a topic.
pub(crate) fn create_topic(
    connection: &mut Connection,
    name: &str,
    num_partitions: i32,
    configs: &[(&str, &str)],
) -> Outcome<()> {
    let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
    };
    let topic = CreatableTopic {
        name: name.to_owned(),
        num_partitions,
        replication_factor: 1,
        configs: configs.iter().map(config).collect(),
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    let answer = connection.call(&request, CREATE_TOPICS)?;
    if let Some(topic) = answer.topics.iter().find(|topic| topic.error_code != 0) {
        return Err(format!("{name}: {} {:?}", topic.error_code, topic.error_message).into());
    }
    await_log(connection, name)
}

/// The id that a topic was given.
pub(crate) fn topic_id(connection: &mut Connection, name: &str) -> Outcome<Uuid> {
    let topic =
        MetadataRequestTopic { name: Some(name.to_owned()), ..MetadataRequestTopic::default() };
    let request = MetadataRequest {
        topics: Some(vec![topic]),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    let answer = connection.call(&request, METADATA)?;
    Ok(answer.topics.first().ok_or("a topic without metadata")?.topic_id)
}

/// Waits until partition 0 is served: the controller's yes comes before the broker has the log.
fn await_log(connection: &mut Connection, topic: &str) -> Outcome<()> {
    let asked = Instant::now();
    while asked.elapsed() < SERVED_WITHIN {
        let answer = connection.call(&latest_offsets([(topic.to_owned(), 1)]), LIST_OFFSETS)?;
        let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        if partitions.all(|partition| partition.error_code == 0) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(format!("{topic} is not served {SERVED_WITHIN:?} after it was created").into())
}

/// Asks for the end of each of the first so many partitions.
pub(crate) fn latest_offsets(
    topics: impl IntoIterator<Item = (String, i32)>,
) -> ListOffsetsRequest {
    let latest = |partition_index| ListOffsetsPartition {
        partition_index,
        timestamp: LATEST,
        ..ListOffsetsPartition::default()
    };
    let topic = |(name, partitions)| ListOffsetsTopic {
        name,
        partitions: (0..partitions).map(latest).collect(),
    };
    ListOffsetsRequest {
        replica_id: -1,
        topics: topics.into_iter().map(topic).collect(),
        ..ListOffsetsRequest::default()
    }
}

/// Deletes it.
pub(crate) fn delete_topic(connection: &mut Connection, name: &str) -> Outcome<()> {
    let request = DeleteTopicsRequest {
        topic_names: vec![name.to_owned()],
        timeout_ms: WAIT_MS,
        ..DeleteTopicsRequest::default()
    };
    let answer = connection.call(&request, DELETE_TOPICS)?;
    match answer.responses.iter().all(|topic| topic.error_code == 0) {
        true => Ok(()),
        false => Err(format!("{name} was not deleted: {answer:?}").into()),
    }
}

/// Sends batches to partition 0 until they are `bytes`, with some requests always under way.
pub(crate) fn produce(address: SocketAddr, topic: &str, bytes: u64) -> Outcome<Run> {
    let batch = batch()?;
    let count = bytes.div_ceil(batch.len() as u64);
    let size = batch.len() as u64;
    let partition = PartitionProduceData { index: 0, records: Some(batch) };
    let topic = TopicProduceData {
        name: topic.to_owned(),
        partition_data: vec![partition],
        ..TopicProduceData::default()
    };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: WAIT_MS,
        topic_data: vec![topic],
        ..ProduceRequest::default()
    };
    let frame = frame(&request, PRODUCE)?;
    let mut connection = Connection::open(address)?;
    let mut under_way = VecDeque::new();
    let mut latencies_ms = Vec::new();
    let begun = Instant::now();
    let mut sent = 0;
    while sent < count || !under_way.is_empty() {
        if sent < count && under_way.len() < IN_FLIGHT {
            under_way.push_back(Instant::now());
            connection.send(&frame)?;
            sent += 1;
            continue;
        }
        let answer = connection.receive::<ProduceRequest>(PRODUCE)?;
        let asked: Option<Instant> = under_way.pop_front();
        latencies_ms.extend(asked.map(|asked| asked.elapsed().as_secs_f64() * 1e3));
        let mut partitions = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
        if !partitions.all(|partition| partition.error_code == 0) {
            return Err(format!("produce: {answer:?}").into());
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    latencies_ms.sort_by(f64::total_cmp);
    Ok(Run { bytes: count * size, seconds, latencies_ms })
}

/// Fetches partition 0 from its start until `bytes` have come.
pub(crate) fn fetch(address: SocketAddr, topic: &str, bytes: u64) -> Outcome<Run> {
    let mut connection = Connection::open(address)?;
    let mut run = Run::default();
    let mut offset = 0;
    let begun = Instant::now();
    while run.bytes < bytes {
        let asked = Instant::now();
        let answer = connection.call(&fetch_request(topic, offset), FETCH)?;
        run.latencies_ms.push(asked.elapsed().as_secs_f64() * 1e3);
        let mut partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
        let partition = partitions.next().ok_or("a fetch without an answer")?;
        if answer.error_code != 0 || partition.error_code != 0 {
            return Err(format!("fetch: {}, {}", answer.error_code, partition.error_code).into());
        }
        // The last batch may be cut off; it comes whole with the next answer.
        let records = partition.records.clone().unwrap_or_default();
        for batch in BatchIter::new(&records).map_while(Result::ok) {
            offset = batch.next_offset().0;
            run.bytes += batch.size() as u64;
        }
    }
    run.seconds = begun.elapsed().as_secs_f64();
    run.latencies_ms.sort_by(f64::total_cmp);
    Ok(run)
}

fn fetch_request(topic: &str, fetch_offset: i64) -> FetchRequest {
    let partition = FetchPartition {
        partition: 0,
        fetch_offset,
        partition_max_bytes: FETCH_BYTES,
        ..FetchPartition::default()
    };
    let topic = FetchTopic {
        topic: topic.to_owned(),
        partitions: vec![partition],
        ..FetchTopic::default()
    };
    FetchRequest {
        max_wait_ms: WAIT_MS,
        min_bytes: 1,
        topics: vec![topic],
        ..FetchRequest::default()
    }
}

/// A batch of records that no codec or file system could make smaller.
fn batch() -> Outcome<Bytes> {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    let mut value = [0; RECORD_BYTES];
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    while builder.size_uncompressed() + RECORD_BYTES + 16 < BATCH_BYTES {
        for byte in &mut value {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (state >> 56) as u8;
        }
        builder.append(now_ms()?, None, Some(&value), &[]);
    }
    Ok(builder.build()?)
}

/// The clock of this machine.
pub(crate) fn now_ms() -> Outcome<i64> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(i64::try_from(since.as_millis())?)
}
