//! Batches in, records out: positions, codecs, control batches, aborted transactions, damage.

use kalda_model::{ProducerEpoch, ProducerId};
use kalda_records::{BatchBuilder, BatchOptions, EndTxnMarker, NewHeader, Producer};

use super::*;

fn batch(base: i64, values: &[&str], options: BatchOptions) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchOptions { base_offset: Offset(base), ..options });
    for value in values {
        let header = NewHeader { key: "h", value: None };
        builder.append(1000, None, Some(value.as_bytes()), &[header]);
    }
    builder.build().unwrap().to_vec()
}

fn transactional(producer: i64) -> BatchOptions {
    let id = ProducerId(producer);
    let producer = Producer { id, epoch: ProducerEpoch(0), base_sequence: 0 };
    BatchOptions { producer, is_transactional: true, ..BatchOptions::default() }
}

fn marker(base: i64, producer: i64, committed: bool) -> Vec<u8> {
    let options = BatchOptions { is_control: true, ..transactional(producer) };
    let mut builder = BatchBuilder::new(BatchOptions { base_offset: Offset(base), ..options });
    let marker = EndTxnMarker { committed, coordinator_epoch: 0 };
    builder.append(1000, Some(&marker.key()), Some(&marker.value()), &[]);
    builder.build().unwrap().to_vec()
}

fn fetched(from: i64, bytes: Vec<u8>, aborted: Vec<AbortedTransaction>) -> Fetched {
    let answer = Answer { high_watermark: 100, aborted, records: bytes.into() };
    let partition = TopicPartition::new("t", 0);
    Fetched::new(partition, from, answer, IsolationLevel::ReadCommitted, true)
}

fn values(records: &[ConsumedRecord]) -> Vec<(i64, &str)> {
    let text = |record: &ConsumedRecord| -> (i64, String) {
        let value = record.value.clone().unwrap();
        (record.offset.0, String::from_utf8(value.to_vec()).unwrap())
    };
    records
        .iter()
        .map(|record| {
            let (offset, text) = text(record);
            (offset, &*text.leak())
        })
        .collect()
}

fn all(fetched: &mut Fetched) -> Vec<ConsumedRecord> {
    let mut records = Vec::new();
    fetched.take(1000, &mut records).unwrap();
    assert!(fetched.is_empty());
    records
}

#[test]
fn every_codec_is_read_from_the_middle_of_a_batch() {
    for compression in Compression::ALL {
        let options = BatchOptions { compression, ..BatchOptions::default() };
        let mut fetched = fetched(11, batch(10, &["a", "b", "c"], options), vec![]);
        let records = all(&mut fetched);
        assert_eq!(values(&records), [(11, "b"), (12, "c")], "{compression:?}");
        assert_eq!(records[0].headers, [(Bytes::from_static(b"h"), None)]);
        assert_eq!(fetched.next_offset(), 13);
    }
}

#[test]
fn records_are_handed_out_in_portions() {
    let mut bytes = batch(0, &["a", "b", "c"], BatchOptions::default());
    bytes.extend(batch(3, &["d"], BatchOptions::default()));
    let mut fetched = fetched(0, bytes, vec![]);
    let mut records = Vec::new();
    fetched.take(2, &mut records).unwrap();
    assert_eq!((values(&records), fetched.next_offset()), (vec![(0, "a"), (1, "b")], 2));
    fetched.take(2, &mut records).unwrap();
    assert_eq!((records.len(), fetched.next_offset()), (4, 4));
}

#[test]
fn aborted_records_and_markers_are_left_out_and_the_position_passes_them() {
    let mut bytes = batch(0, &["aborted"], transactional(7));
    bytes.extend(batch(1, &["kept"], transactional(8)));
    bytes.extend(marker(2, 7, false));
    bytes.extend(batch(3, &["later"], transactional(7)));
    bytes.extend(marker(4, 7, true));
    let aborted = vec![AbortedTransaction { producer_id: 7, first_offset: 0 }];
    let mut fetched = fetched(0, bytes, aborted);
    assert_eq!(values(&all(&mut fetched)), [(1, "kept"), (3, "later")]);
    assert_eq!(fetched.next_offset(), 5);
}

#[test]
fn a_batch_that_is_cut_off_waits_for_the_next_fetch() {
    let mut bytes = batch(0, &["a"], BatchOptions::default());
    let second = batch(1, &["b"], BatchOptions::default());
    bytes.extend(&second[..second.len() - 1]);
    let mut fetched = fetched(0, bytes, vec![]);
    assert_eq!(values(&all(&mut fetched)), [(0, "a")]);
    assert_eq!(fetched.next_offset(), 1);
}

#[test]
fn damage_is_told_with_its_place() {
    let mut bytes = batch(5, &["abc"], BatchOptions::default());
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    let error = fetched(5, bytes, vec![]).take(10, &mut Vec::new()).unwrap_err();
    let text = "Record batch for partition t-0 at offset 5 is invalid";
    assert!(error.to_string().starts_with(text), "{error}");
}
