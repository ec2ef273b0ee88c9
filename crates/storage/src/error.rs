//! What can go wrong, sorted by whose fault it is: the disk's, the client's, a peer's.

use std::io;
use std::path::PathBuf;

use kalda_model::{Offset, ProducerEpoch, ProducerId};
use kalda_records::{BatchError, MalformedBatch};
use thiserror::Error;

/// The disk's fault, or that of what stands on it.
#[derive(Debug, Error)]
pub enum StorageError {
    /// The file system refused. The log directory should go offline.
    #[error("disk error at {}: {source}", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{} is damaged: {reason}", path.display())]
    Corrupt {
        /// Which.
        path: PathBuf,
        /// In what way.
        reason: String,
    },
    /// A failed write could not be taken back; the log refuses everything until it is opened anew.
    #[error("the log in {} is closed after a failed write", path.display())]
    Poisoned {
        /// The partition's directory.
        path: PathBuf,
    },
    /// Another process holds the log directory.
    #[error(
        "{} is in use: another process holds its .lock file; stop it or choose another log.dirs",
        path.display()
    )]
    Locked {
        /// The log directory.
        path: PathBuf,
    },
}

impl StorageError {
    pub(crate) fn disk(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Disk { path, source }
    }

    pub(crate) fn corrupt(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Corrupt { path: path.into(), reason: reason.into() }
    }
}

/// Why nothing was appended.
#[derive(Debug, Error)]
pub enum AppendError {
    /// `OUT_OF_ORDER_SEQUENCE_NUMBER`.
    #[error(
        "Out of order sequence number for producer {producer_id}: {sequence} (incoming seq. number), {last_sequence} (current end sequence number)"
    )]
    OutOfOrderSequence {
        /// The producer.
        producer_id: ProducerId,
        /// The first sequence of the batch.
        sequence: i32,
        /// The last sequence that the log has; -1 if none under this epoch.
        last_sequence: i32,
    },
    /// `INVALID_PRODUCER_EPOCH`.
    #[error(
        "Epoch of producer {producer_id} is {epoch}, which is smaller than the last seen epoch {current}"
    )]
    InvalidProducerEpoch {
        /// The producer.
        producer_id: ProducerId,
        /// The epoch of the batch or marker.
        epoch: ProducerEpoch,
        /// The epoch that the log has.
        current: ProducerEpoch,
    },
    /// `INVALID_TXN_STATE`: a plain batch inside an open transaction.
    #[error("Expected transactional write from producer {producer_id}")]
    InvalidTxnState {
        /// The producer.
        producer_id: ProducerId,
    },
    /// `TRANSACTION_COORDINATOR_FENCED`: a marker of an older coordinator.
    #[error(
        "Invalid coordinator epoch {epoch} (zombie) for producer {producer_id}, the current one is {current}"
    )]
    TransactionCoordinatorFenced {
        /// The producer.
        producer_id: ProducerId,
        /// The marker's coordinator epoch.
        epoch: i32,
        /// The one that the log has.
        current: i32,
    },
    /// `RECORD_LIST_TOO_LARGE`: more than a segment can hold.
    #[error("Message batch size is {size} bytes, more than the maximum segment size {max}")]
    LargerThanSegment {
        /// The batch's bytes.
        size: usize,
        /// `segment.bytes`.
        max: u64,
    },
    /// A leader sent batches that do not continue this log.
    #[error("batch at offset {base_offset} does not follow the log's end {expected}")]
    UnexpectedOffset {
        /// The batch's base offset.
        base_offset: Offset,
        /// The least that would fit.
        expected: Offset,
    },
    /// A leader sent bytes that are not whole batches.
    #[error("the bytes are not whole batches: {0}")]
    Malformed(MalformedBatch),
    /// A batch is not what it should be.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The disk's fault.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why nothing can be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// `OFFSET_OUT_OF_RANGE`.
    #[error(
        "Received request for offset {from}, but we only have log segments from offset {log_start} up to {log_end}"
    )]
    OutOfRange {
        /// The offset asked for.
        from: Offset,
        /// The first offset there is.
        log_start: Offset,
        /// The end of the log.
        log_end: Offset,
    },
    /// The disk's fault.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
