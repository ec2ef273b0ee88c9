//! A batch as a stranger may produce it, or a disk hold it: validated, stamped, iterated,
//! decompressed. The first two bytes choose the topic's rules and how far the input is helped past
//! length and checksum, which no fuzzer guesses.
#![no_main]

use kalda_model::{LeaderEpoch, Offset};
use kalda_records::compression::{compress, decompress};
use kalda_records::{
    BATCH_OVERHEAD, BatchIter, BatchRules, BatchView, Compression, CompressionType, ControlType,
    EndTxnMarker, LOG_OVERHEAD, RecordIter, TimestampType, ValidBatch, crc32c,
};
use libfuzzer_sys::fuzz_target;

const DECOMPRESSED_BYTES_MAX: usize = 1024 * 1024;
const LENGTH_AT: usize = 8;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;

fn rules(choice: u8) -> BatchRules {
    let codec = Compression::from_id(choice & 7);
    BatchRules {
        timestamp_type: match choice & 8 {
            0 => TimestampType::CreateTime,
            _ => TimestampType::LogAppendTime,
        },
        compression: codec.map_or(CompressionType::Producer, |codec| CompressionType::Codec {
            codec,
            level: None,
        }),
        is_compacted: choice & 16 != 0,
        is_zstd_allowed: choice & 32 == 0,
        timestamp_after_max_ms: if choice & 64 == 0 { i64::MAX } else { 1000 },
        decompressed_bytes_max: DECOMPRESSED_BYTES_MAX,
        ..BatchRules::default()
    }
}

/// Makes the payload what its codec would have written, and length and checksum right.
fn help(bytes: &mut Vec<u8>, choice: u8) {
    if bytes.len() < BATCH_OVERHEAD {
        return;
    }
    let codec = Compression::from_id(bytes[ATTRIBUTES_AT + 1] & 7);
    if let (true, Some(codec)) = (choice & 2 != 0, codec) {
        let plain = bytes.split_off(BATCH_OVERHEAD);
        compress(codec, None, &plain, bytes).expect("memory does not fail");
    }
    let length = (bytes.len() - LOG_OVERHEAD) as i32;
    bytes[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c(&bytes[ATTRIBUTES_AT..]);
    bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
}

/// Walks the records of whatever is shaped like batches, as consumers and tools do.
fn iterate(bytes: &[u8]) {
    for view in BatchIter::new(bytes) {
        let Ok(view) = view else { return };
        let Some(codec) = view.compression() else { return };
        let Ok(plain) = decompress(codec, view.payload(), DECOMPRESSED_BYTES_MAX) else { return };
        assert!(plain.len() <= DECOMPRESSED_BYTES_MAX);
        for record in RecordIter::new(&plain, &view.header()) {
            let Ok(record) = record else { return };
            let _ = record.headers().take_while(Result::is_ok).count();
            if let (true, Some(key)) = (view.is_control(), record.key) {
                let _ = ControlType::from_key(key);
                let _ = record.value.and_then(|value| EndTxnMarker::parse(key, value));
            }
        }
    }
}

/// What was accepted is a batch, has the records it says, and would be accepted again.
fn check_valid(batch: &ValidBatch, rules: &BatchRules) {
    let bytes = batch.to_bytes();
    assert!(bytes.len() <= rules.max_message_bytes);
    let view = BatchView::new(&bytes).expect("what was accepted is a batch");
    assert!(view.is_intact());
    assert_eq!(view.count(), batch.facts().count);
    let plain = decompress(batch.facts().compression, view.payload(), DECOMPRESSED_BYTES_MAX);
    let plain = plain.expect("what was accepted decompresses");
    let records: Result<Vec<_>, _> = RecordIter::new(&plain, &view.header()).collect();
    let records = records.expect("the records of what was accepted can be read");
    assert_eq!(records.len(), batch.facts().count as usize);
    if rules.timestamp_type == TimestampType::CreateTime {
        let again = ValidBatch::validate(&bytes, rules).expect("it is accepted again");
        assert_eq!(again.to_bytes(), bytes);
        assert_eq!(again.facts(), batch.facts());
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&[help_choice, rules_choice], rest)) = data.split_first_chunk::<2>() else { return };
    let mut bytes = rest.to_vec();
    if help_choice & 1 != 0 {
        help(&mut bytes, help_choice);
    }
    iterate(&bytes);
    let rules = rules(rules_choice);
    let Ok(mut batch) = ValidBatch::validate(&bytes, &rules) else { return };
    batch.stamp(Offset(42), LeaderEpoch(7));
    if rules.timestamp_type == TimestampType::LogAppendTime {
        batch.stamp_append_time(1);
    }
    check_valid(&batch, &rules);
});
