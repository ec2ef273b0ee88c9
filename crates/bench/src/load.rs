//! Loads: requests that are encoded before and cost their generator little, so that what is seen is the
//! broker. The same code drives every subject, [`crate::ceiling`] too.

pub(crate) mod connections;
pub(crate) mod large;
pub(crate) mod paced;
pub(crate) mod tiny;
pub(crate) mod topics;

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use kalda_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use kalda_protocol::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kalda_records::{BatchBuilder, BatchOptions};
use rustix::time::{ClockId, clock_gettime};

use crate::Outcome;
use crate::wire::{Connection, frame};

/// Versions that every subject has, with topics by name.
pub(crate) const PRODUCE: i16 = 9;
/// As [`PRODUCE`].
pub(crate) const FETCH: i16 = 11;
const WAIT_MS: i32 = 30_000;

/// What a load took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    /// The bytes of its batches.
    pub(crate) bytes: u64,
    /// Requests that were answered.
    pub(crate) requests: u64,
    /// From the first byte to the last answer.
    pub(crate) seconds: f64,
    /// What the generator itself spent meanwhile, in seconds: the control of the measurement.
    pub(crate) own_cpu_seconds: f64,
    /// How long each request or record took, in ms, sorted.
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

    /// Adds another that followed it. The latencies are no longer sorted.
    pub(crate) fn add(&mut self, next: &Self) {
        self.bytes += next.bytes;
        self.requests += next.requests;
        self.seconds += next.seconds;
        self.own_cpu_seconds += next.own_cpu_seconds;
        self.latencies_ms.extend(&next.latencies_ms);
    }

    fn sort(mut self) -> Self {
        self.latencies_ms.sort_by(f64::total_cmp);
        self
    }
}

/// Seconds of CPU that this process has spent, all threads.
pub(crate) fn own_cpu_seconds() -> f64 {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9
}

/// A produce of one batch to partition 0, as it goes over the wire.
pub(crate) fn produce_frame(topic: &str, batch: Bytes) -> Outcome<Bytes> {
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
    frame(&request, PRODUCE)
}

/// Awaits the answer to a produce, which must be a good one.
pub(crate) fn await_produced(connection: &mut Connection) -> Outcome<()> {
    let answer = connection.receive::<ProduceRequest>(PRODUCE)?;
    let mut partitions = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
    match partitions.all(|partition| partition.error_code == 0) {
        true => Ok(()),
        false => Err(format!("produce: {answer:?}").into()),
    }
}

/// A fetch of partition 0, as it goes over the wire.
pub(crate) fn fetch_frame(
    topic: &str,
    fetch_offset: i64,
    len_max: i32,
    wait_ms: i32,
) -> Outcome<Bytes> {
    let partition = FetchPartition {
        partition: 0,
        fetch_offset,
        partition_max_bytes: len_max,
        ..FetchPartition::default()
    };
    let topic = FetchTopic {
        topic: topic.to_owned(),
        partitions: vec![partition],
        ..FetchTopic::default()
    };
    let request = FetchRequest {
        max_wait_ms: wait_ms,
        min_bytes: 1,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    frame(&request, FETCH)
}

/// What a fetch of one partition brought.
pub(crate) struct Fetched {
    /// After the last whole batch; `None` if there is none.
    pub(crate) next_offset: Option<i64>,
    /// Bytes of the whole batches.
    pub(crate) bytes: u64,
}

/// Reads the answer to [`fetch_frame`] in place. Only batch headers are looked at, so that a consumer's
/// work does not hide the broker's.
pub(crate) fn fetched(answer: &[u8], topic: &str) -> Outcome<Fetched> {
    let int = |at: usize| -> Outcome<i32> {
        let bytes = answer.get(at..at + 4).ok_or("a fetch answer that is cut off")?;
        Ok(i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    };
    // Correlation, throttle time, error, session, topics, name, partitions, index; then the error.
    let error_at = 4 + 4 + 2 + 4 + 4 + 2 + topic.len() + 4 + 4;
    let errors = (answer.get(8..10), answer.get(error_at..error_at + 2));
    if errors != (Some(&[0, 0]), Some(&[0, 0])) {
        return Err(format!("fetch: errors {errors:?}").into());
    }
    // Error, three offsets.
    let aborted_at = error_at + 2 + 3 * 8;
    let aborted = int(aborted_at)?.max(0) as usize;
    let records_at = aborted_at + 4 + aborted * 16 + 4 + 4;
    let mut batches = answer.get(records_at..).ok_or("a fetch answer without records")?;
    let mut fetched = Fetched { next_offset: None, bytes: 0 };
    // The last batch may be cut off; it comes whole with the next answer.
    while let Some((header, _)) = batches.split_first_chunk::<27>() {
        let [base @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *header;
        let size = 12 + u32::from_be_bytes([header[8], header[9], header[10], header[11]]) as usize;
        let Some(rest) = batches.get(size..) else { break };
        let delta = i32::from_be_bytes([header[23], header[24], header[25], header[26]]);
        fetched.next_offset = Some(i64::from_be_bytes(base) + i64::from(delta) + 1);
        fetched.bytes += size as u64;
        batches = rest;
    }
    Ok(fetched)
}

/// A batch of so many records of so many random bytes, which no codec or file system makes smaller.
pub(crate) fn batch(records: usize, record_len: usize) -> Outcome<Bytes> {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    let mut value = vec![0; record_len];
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    for _ in 0..records {
        for byte in &mut value {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (state >> 56) as u8;
        }
        builder.append(now_ms()?, None, Some(&value), &[]);
    }
    Ok(builder.build()?)
}

/// Batches by their number of records, made when first asked for.
#[derive(Default)]
pub(crate) struct Batches(HashMap<usize, Bytes>);

impl Batches {
    /// The batch of so many records of so many bytes, the same each time.
    pub(crate) fn of(&mut self, records: usize, record_len: usize) -> Outcome<Bytes> {
        if let Some(batch) = self.0.get(&records) {
            return Ok(batch.clone());
        }
        let batch = batch(records, record_len)?;
        self.0.insert(records, batch.clone());
        Ok(batch)
    }
}

/// The clock of this machine.
pub(crate) fn now_ms() -> Outcome<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}
