//! The gate: what passes, what is refused and with which records named.

use proptest::prelude::*;

use super::*;
use crate::builder::{BatchBuilder, BatchOptions, NewHeader, Producer};
use crate::crc32c;
use crate::header::{BASE_SEQUENCE_AT, COUNT_AT, LAST_OFFSET_DELTA_AT, MAGIC_AT};

const NOW_MS: i64 = 1_700_000_000_000;

fn rules() -> BatchRules {
    BatchRules { now_ms: NOW_MS, ..BatchRules::default() }
}

fn three(options: BatchOptions) -> Vec<u8> {
    let mut builder = BatchBuilder::new(options);
    builder.append(NOW_MS, Some(b"key"), Some(b"value"), &[NewHeader { key: "h", value: None }]);
    builder.append(NOW_MS + 5, None, Some(&[7; 300]), &[]);
    builder.append(NOW_MS + 1, Some(b"k"), None, &[]);
    builder.build().unwrap().to_vec()
}

/// Changes bytes of a batch and makes its CRC fit again.
fn forged(mut bytes: Vec<u8>, at: usize, value: &[u8]) -> Vec<u8> {
    bytes[at..at + value.len()].copy_from_slice(value);
    let crc = crc32c(&bytes[ATTRIBUTES_AT..]);
    bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn validate(bytes: Vec<u8>, rules: &BatchRules) -> Result<ValidBatch<'static>, BatchError> {
    ValidBatch::validate(bytes.leak(), rules)
}

fn refused(bytes: Vec<u8>, rules: &BatchRules) -> BatchError {
    validate(bytes, rules).unwrap_err()
}

#[test]
fn a_good_batch_of_any_codec_passes_untouched() {
    for compression in Compression::ALL {
        let producer =
            Producer { id: ProducerId(7), epoch: ProducerEpoch(2), base_sequence: i32::MAX - 1 };
        let bytes = three(BatchOptions { compression, producer, ..BatchOptions::default() });
        let batch = validate(bytes.clone(), &rules()).unwrap();
        assert_eq!(batch.to_bytes(), bytes);
        let facts = batch.facts();
        assert_eq!((facts.count, facts.max_timestamp_delta), (3, 1));
        assert_eq!(facts.max_timestamp, NOW_MS + 5);
        assert_eq!((facts.base_sequence, facts.last_sequence), (i32::MAX - 1, 0));
        assert_eq!(facts.compression, compression);
    }
}

#[test]
fn exactly_one_whole_v2_batch_is_asked_for() {
    let one = three(BatchOptions::default());
    assert!(matches!(refused(vec![], &rules()), BatchError::NoBatch));
    assert!(matches!(refused([&one[..], &one].concat(), &rules()), BatchError::MoreThanOneBatch));
    assert!(matches!(refused([&one[..], &[0]].concat(), &rules()), BatchError::MoreThanOneBatch));
    for cut in 1..one.len() {
        assert!(
            matches!(refused(one[..cut].to_vec(), &rules()), BatchError::Malformed(_)),
            "{cut}"
        );
    }
    let mut old = one.clone();
    old[MAGIC_AT] = 1;
    assert!(matches!(refused(old, &rules()), BatchError::OldFormat));
    let negative = forged(one, LENGTH_AT, &[0xff; 4]);
    assert!(matches!(refused(negative, &rules()), BatchError::Malformed(_)));
}

#[test]
fn every_flipped_byte_under_the_crc_is_seen() {
    let good = three(BatchOptions::default());
    for at in ATTRIBUTES_AT..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x20;
        assert!(matches!(refused(bytes, &rules()), BatchError::CorruptMessage { .. }), "{at}");
    }
}

#[test]
fn the_header_must_agree_with_itself() {
    let good = || three(BatchOptions::default());
    for (at, value) in [
        (COUNT_AT, 0i32),
        (COUNT_AT, 2),
        (COUNT_AT, -1),
        (COUNT_AT, i32::MAX),
        (LAST_OFFSET_DELTA_AT, 3),
        (LAST_OFFSET_DELTA_AT, -1),
    ] {
        let error = refused(forged(good(), at, &value.to_be_bytes()), &rules());
        assert!(matches!(error, BatchError::Count { .. }), "{at} {value}: {error}");
    }
    // Only an idempotent producer's sequence means anything: others leave what they like there.
    let sequence = forged(good(), BASE_SEQUENCE_AT, &5i32.to_be_bytes());
    assert!(validate(sequence, &rules()).is_ok());
    let producer = Producer { id: ProducerId(7), epoch: ProducerEpoch(2), base_sequence: 0 };
    let idempotent = three(BatchOptions { producer, ..BatchOptions::default() });
    let sequence = forged(idempotent, BASE_SEQUENCE_AT, &(-1i32).to_be_bytes());
    assert!(matches!(refused(sequence, &rules()), BatchError::Sequence { .. }));
    let attributes = |bits: i16| forged(good(), ATTRIBUTES_AT, &bits.to_be_bytes());
    assert!(matches!(refused(attributes(0x20), &rules()), BatchError::ControlBatch));
    assert!(matches!(refused(attributes(0x05), &rules()), BatchError::UnknownCompression));
    assert!(matches!(refused(attributes(0x08), &rules()), BatchError::ProducerSetAppendTime));
    assert!(matches!(
        refused(attributes(0x10), &rules()),
        BatchError::TransactionalWithoutProducer
    ));
    assert!(matches!(refused(attributes(0x01), &rules()), BatchError::Undecodable(_)));
}

