//! Reading for a consumer: where its records are, and how to wait for more.

use std::sync::Arc;

use kalda_model::{LeaderEpoch, Offset};
use kalda_protocol::ErrorCode;
use kalda_storage::{ReadError, ReadOptions, StorageError};

use super::{FetchedRecords, HostedPartition, ParkedFetch, State, refused};
use crate::handlers::fetch::Wanted;

/// Ranges below this are read into the answer: a system call of their own would cost more.
const COPIED_LEN_MAX: usize = 16 * 1024;

/// Which records a consumer sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Isolation {
    /// All below the high watermark.
    ReadUncommitted,
    /// Only those of transactions that were committed (KIP-98).
    ReadCommitted,
}

impl Isolation {
    pub(crate) fn from_wire(level: i8) -> Self {
        if level == 1 { Self::ReadCommitted } else { Self::ReadUncommitted }
    }
}

/// The bounds of one partition's read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadLimits {
    pub(crate) max_bytes: usize,
    /// The first batch comes even if it is larger (KIP-74).
    pub(crate) at_least_one_batch: bool,
}

impl HostedPartition {
    /// Finds the records from `want.fetch_offset` on.
    pub(crate) fn read(
        &self,
        want: &Wanted,
        isolation: Isolation,
        limits: ReadLimits,
    ) -> Result<FetchedRecords, ErrorCode> {
        let state = self.serving()?;
        state.partition.check_leader(LeaderEpoch(want.current_leader_epoch)).map_err(refused)?;
        let mut found = state.bounds(isolation);
        if let Some(diverging) = state.divergence(want)? {
            found.diverging = Some(diverging);
            return Ok(found);
        }
        let options = ReadOptions {
            max_bytes: limits.max_bytes,
            upper: state.upper(isolation),
            min_one_batch: limits.at_least_one_batch,
        };
        if limits.max_bytes == 0 && !limits.at_least_one_batch {
            return Ok(found);
        }
        let from = Offset(want.fetch_offset);
        let slice = match state.log.read(from, options) {
            Ok(Some(slice)) => slice,
            Ok(None) => return Ok(found),
            Err(ReadError::OutOfRange { .. }) => return Err(ErrorCode::OffsetOutOfRange),
            Err(ReadError::Storage(error)) => return Err(self.read_failed(&error)),
        };
        found.is_on_older_segment = state.log.is_on_older_segment(&slice);
        if isolation == Isolation::ReadCommitted {
            let aborted = state.log.aborted_transactions(slice.base_offset, options.upper);
            let aborted = aborted.map_err(|error| self.read_failed(&error))?;
            found.aborted_transactions =
                Some(aborted.iter().map(|txn| (txn.producer_id, txn.first_offset)).collect());
        }
        drop(state);
        if slice.len <= COPIED_LEN_MAX {
            let bytes = slice.read_bytes().map_err(|source| {
                self.read_failed(&StorageError::Disk {
                    path: self.directory().path().into(),
                    source,
                })
            })?;
            found.set_bytes(bytes);
        } else {
            found.set_file(slice.file, slice.position, slice.len);
        }
        Ok(found)
    }

    /// Lets a fetch wait for more. `false` when there is more already than it `seen`.
    pub(crate) fn park(
        &self,
        parked: &Arc<ParkedFetch>,
        isolation: Isolation,
        seen: &FetchedRecords,
    ) -> bool {
        let Ok(mut state) = self.serving() else { return false };
        let seen_upper = match isolation {
            Isolation::ReadUncommitted => seen.high_watermark,
            Isolation::ReadCommitted => seen.last_stable_offset,
        };
        if state.upper(isolation) != seen_upper {
            return false;
        }
        match isolation {
            Isolation::ReadUncommitted => state.fetch_waits.push(Arc::clone(parked)),
            Isolation::ReadCommitted => {
                state.note_stable();
                state.committed_waits.push(Arc::clone(parked));
            }
        }
        true
    }

    /// The fetch waits no longer.
    pub(crate) fn unpark(&self, parked: &Arc<ParkedFetch>) {
        let mut state = self.state.lock();
        state.fetch_waits.retain(|other| !Arc::ptr_eq(other, parked));
        state.committed_waits.retain(|other| !Arc::ptr_eq(other, parked));
    }

    fn read_failed(&self, error: &StorageError) -> ErrorCode {
        self.on_disk_error(error);
        ErrorCode::KafkaStorageError
    }
}

impl State {
    fn bounds(&self, isolation: Isolation) -> FetchedRecords {
        let mut found = FetchedRecords::default();
        found.high_watermark = self.partition.high_watermark();
        found.last_stable_offset = self.log.last_stable_offset(found.high_watermark);
        found.log_start_offset = self.log.log_start_offset();
        if isolation == Isolation::ReadCommitted {
            found.aborted_transactions = Some(Vec::new());
        }
        found
    }

    fn upper(&self, isolation: Isolation) -> Offset {
        let high_watermark = self.partition.high_watermark();
        match isolation {
            Isolation::ReadUncommitted => high_watermark,
            Isolation::ReadCommitted => self.log.last_stable_offset(high_watermark),
        }
    }

    /// Whether what the client fetched last is another history than ours (KIP-320, KIP-595): the
    /// largest epoch that both know, and where it ends here.
    fn divergence(&self, want: &Wanted) -> Result<Option<(LeaderEpoch, Offset)>, ErrorCode> {
        let last = LeaderEpoch(want.last_fetched_epoch);
        if last.0 < 0 {
            return Ok(None);
        }
        let Some((epoch, end)) = self.log.end_offset_for_epoch(last) else {
            return Err(ErrorCode::OffsetOutOfRange);
        };
        let diverges = epoch < last || end.0 < want.fetch_offset;
        Ok(diverges.then_some((epoch, end)))
    }
}
