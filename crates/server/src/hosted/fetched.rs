//! What a read found: ranges of files, or bytes when they are few.

use std::sync::Arc;

use bytes::Bytes;
use kalda_env::DiskFile;
use kalda_model::{BrokerId, LeaderEpoch, Offset, ProducerId};

use crate::connection::Piece;

/// The records of one partition of a fetch, and where the partition stands.
#[derive(Clone, Debug)]
pub(crate) struct FetchedRecords {
    pub(crate) high_watermark: Offset,
    pub(crate) last_stable_offset: Offset,
    pub(crate) log_start_offset: Offset,
    /// Up to where this reader may read.
    pub(crate) readable_end: Offset,
    /// A replica nearer to the reader, whom it should ask instead (KIP-392).
    pub(crate) preferred_read_replica: Option<BrokerId>,
    /// The client's log diverges from ours: the largest epoch that both know, and its end here.
    pub(crate) diverging: Option<(LeaderEpoch, Offset)>,
    /// For read_committed only: who aborted, and from which offset on, in order of the offset.
    pub(crate) aborted_transactions: Option<Vec<(ProducerId, Offset)>>,
    /// There is more behind these records, which only another fetch can read: nobody waits for it.
    pub(crate) is_on_older_segment: bool,
    /// The replica is not in sync, and these are limited: there may be more than it is given now (KIP-73).
    pub(crate) is_throttled: bool,
    records: Records,
}

#[derive(Clone, Debug)]
enum Records {
    Bytes(Bytes),
    File { file: Arc<dyn DiskFile>, position: u64, len: usize },
}

impl Default for FetchedRecords {
    /// Nothing is known, as answered with an error.
    fn default() -> Self {
        Self::of_bytes(Bytes::new())
    }
}

impl FetchedRecords {
    pub(crate) fn of_bytes(bytes: Bytes) -> Self {
        Self {
            high_watermark: Offset(-1),
            last_stable_offset: Offset(-1),
            log_start_offset: Offset(-1),
            readable_end: Offset(-1),
            preferred_read_replica: None,
            diverging: None,
            aborted_transactions: None,
            is_on_older_segment: false,
            is_throttled: false,
            records: Records::Bytes(bytes),
        }
    }

    pub(super) fn set_bytes(&mut self, bytes: Bytes) {
        self.records = Records::Bytes(bytes);
    }

    pub(super) fn set_file(&mut self, file: Arc<dyn DiskFile>, position: u64, len: usize) {
        self.records = Records::File { file, position, len };
    }

    /// Bytes of the records.
    pub(crate) fn len(&self) -> usize {
        match &self.records {
            Records::Bytes(bytes) => bytes.len(),
            Records::File { len, .. } => *len,
        }
    }

    /// The records as a part of an answer.
    pub(crate) fn piece(&self) -> Option<Piece> {
        match &self.records {
            Records::Bytes(bytes) if bytes.is_empty() => None,
            Records::Bytes(bytes) => Some(Piece::Bytes(bytes.clone())),
            Records::File { file, position, len } => {
                Some(Piece::File { file: Arc::clone(file), position: *position, len: *len as u64 })
            }
        }
    }
}