#[test]
fn fewer_or_more_records_than_the_header_says_are_refused() {
    for compression in Compression::ALL {
        let bytes = three(BatchOptions { compression, ..BatchOptions::default() });
        let more = forged(bytes.clone(), COUNT_AT, &4i32.to_be_bytes());
        let more = forged(more, LAST_OFFSET_DELTA_AT, &3i32.to_be_bytes());
        let error = refused(more, &rules());
        assert!(
            matches!(&error, BatchError::InvalidRecord(errors) if errors[0].index == 3),
            "{compression:?}: {error}"
        );
        let fewer = forged(bytes, COUNT_AT, &2i32.to_be_bytes());
        let fewer = forged(fewer, LAST_OFFSET_DELTA_AT, &1i32.to_be_bytes());
        assert!(matches!(refused(fewer, &rules()), BatchError::TrailingBytes), "{compression:?}");
    }
}

#[test]
fn every_record_that_breaks_a_topics_rule_is_named() {
    let rules_of_compacted = BatchRules { is_compacted: true, ..rules() };
    let error = refused(three(BatchOptions::default()), &rules_of_compacted);
    let BatchError::InvalidRecord(errors) = error else { panic!("{error}") };
    assert_eq!(errors, [RecordError { index: 1, fault: RecordFault::NoKey }]);

    let early = BatchRules { now_ms: NOW_MS - 10, timestamp_after_max_ms: 10, ..rules() };
    let error = refused(three(BatchOptions::default()), &early);
    let BatchError::InvalidTimestamp(errors) = error else { panic!("{error}") };
    assert_eq!(errors.iter().map(|error| error.index).collect::<Vec<_>>(), [1, 2]);
    let late = BatchRules { now_ms: NOW_MS + 10, timestamp_before_max_ms: 5, ..rules() };
    let error = refused(three(BatchOptions::default()), &late);
    let BatchError::InvalidTimestamp(errors) = error else { panic!("{error}") };
    assert_eq!(errors.iter().map(|error| error.index).collect::<Vec<_>>(), [0, 2]);
    let stamped_here = BatchRules { timestamp_type: TimestampType::LogAppendTime, ..late };
    assert!(validate(three(BatchOptions::default()), &stamped_here).is_ok());
}

#[test]
fn gaps_between_offsets_are_refused() {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.append_at(0, NOW_MS, None, None, &[]);
    builder.append_at(2, NOW_MS, None, None, &[]);
    let bytes = forged(builder.build().unwrap().to_vec(), LAST_OFFSET_DELTA_AT, &[0, 0, 0, 1]);
    let error = refused(bytes, &rules());
    let BatchError::InvalidRecord(errors) = error else { panic!("{error}") };
    assert_eq!(errors, [RecordError { index: 1, fault: RecordFault::OffsetDelta(2) }]);
}

#[test]
fn sizes_are_limited_before_and_after_decompression() {
    let bytes = three(BatchOptions::default());
    let tight = BatchRules { max_message_bytes: bytes.len() - 1, ..rules() };
    assert!(matches!(refused(bytes, &tight), BatchError::MessageTooLarge { .. }));

    for compression in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
    {
        let mut builder =
            BatchBuilder::new(BatchOptions { compression, ..BatchOptions::default() });
        builder.append(NOW_MS, None, Some(&vec![0; 20_000_000]), &[]);
        let bomb = builder.build().unwrap();
        assert!(bomb.len() < 1_048_588, "{compression:?}");
        let rules = BatchRules { decompressed_bytes_max: 1 << 20, ..rules() };
        let error = refused(bomb.to_vec(), &rules);
        assert!(
            matches!(error, BatchError::DecompressedTooLarge { .. }),
            "{compression:?} {error}"
        );
    }
}

#[test]
fn zstd_needs_a_version_that_knows_it() {
    let bytes = three(BatchOptions { compression: Compression::Zstd, ..BatchOptions::default() });
    let old = BatchRules { is_zstd_allowed: false, ..rules() };
    assert!(matches!(refused(bytes, &old), BatchError::UnsupportedCompressionType));
}

