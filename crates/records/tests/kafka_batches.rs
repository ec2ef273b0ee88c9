//! Batches that Apache Kafka's Java client (4.1) wrote, as `testdata/kafka_batches.txt` holds them:
//! one per codec with the same three records, and a transaction marker.

#![expect(clippy::unwrap_used, reason = "these are tests, and so are their helpers")]

use kalda_model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use kalda_records::compression::decompress;
use kalda_records::{
    BatchBuilder, BatchOptions, BatchRules, BatchView, Compression, EndTxnMarker, NO_SEQUENCE,
    NewHeader, Producer, RecordIter, ValidBatch,
};

const AT_MS: i64 = 1_700_000_000_000;
const LONG_VALUE: &[u8] = &[b'a'; 80];

fn kafkas(name: &str) -> Vec<u8> {
    let text = include_str!("../testdata/kafka_batches.txt");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).unwrap();
    let digit = |at: usize| u8::from_str_radix(&line[at..at + 2], 16).unwrap();
    (0..line.len()).step_by(2).map(digit).collect()
}

fn producer(base_sequence: i32) -> Producer {
    Producer { id: ProducerId(77), epoch: ProducerEpoch(4), base_sequence }
}

fn ours(compression: Compression) -> bytes::Bytes {
    let options = BatchOptions {
        compression,
        producer: producer(9),
        is_transactional: true,
        ..BatchOptions::default()
    };
    let mut builder = BatchBuilder::new(options);
    let headers =
        [NewHeader { key: "h", value: Some(b"v") }, NewHeader { key: "empty", value: None }];
    builder.append(AT_MS, Some(b"key"), Some(b"value"), &headers);
    builder.append(AT_MS + 5, None, Some(LONG_VALUE), &[]);
    builder.append(AT_MS - 1, Some(b"k"), None, &[]);
    builder.build().unwrap()
}

#[test]
fn every_codec_of_the_java_client_is_read() {
    for codec in Compression::ALL {
        let bytes = kafkas(codec.name());
        let rules = BatchRules { now_ms: AT_MS, ..BatchRules::default() };
        let batch = ValidBatch::validate(&bytes, &rules).unwrap();
        let facts = batch.facts();
        assert_eq!((facts.count, facts.base_sequence, facts.last_sequence), (3, 9, 11));
        assert_eq!((facts.producer_id, facts.producer_epoch), (ProducerId(77), ProducerEpoch(4)));
        assert_eq!((facts.max_timestamp, facts.max_timestamp_delta), (AT_MS + 5, 1));
        assert!(facts.is_transactional && !facts.is_control);

        let view = BatchView::new(&bytes).unwrap();
        let payload = decompress(codec, view.payload(), 1 << 20).unwrap();
        let records: Vec<_> =
            RecordIter::new(&payload, &view.header()).map(|record| record.unwrap()).collect();
        assert_eq!(records[0].key, Some(&b"key"[..]));
        assert_eq!(records[0].headers().count(), 2);
        assert_eq!((records[1].key, records[1].value), (None, Some(LONG_VALUE)));
        assert_eq!((records[2].value, records[2].timestamp), (None, AT_MS - 1));
    }
}

#[test]
fn what_is_built_is_what_the_java_client_builds() {
    assert_eq!(ours(Compression::None), kafkas("none"));
    for codec in Compression::ALL {
        let (ours, kafkas) = (ours(codec), kafkas(codec.name()));
        let (ours, kafkas) = (BatchView::new(&ours).unwrap(), BatchView::new(&kafkas).unwrap());
        let ours = decompress(codec, ours.payload(), 1 << 20).unwrap();
        assert_eq!(ours, decompress(codec, kafkas.payload(), 1 << 20).unwrap(), "{codec:?}");
    }
}

#[test]
fn a_marker_is_built_as_kafka_builds_it() {
    let marker = EndTxnMarker { committed: true, coordinator_epoch: 6 };
    let mut builder = BatchBuilder::new(BatchOptions {
        producer: producer(NO_SEQUENCE),
        is_transactional: true,
        is_control: true,
        base_offset: Offset(0),
        leader_epoch: LeaderEpoch(0),
        ..BatchOptions::default()
    });
    builder.append(AT_MS, Some(&marker.key()), Some(&marker.value()), &[]);
    let bytes = builder.build().unwrap();
    assert_eq!(bytes, kafkas("marker"));
    let view = BatchView::new(&bytes).unwrap();
    let record = view.records().next().unwrap().unwrap();
    let parsed = EndTxnMarker::parse(record.key.unwrap(), record.value.unwrap());
    assert_eq!(parsed, Some(marker));
}
