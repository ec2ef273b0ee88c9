//! Produce as it is read and written by hand, against the derived codec, in every version.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::{Bytes, BytesMut};
use kalda_protocol::messages::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use kalda_protocol::produce::{self, ProduceView, ProduceWriter};
use kalda_protocol::testing::sample;
use kalda_protocol::{ApiKey, ErrorCode, Message as _, RequestHeader};

const SEEDS: u64 = 200;

fn owned(view: &ProduceView<'_>) -> ProduceRequest {
    let topics = view.topics().map(|topic| TopicProduceData {
        name: topic.name.to_owned(),
        topic_id: topic.id,
        partition_data: topic
            .partitions()
            .map(|partition| PartitionProduceData {
                index: partition.index,
                records: partition.records.map(Bytes::copy_from_slice),
            })
            .collect(),
    });
    ProduceRequest {
        transactional_id: view.transactional_id.map(str::to_owned),
        acks: view.acks,
        timeout_ms: view.timeout_ms,
        topic_data: topics.collect(),
    }
}

#[test]
fn a_view_shows_what_the_derived_codec_reads() {
    for version in ProduceRequest::VERSIONS {
        for seed in 0..SEEDS {
            let request: ProduceRequest = sample(seed, version).unwrap();
            let header = RequestHeader {
                api_key: ApiKey::Produce,
                api_version: version,
                correlation_id: 3,
                client_id: (seed % 2 == 0).then(|| "client".to_owned()),
            };
            let mut frame = BytesMut::new();
            header.encode(&mut frame).unwrap();
            request.encode(&mut frame, version).unwrap();
            let body = produce::body(&frame, version).unwrap();
            let view = ProduceView::read(body, version).unwrap();
            assert_eq!(owned(&view), request, "v{version}");
            assert_eq!(view.topic_count(), request.topic_data.len());
            for length in 0..body.len() {
                let cut = ProduceView::read(&body[..length], version);
                assert!(cut.is_err(), "v{version}: {length} of {} bytes", body.len());
            }
        }
    }
    assert!(ProduceView::read(&[0; 64], 2).is_err());
}

/// Whatever the bytes are, both say the same of them.
#[test]
fn both_agree_on_bytes_that_were_tampered_with() {
    for version in ProduceRequest::VERSIONS {
        for seed in 0..SEEDS {
            let request: ProduceRequest = sample(seed, version).unwrap();
            let mut body = BytesMut::new();
            request.encode(&mut body, version).unwrap();
            for at in (0..body.len()).step_by(3) {
                let mut tampered = body.clone();
                tampered[at] ^= 0x80 | seed as u8;
                let derived = ProduceRequest::decode(&mut tampered.clone().freeze(), version);
                let by_hand = ProduceView::read(&tampered, version).map(|view| owned(&view));
                assert_eq!(by_hand.ok(), derived.ok(), "v{version} byte {at}");
            }
        }
    }
}

#[test]
fn what_is_written_piece_by_piece_is_what_the_derived_codec_writes() {
    for version in ProduceResponse::VERSIONS {
        for seed in 0..SEEDS {
            let mut response: ProduceResponse = sample(seed, version).unwrap();
            response.throttle_time_ms = 0;
            let mut expected = BytesMut::new();
            response.encode(&mut expected, version).unwrap();
            // The writer takes names and counts from the request.
            let topics = response.responses.iter().map(|topic| TopicProduceData {
                name: topic.name.clone(),
                topic_id: topic.topic_id,
                partition_data: vec![
                    PartitionProduceData::default();
                    topic.partition_responses.len()
                ],
            });
            let request =
                ProduceRequest { topic_data: topics.collect(), ..ProduceRequest::default() };
            let request = with_records(request);
            let mut body = BytesMut::new();
            request.encode(&mut body, version).unwrap();
            let view = ProduceView::read(&body, version).unwrap();
            let mut out = BytesMut::new();
            let mut writer = ProduceWriter::begin(&mut out, version, view.topic_count()).unwrap();
            let mut answers = Vec::new();
            for (topic, answered) in view.topics().zip(&response.responses) {
                writer.topic(&mut out, &topic).unwrap();
                for partition in &answered.partition_responses {
                    answers.push(writer.partition(&mut out, partition).unwrap());
                }
                writer.end_topic(&mut out).unwrap();
            }
            writer.finish(&mut out, &response.node_endpoints).unwrap();
            assert_eq!(out, expected, "v{version}");

            for answer in answers {
                answer.fail(&mut out, ErrorCode::RequestTimedOut);
            }
            for partition in
                response.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses)
            {
                partition.error_code = ErrorCode::RequestTimedOut.code();
                partition.base_offset = -1;
            }
            assert_eq!(ProduceResponse::decode(&mut out.freeze(), version), Ok(response));
        }
    }
}

fn with_records(mut request: ProduceRequest) -> ProduceRequest {
    for partition in request.topic_data.iter_mut().flat_map(|topic| &mut topic.partition_data) {
        partition.records = Some(Bytes::from_static(b"batch"));
    }
    request
}