#[test]
fn the_topics_codec_and_clock_win() {
    for from in Compression::ALL {
        for codec in Compression::ALL {
            let compression = CompressionType::Codec { codec, level: None };
            let rules = BatchRules { compression, ..rules() };
            let bytes = three(BatchOptions { compression: from, ..BatchOptions::default() });
            let mut batch = validate(bytes, &rules).unwrap();
            assert_eq!(batch.facts().compression, codec);
            batch.stamp(Offset(90), LeaderEpoch(4));
            batch.stamp_append_time(NOW_MS + 99);
            let again = validate(
                batch.to_bytes().to_vec(),
                &BatchRules { timestamp_type: TimestampType::LogAppendTime, ..rules },
            );
            assert_eq!(again.unwrap().facts().max_timestamp, NOW_MS + 99, "{from:?} {codec:?}");
            let bytes = batch.to_bytes();
            let view = BatchView::new(&bytes).unwrap();
            assert_eq!((view.base_offset(), view.leader_epoch()), (Offset(90), LeaderEpoch(4)));
            assert_eq!(view.timestamp_type(), TimestampType::LogAppendTime);
        }
    }
}

#[test]
fn a_lying_max_timestamp_is_set_right() {
    let lie = forged(three(BatchOptions::default()), MAX_TIMESTAMP_AT, &1i64.to_be_bytes());
    let batch = validate(lie, &rules()).unwrap();
    assert_eq!(batch.to_bytes(), three(BatchOptions::default()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever bytes stand behind a CRC that fits: an answer, never a panic.
    #[test]
    fn forged_batches_never_panic(
        at in ATTRIBUTES_AT..400usize,
        value in prop::collection::vec(any::<u8>(), 1..12),
        codec in 0..5usize,
    ) {
        let compression = Compression::ALL[codec];
        let bytes = three(BatchOptions { compression, ..BatchOptions::default() });
        let at = at.min(bytes.len() - value.len());
        let rules = BatchRules { decompressed_bytes_max: 1 << 20, ..rules() };
        let _ = validate(forged(bytes.clone(), at, &value), &rules);
        let forged = forged(bytes, at, &value);
        let view = BatchView::new(&forged).unwrap();
        for record in view.records().flatten() {
            prop_assert!(record.headers().count() <= record.header_count());
        }
    }

    #[test]
    fn any_bytes_at_all_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(validate(bytes.clone(), &rules()).is_err());
        for codec in Compression::ALL {
            let _ = decompress(codec, &bytes, 1 << 16);
        }
    }

    #[test]
    fn what_is_built_is_what_is_read(
        records in prop::collection::vec(
            (
                0..1_000_000i64,
                prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
                prop::option::of(prop::collection::vec(any::<u8>(), 0..400)),
                prop::collection::vec(("[a-z]{0,8}", prop::option::of(any::<[u8; 3]>())), 0..3),
            ),
            1..30,
        ),
        codec in 0..5usize,
    ) {
        let compression = Compression::ALL[codec];
        let mut builder = BatchBuilder::new(BatchOptions { compression, ..BatchOptions::default() });
        for (timestamp, key, value, headers) in &records {
            let headers: Vec<_> = headers
                .iter()
                .map(|(key, value)| NewHeader { key, value: value.as_ref().map(|v| &v[..]) })
                .collect();
            let before = builder.size_uncompressed();
            let most = BatchBuilder::record_size_max(key.as_deref(), value.as_deref(), &headers);
            builder.append(*timestamp, key.as_deref(), value.as_deref(), &headers);
            prop_assert!(builder.size_uncompressed() - before <= most);
        }
        let bytes = builder.build().unwrap();
        let rules = BatchRules { now_ms: 0, ..rules() };
        prop_assert_eq!(validate(bytes.to_vec(), &rules).unwrap().facts().count as usize, records.len());
        let view = BatchView::new(&bytes).unwrap();
        let payload = decompress(compression, view.payload(), 1 << 24).unwrap();
        let read = crate::record::RecordIter::new(&payload, &view.header());
        for ((index, record), (timestamp, key, value, headers)) in read.enumerate().zip(&records) {
            let record = record.unwrap();
            prop_assert_eq!(record.offset, Offset(index as i64));
            prop_assert_eq!(record.timestamp, *timestamp);
            prop_assert_eq!(record.key, key.as_deref());
            prop_assert_eq!(record.value, value.as_deref());
            for (header, (key, value)) in record.headers().zip(headers) {
                let header = header.unwrap();
                prop_assert_eq!(header.key, key.as_bytes());
                prop_assert_eq!(header.value, value.as_ref().map(|v| &v[..]));
            }
        }
    }
}
