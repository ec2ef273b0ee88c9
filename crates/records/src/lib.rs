//! Record batches (message format v2): seen without decoding, validated, stamped, built, compressed.
//!
//! Called by storage, the server's produce path, raft and the client. Knows no disk, no clock and
//! no wire request: it takes bytes and rules and returns bytes and facts.

mod emptied;
mod header;
mod record;
mod varint;

pub mod builder;
pub mod compression;
pub mod control;
pub mod validate;

pub use builder::{BatchBuilder, BatchOptions, NewHeader, Producer};
pub use compression::{Compression, CompressionError, CompressionType};
pub use control::{ControlType, EndTxnMarker};
pub use emptied::emptied;
pub use header::{
    BATCH_OVERHEAD, BatchHeader, BatchIter, BatchView, LOG_OVERHEAD, MAGIC_V2, MalformedBatch,
    NO_SEQUENCE, NO_TIMESTAMP, TimestampType, claimed_size, sequence_plus, stamp,
};
pub use record::{HeaderIter, MalformedRecord, RecordHeader, RecordIter, RecordView};
pub use validate::{BatchError, BatchFacts, BatchRules, RecordError, RecordFault, ValidBatch};

/// CRC32C (Castagnoli), as it guards batches and producer snapshots.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    // The algorithm yields 32 bits in a 64-bit answer.
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}
