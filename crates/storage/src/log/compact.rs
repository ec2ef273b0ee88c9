//! Compaction: of each key only the last record stays (`cleanup.policy=compact`).
//!
//! Four steps. [`Log::plan_compaction`] chooses the range, under the partition's lock.
//! [`Compaction::map_keys`] reads the dirty part and notes the last offset of each key, and
//! [`Rewriting::rewrite_next`] writes what stays of a few segments beside them, both without the lock. Under
//! it again [`Log::swap_in`] puts that in their place. What changed the range meanwhile makes the
//! rest void, so that the lock is never held for the bulk.
//!
//! Driven by the server's cleaner thread, one compaction of a log at a time. The rules are those of
//! Kafka's `LogCleaner`; nothing above the high watermark or the last stable offset is looked at.

use std::io;
use std::ops::ControlFlow;

use thiserror::Error;

use crate::error::StorageError;

mod group;
mod key_map;
mod plan;
mod retain;
mod rewrite;
mod swap;
mod transactions;
mod write;

pub use plan::{Compaction, LogLife};
pub use rewrite::{Rewriting, Rewritten};
pub(super) use swap::settle_swaps;

/// Told of bytes that were read or written; may wait, or say that it is enough.
pub type Pace<'a> = dyn FnMut(u64) -> ControlFlow<()> + 'a;

/// Why a compaction did not come to its end. The log is as good as before.
#[derive(Debug, Error)]
pub enum CompactError {
    /// The [`Pace`] said so.
    #[error("compaction was stopped")]
    Stopped,
    /// There is no room for the new segment; nothing of the log is missing.
    #[error("no room to compact: {0}")]
    NoRoom(StorageError),
    /// The disk failed or a batch is damaged. Void if [`crate::Log::is_current`] denies it: who reads
    /// without the lock may see files go.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl CompactError {
    fn of_writing(error: StorageError) -> Self {
        match error {
            StorageError::Disk { ref source, .. }
                if matches!(
                    source.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                ) =>
            {
                Self::NoRoom(error)
            }
            error => Self::Storage(error),
        }
    }
}

fn keep_pace(pace: &mut Pace<'_>, bytes: usize) -> Result<(), CompactError> {
    match pace(bytes as u64) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(CompactError::Stopped),
    }
}
