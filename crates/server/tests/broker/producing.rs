//! Produce: every version, several batches, what settings do to the bytes, idempotence through
//! restarts.

use bytes::Bytes;
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::fetch::FetchRequest;
use kalda_protocol::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use kalda_records::{BatchIter, Compression, TimestampType};

use crate::client::{Batch, NOON, batch, fetch_request, only, produce_request, records};
use crate::rig::Rig;

#[test]
fn every_version_of_produce_is_read_back_by_every_version_of_fetch() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    let id = client.create("t", 2, &[]);
    let mut expected = Vec::new();
    for version in 3..=13 {
        let mut request = produce_request("t", 1, -1, batch([format!("v{version}"), "x".into()]));
        request.topic_data[0].topic_id = id;
        let mut response = client.call(version, &request);
        let topic = response.responses.remove(0);
        assert_eq!(topic.name.is_empty(), version >= 13, "named by id from 13 on");
        let produced = &topic.partition_responses[0];
        assert_eq!((produced.index, produced.error_code), (1, 0), "v{version}");
        assert_eq!(produced.base_offset, expected.len() as i64);
        expected.extend([format!("v{version}"), "x".into()]);
    }
    for version in 4..=18 {
        let mut request = fetch_request("t", 1, 0);
        request.topics[0].topic_id = id;
        let fetched = only(client.call::<FetchRequest>(version, &request));
        assert_eq!((fetched.error_code, fetched.high_watermark), (0, 22), "v{version}");
        assert_eq!((fetched.last_stable_offset, fetched.partition_index), (22, 1));
        let read = records(&fetched.records.unwrap());
        assert_eq!(
            read.iter().map(|one| one.offset).collect::<Vec<_>>(),
            (0..22).collect::<Vec<_>>()
        );
        assert!(read.iter().zip(&expected).all(|(one, value)| one.value == value.as_bytes()));
    }
}

#[test]
fn partitions_of_one_request_succeed_and_fail_on_their_own() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("t", 1, &[]);
    let mut damaged = batch(["x"]).to_vec();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let data = |index, records: Bytes| PartitionProduceData { index, records: Some(records) };
    let request = ProduceRequest {
        acks: 1,
        timeout_ms: 30_000,
        topic_data: vec![
            TopicProduceData {
                name: "t".into(),
                partition_data: vec![
                    data(0, damaged.into()),
                    data(7, batch(["x"])),
                    data(0, batch(["good"])),
                    data(0, Bytes::new()),
                ],
                ..TopicProduceData::default()
            },
            TopicProduceData {
                name: "../etc".into(),
                partition_data: vec![data(0, batch(["x"]))],
                ..TopicProduceData::default()
            },
        ],
        ..ProduceRequest::default()
    };
    for (round, version) in (3..=12).enumerate() {
        let response = client.call(version, &request);
        let codes = response.responses.iter().flat_map(|topic| &topic.partition_responses);
        let codes: Vec<_> = codes.map(|partition| partition.error_code).collect();
        let [corrupt, unknown, invalid] = [
            ErrorCode::CorruptMessage,
            ErrorCode::UnknownTopicOrPartition,
            ErrorCode::InvalidRecord,
        ]
        .map(|code| code.code());
        assert_eq!(codes, [corrupt, unknown, 0, invalid, unknown], "v{version}");
        assert_eq!(response.responses[0].partition_responses[2].base_offset, round as i64);
    }
    let refused = client.call(9, &ProduceRequest { acks: 7, ..request });
    let code = refused.responses[0].partition_responses[2].error_code;
    assert_eq!(code, ErrorCode::InvalidRequiredAcks.code());
    assert_eq!(client.read_all("t", 0, 0).len(), 10);
}

#[test]
fn pipelined_requests_are_answered_in_order_even_beyond_the_memory_for_requests() {
    // One request of these fits the budget, two do not: the broker must answer to go on.
    let rig = Rig::start(&[("queued.max.request.bytes", "500000")]);
    let mut client = rig.client();
    client.create("t", 1, &[]);
    let request = produce_request("t", 0, -1, batch([vec![b'x'; 300_000]]));
    let mut writer = rig.client();
    for _ in 0..8 {
        writer.send(9, &request).unwrap();
    }
    for offset in 0..8 {
        let response = writer.receive::<ProduceRequest>(9).unwrap();
        assert_eq!(response.responses[0].partition_responses[0].base_offset, offset);
    }
    assert_eq!(client.read_all("t", 0, 0).len(), 8);
}

#[test]
fn without_acks_nothing_is_answered_and_what_follows_sees_the_records() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("t", 1, &[]);
    client.send(9, &produce_request("t", 0, 0, batch(["silent"]))).unwrap();
    // The silent request has no answer that could carry its number.
    client.skip_answer();
    assert_eq!(client.fetch("t", 0, 0).high_watermark, 1);
    client.send(9, &produce_request("nobody", 0, 0, batch(["x"]))).unwrap();
    assert!(client.is_closed_by_broker(), "an error is told by closing");
}

/// Sends a batch of two records with these first sequences.
fn produce(rig: &Rig, (id, epoch, sequence): (i64, i16, i32)) -> PartitionProduceResponse {
    let values = [format!("{sequence}"), format!("{}", sequence + 1)];
    rig.client().produce("t", 0, Batch::of(id, epoch, sequence).build(values))
}

