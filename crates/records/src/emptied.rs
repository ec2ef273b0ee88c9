//! What compaction leaves of a batch whose records are all gone, and which must not go itself: its
//! header. A producer's last sequence and the last offset of a segment live on in it.

use bytes::Bytes;

use crate::crc32c;
use crate::header::{
    ATTRIBUTES_AT, BASE_TIMESTAMP_AT, BATCH_OVERHEAD, BatchView, COMPRESSION_MASK, COUNT_AT,
    CRC_AT, DELETE_HORIZON_BIT, LENGTH_AT, LOG_OVERHEAD, NO_TIMESTAMP,
};

/// `batch` without its records, offsets and producer and largest timestamp kept
/// (`DefaultRecordBatch.writeEmptyHeader`).
#[must_use]
pub fn emptied(batch: &BatchView<'_>) -> Bytes {
    let mut bytes = batch.bytes()[..BATCH_OVERHEAD].to_vec();
    let attributes = batch.attributes() & !(COMPRESSION_MASK | DELETE_HORIZON_BIT);
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(LENGTH_AT, &((BATCH_OVERHEAD - LOG_OVERHEAD) as i32).to_be_bytes());
    put(ATTRIBUTES_AT, &attributes.to_be_bytes());
    put(BASE_TIMESTAMP_AT, &NO_TIMESTAMP.to_be_bytes());
    put(COUNT_AT, &0_i32.to_be_bytes());
    let crc = crc32c(&bytes[ATTRIBUTES_AT..]);
    bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

#[cfg(test)]
mod tests {
    use kalda_model::{Offset, ProducerEpoch, ProducerId};

    use super::*;
    use crate::{BatchBuilder, BatchOptions, Compression, Producer};

    #[test]
    fn the_header_says_the_same_of_producer_and_offsets() {
        let producer = Producer { id: ProducerId(7), epoch: ProducerEpoch(2), base_sequence: 40 };
        let mut builder = BatchBuilder::new(BatchOptions {
            producer,
            compression: Compression::Zstd,
            base_offset: Offset(100),
            delete_horizon_ms: Some(9),
            ..BatchOptions::default()
        });
        builder.append(5, Some(b"k"), None, &[]);
        builder.append(6, Some(b"k"), None, &[]);
        let full = builder.build().unwrap();
        let full = BatchView::new(&full).unwrap();
        let bytes = emptied(&full);
        let empty = BatchView::new(&bytes).unwrap();
        assert!(empty.is_intact());
        assert_eq!((empty.count(), empty.size()), (0, BATCH_OVERHEAD));
        assert_eq!((empty.base_offset(), empty.last_offset()), (Offset(100), Offset(101)));
        assert_eq!((empty.producer_id(), empty.last_sequence()), (ProducerId(7), 41));
        assert_eq!((empty.max_timestamp(), empty.delete_horizon_ms()), (6, None));
        assert_eq!(empty.compression(), Some(Compression::None));
        assert_eq!(empty.records().count(), 0);
    }
}
