//! A client for tests over one blocking socket: what it sends and reads are the protocol's own
//! structs, so that a test can send what no real client would. Shared by the tests of the binary.

#![allow(dead_code, reason = "each test binary uses its part of it")]

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kalda_model::{ProducerEpoch, ProducerId, Uuid};
use kalda_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreatableTopicResult, CreateTopicsRequest,
};
use kalda_protocol::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData,
};
use kalda_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use kalda_protocol::messages::init_producer_id::InitProducerIdRequest;
use kalda_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsTopic,
};
use kalda_protocol::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponseTopic,
};
use kalda_protocol::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use kalda_protocol::{Message as _, Request, RequestHeader, ResponseHeader};
use kalda_records::{BatchBuilder, BatchIter, BatchOptions, Compression, Producer};

/// Longer than anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    correlation_id: i32,
    answered: i32,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("the broker listens")
    }

    pub(crate) fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, correlation_id: 0, answered: 0 })
    }

    /// Sends a request and does not wait for its answer.
    pub(crate) fn send<R: Request>(&mut self, version: i16, request: &R) -> io::Result<()> {
        self.correlation_id += 1;
        let mut frame = BytesMut::from(&[0; 4][..]);
        let header = RequestHeader {
            api_key: R::KEY,
            api_version: version,
            correlation_id: self.correlation_id,
            client_id: Some("test".to_owned()),
        };
        header.encode(&mut frame).expect("a short client id");
        request.encode(&mut frame, version).expect("the test's request fits its version");
        let len = (frame.len() - 4) as i32;
        frame[..4].copy_from_slice(&len.to_be_bytes());
        self.stream.write_all(&frame)
    }

    /// Reads the next answer, which must be whole and nothing but the answer.
    pub(crate) fn receive<R: Request>(&mut self, version: i16) -> io::Result<R::Response> {
        let mut len = [0; 4];
        self.stream.read_exact(&mut len)?;
        let mut body = vec![0; i32::from_be_bytes(len) as usize];
        self.stream.read_exact(&mut body)?;
        let mut body = Bytes::from(body);
        let header = ResponseHeader::decode(&mut body, R::KEY, version).expect("a header");
        self.answered += 1;
        assert_eq!(header.correlation_id, self.answered, "answers come in order");
        let response = R::Response::decode(&mut body, version)
            .unwrap_or_else(|error| panic!("{:?} v{version}: {error}", R::KEY));
        assert!(body.is_empty(), "{:?} v{version}: {} bytes too many", R::KEY, body.len());
        Ok(response)
    }

    pub(crate) fn try_call<R: Request>(
        &mut self,
        version: i16,
        request: &R,
    ) -> io::Result<R::Response> {
        self.send(version, request)?;
        self.receive::<R>(version)
    }

    pub(crate) fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.try_call(version, request)
            .unwrap_or_else(|error| panic!("{:?} v{version}: {error}", R::KEY))
    }

    /// The last request has no answer.
    pub(crate) fn skip_answer(&mut self) {
        self.answered += 1;
    }

    /// Sets settings of a topic.
    pub(crate) fn alter(&mut self, topic: &str, settings: &[(&str, &str)]) {
        let configs = settings.iter().map(|(name, value)| AlterableConfig {
            name: (*name).to_owned(),
            config_operation: 0,
            value: Some((*value).to_owned()),
        });
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: 2,
                resource_name: topic.to_owned(),
                configs: configs.collect(),
            }],
            validate_only: false,
        };
        let altered = self.call(1, &request).responses.remove(0);
        assert_eq!(altered.error_code, 0, "{:?}", altered.error_message);
    }

    /// Raw bytes, for what is no request.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Whether the broker has ended the connection; waits for it.
    pub(crate) fn is_closed_by_broker(&mut self) -> bool {
        matches!(self.stream.read(&mut [0; 1]), Ok(0))
            || self
                .stream
                .read(&mut [0; 1])
                .is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset)
    }

    // What most tests need.

    pub(crate) fn create(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Uuid {
        let made = self.try_create(name, partitions, configs).expect("the broker answers");
        assert_eq!(made.error_code, 0, "{name}: {:?}", made.error_message);
        made.topic_id
    }

    pub(crate) fn try_create(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> io::Result<CreatableTopicResult> {
        let mut request = CreateTopicsRequest::default();
        request.topics.push(new_topic(name, partitions, configs));
        Ok(self.try_call(7, &request)?.topics.remove(0))
    }

    pub(crate) fn describe(&mut self, name: &str) -> MetadataResponseTopic {
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                name: Some(name.to_owned()),
                ..MetadataRequestTopic::default()
            }]),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        self.call(12, &request).topics.remove(0)
    }

    pub(crate) fn leader_epoch(&mut self, name: &str) -> i32 {
        self.describe(name).partitions[0].leader_epoch
    }

    pub(crate) fn produce(
        &mut self,
        topic: &str,
        index: i32,
        records: Bytes,
    ) -> PartitionProduceResponse {
        let request = produce_request(topic, index, -1, records);
        self.call(12, &request).responses.remove(0).partition_responses.remove(0)
    }

    pub(crate) fn produce_ok(&mut self, topic: &str, index: i32, records: Bytes) -> i64 {
        let produced = self.produce(topic, index, records);
        assert_eq!(produced.error_code, 0, "{:?}", produced.error_message);
        produced.base_offset
    }

    pub(crate) fn fetch(&mut self, topic: &str, index: i32, offset: i64) -> PartitionData {
        let response = self.call(12, &fetch_request(topic, index, offset));
        only(response)
    }

    /// Everything from `offset` to the high watermark.
    pub(crate) fn read_all(&mut self, topic: &str, index: i32, offset: i64) -> Vec<Read> {
        let mut read = Vec::new();
        let mut next = offset;
        loop {
            let fetched = self.fetch(topic, index, next);
            assert_eq!(fetched.error_code, 0, "{topic}-{index} from {next}");
            let bytes = fetched.records.unwrap_or_default();
            // Compaction leaves batches without records.
            let Some(last) = BatchIter::new(&bytes).filter_map(Result::ok).last() else {
                return read;
            };
            let found = records(&bytes);
            let from = next;
            next = last.next_offset().0;
            read.extend(found.into_iter().filter(|record| record.offset >= from));
        }
    }

    pub(crate) fn list_offset(
        &mut self,
        topic: &str,
        index: i32,
        timestamp: i64,
    ) -> ListOffsetsPartitionResponse {
        self.list_offset_at(0, topic, index, timestamp)
    }

    pub(crate) fn list_offset_at(
        &mut self,
        isolation_level: i8,
        topic: &str,
        index: i32,
        timestamp: i64,
    ) -> ListOffsetsPartitionResponse {
        let request = ListOffsetsRequest {
            replica_id: -1,
            isolation_level,
            topics: vec![ListOffsetsTopic {
                name: topic.to_owned(),
                partitions: vec![ListOffsetsPartition {
                    partition_index: index,
                    timestamp,
                    ..ListOffsetsPartition::default()
                }],
            }],
            ..ListOffsetsRequest::default()
        };
        self.call(9, &request).topics.remove(0).partitions.remove(0)
    }

    /// The id of a new idempotent producer.
    pub(crate) fn producer_id(&mut self) -> i64 {
        let response = self.call(
            4,
            &InitProducerIdRequest { transactional_id: None, ..InitProducerIdRequest::default() },
        );
        assert_eq!((response.error_code, response.producer_epoch), (0, 0));
        response.producer_id
    }
}

