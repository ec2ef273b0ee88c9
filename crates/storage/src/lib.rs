//! One partition's log on one disk, in Kafka's on-disk format, and the log directory around it.
//!
//! Called by replication, raft and the server. Never decodes a batch on the way in or out, reads no
//! clock, knows no socket: it takes validated batches and hands out file ranges.

mod entry_file;
mod hop;
mod names;
mod segment;
mod tail;

pub mod checkpoint;
pub mod config;
pub mod directory;
pub mod epochs;
pub mod error;
#[cfg(any(test, feature = "testing"))]
pub mod fault_disk;
pub mod flusher;
pub mod index;
pub mod log;
pub mod producers;

pub use config::{CleanupPolicy, LogConfig};
pub use directory::{Checkpoint, LogDirectory, MetaProperties};
pub use epochs::EpochCache;
pub use error::{AppendError, ReadError, StorageError};
pub use flusher::{Flushable, Flusher};
pub use index::{AbortedTxn, OffsetEntry, TimeEntry};
pub use log::{
    Appended, CompactError, Compaction, FlushWork, Flushed, FoundTimestamp, Log, LogLife, LogSlice,
    OpenOptions, Pace, Quarantined, ReadOptions, RecoveryReport, Retained, Rewriting, Rewritten,
    SegmentInfo, TornTail, perform_all,
};
pub use producers::{CompletedTxn, ProducerEntry, Producers, RememberedBatch};