#[test]
fn an_idempotent_producer_is_known_before_and_after_every_kind_of_restart() {
    let mut rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("t", 1, &[]);
    let id = client.producer_id();
    let fenced = client.producer_id();
    for batch in 0..7 {
        assert_eq!(produce(&rig, (id, 3, batch * 2)).base_offset, i64::from(batch) * 2);
    }
    assert_eq!(produce(&rig, (fenced, 0, 0)).base_offset, 14);
    let code = |error: ErrorCode| error.code();
    for restart in ["none", "clean", "kill", "clean", "kill", "kill"] {
        rig = match restart {
            "clean" => rig.restart(),
            "kill" => rig.restart_killed(),
            _ => rig,
        };
        for batch in 2..7 {
            let again = produce(&rig, (id, 3, batch * 2));
            let found = (again.error_code, again.base_offset);
            assert_eq!(found, (0, i64::from(batch) * 2), "{restart}");
        }
        let gap = produce(&rig, (id, 3, 16));
        assert_eq!(gap.error_code, code(ErrorCode::OutOfOrderSequenceNumber), "{restart}");
        let forgotten = produce(&rig, (id, 3, 2));
        assert_eq!(forgotten.error_code, code(ErrorCode::OutOfOrderSequenceNumber), "{restart}");
        let old = produce(&rig, (id, 2, 14));
        assert_eq!(old.error_code, code(ErrorCode::InvalidProducerEpoch), "{restart}");
        let mut client = rig.client();
        assert_eq!(client.read_all("t", 0, 0).len(), 16, "{restart}: nothing was doubled");
        let newer = client.producer_id();
        assert!(newer > fenced, "an id is never given twice");
    }
    assert_eq!(produce(&rig, (id, 3, 14)).base_offset, 16, "it goes on where it was");
    assert_eq!(produce(&rig, (id, 4, 0)).base_offset, 18, "a new epoch begins at 0");
}

#[test]
fn settings_of_the_topic_decide_the_bytes_in_the_log() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("t", 1, &[]);
    let values: Vec<String> = (0..200).map(|n| format!("value {}", n % 3)).collect();
    let gzip = Batch { compression: Compression::Gzip, ..Batch::default() };
    let produce = |client: &mut crate::client::Client| client.produce("t", 0, gzip.build(&values));
    let produced = produce(&mut client);
    assert_eq!((produced.base_offset, produced.log_append_time_ms), (0, -1));
    client.alter("t", &[("compression.type", "lz4")]);
    assert_eq!(produce(&mut client).base_offset, 200);
    client.alter("t", &[("message.timestamp.type", "LogAppendTime")]);
    let stamped = produce(&mut client);
    assert!(stamped.log_append_time_ms > NOON);
    client.alter("t", &[("compression.type", "uncompressed")]);
    assert_eq!(produce(&mut client).base_offset, 600);
    // The stamped batch is so much younger that it begins a segment, where an answer ends.
    let mut bytes = client.fetch("t", 0, 0).records.unwrap().to_vec();
    bytes.extend(client.fetch("t", 0, 400).records.unwrap());
    let bytes = Bytes::from(bytes);
    let batches: Vec<_> = BatchIter::new(&bytes).map(|batch| batch.unwrap().header()).collect();
    let codecs: Vec<_> = BatchIter::new(&bytes).map(|batch| batch.unwrap().compression()).collect();
    let expected = [Compression::Gzip, Compression::Lz4, Compression::Lz4, Compression::None];
    assert_eq!(codecs, expected.map(Some));
    assert_eq!(
        batches.iter().map(|one| one.append_time().is_some()).collect::<Vec<_>>(),
        [false, false, true, true]
    );
    let view = BatchIter::new(&bytes).nth(2).unwrap().unwrap();
    assert_eq!(view.timestamp_type(), TimestampType::LogAppendTime);
    let read = records(&bytes);
    assert_eq!(read[0].timestamp, NOON);
    assert_eq!(read[199].timestamp, NOON + 199);
    assert_eq!(read[400].timestamp, stamped.log_append_time_ms);
    assert!(
        read.iter().zip(values.iter().cycle()).all(|(one, value)| one.value == value.as_bytes())
    );
    client.alter("t", &[("max.message.bytes", "100")]);
    assert_eq!(produce(&mut client).error_code, ErrorCode::MessageTooLarge.code());
}

#[test]
fn page_cache_mode_acknowledges_before_the_disk_and_survives_a_kill() {
    let rig = Rig::start(&[]);
    let mut client = rig.client();
    client.create("t", 1, &[("flush.messages", "1000000"), ("flush.ms", "1000000")]);
    for n in 0..50 {
        assert_eq!(client.produce_ok("t", 0, batch([format!("{n}")])), n);
    }
    let rig = rig.restart_killed();
    let mut client = rig.client();
    assert_eq!(client.read_all("t", 0, 0).len(), 50);
    client.alter("t", &[("flush.messages", "1")]);
    assert_eq!(client.produce_ok("t", 0, batch(["durable"])), 50);
    assert_eq!(rig.restart().client().read_all("t", 0, 0).len(), 51);
}