/// A record as a consumer sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Read {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) value: Vec<u8>,
}

/// The records of fetched batches, each of which must be whole and intact.
pub(crate) fn records(bytes: &Bytes) -> Vec<Read> {
    let mut read = Vec::new();
    for batch in BatchIter::new(bytes) {
        let Ok(batch) = batch else { break };
        assert!(batch.is_intact(), "the checksum at offset {}", batch.base_offset());
        if batch.is_control() {
            continue;
        }
        let codec = batch.compression().expect("a known codec");
        let payload = kalda_records::compression::decompress(codec, batch.payload(), 64 << 20);
        let payload = payload.expect("it decompresses");
        for record in kalda_records::RecordIter::new(&payload, &batch.header()) {
            let record = record.expect("a whole record");
            read.push(Read {
                offset: record.offset.0,
                timestamp: record.timestamp,
                value: record.value.unwrap_or_default().to_vec(),
            });
        }
    }
    read
}

pub(crate) fn new_topic(name: &str, partitions: i32, configs: &[(&str, &str)]) -> CreatableTopic {
    let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
    };
    CreatableTopic {
        name: name.to_owned(),
        num_partitions: partitions,
        replication_factor: 1,
        configs: configs.iter().map(config).collect(),
        ..CreatableTopic::default()
    }
}

pub(crate) fn produce_request(
    topic: &str,
    index: i32,
    acks: i16,
    records: Bytes,
) -> ProduceRequest {
    ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: topic.to_owned(),
            partition_data: vec![PartitionProduceData { index, records: Some(records) }],
            ..TopicProduceData::default()
        }],
    }
}

pub(crate) fn fetch_request(topic: &str, index: i32, offset: i64) -> FetchRequest {
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 1,
        topics: vec![FetchTopic {
            topic: topic.to_owned(),
            partitions: vec![FetchPartition {
                partition: index,
                fetch_offset: offset,
                partition_max_bytes: 1 << 20,
                ..FetchPartition::default()
            }],
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    }
}

/// The one partition of a response.
pub(crate) fn only(mut response: FetchResponse) -> PartitionData {
    assert_eq!(response.error_code, 0);
    assert_eq!(response.responses.len(), 1);
    assert_eq!(response.responses[0].partitions.len(), 1);
    response.responses.remove(0).partitions.remove(0)
}

/// What a batch is to be.
#[derive(Clone, Copy)]
pub(crate) struct Batch {
    pub(crate) producer: Producer,
    pub(crate) compression: Compression,
    pub(crate) first_timestamp: i64,
}

impl Default for Batch {
    fn default() -> Self {
        let producer = Producer::NONE;
        Self { producer, compression: Compression::None, first_timestamp: NOON }
    }
}

/// A moment in 2024, for records whose time does not matter.
pub(crate) const NOON: i64 = 1_710_000_000_000;

impl Batch {
    pub(crate) fn of(producer_id: i64, epoch: i16, base_sequence: i32) -> Self {
        let producer =
            Producer { id: ProducerId(producer_id), epoch: ProducerEpoch(epoch), base_sequence };
        Self { producer, ..Self::default() }
    }

    /// One record for each value, a millisecond apart.
    pub(crate) fn build<V: AsRef<[u8]>>(self, values: impl IntoIterator<Item = V>) -> Bytes {
        let mut builder = BatchBuilder::new(BatchOptions {
            producer: self.producer,
            compression: self.compression,
            ..BatchOptions::default()
        });
        for (timestamp, value) in (self.first_timestamp..).zip(values) {
            builder.append(timestamp, None, Some(value.as_ref()), &[]);
        }
        builder.build().expect("memory takes every write")
    }
}

/// A plain batch.
pub(crate) fn batch<V: AsRef<[u8]>>(values: impl IntoIterator<Item = V>) -> Bytes {
    Batch::default().build(values)
}
