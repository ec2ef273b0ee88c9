//! Producers and transactions as readers and tools see them.

use kalda_model::Offset;

use crate::error::StorageError;
use crate::index::AbortedTxn;
use crate::producers::Producers;

use super::Log;

impl Log {
    /// The producers that are remembered.
    #[must_use]
    pub fn producers(&self) -> &Producers {
        &self.producers
    }

    /// Forgets producers that have been silent for `producer.id.expiration.ms`.
    pub fn expire_producers(&mut self, now_ms: i64) {
        self.producers.expire(now_ms, self.config.producer_id_expiration_ms);
    }

    /// The first offset of a transaction that is open, or whose marker the high watermark has not
    /// passed.
    #[must_use]
    pub fn first_unstable_offset(&self, high_watermark: Offset) -> Option<Offset> {
        let first = self.producers.first_unstable_offset(high_watermark)?;
        Some(first.max(Offset(self.log_start)))
    }

    /// Up to where a `read_committed` consumer may read.
    #[must_use]
    pub fn last_stable_offset(&self, high_watermark: Offset) -> Offset {
        self.first_unstable_offset(high_watermark)
            .map_or(high_watermark, |first| first.min(high_watermark))
    }

    /// The high watermark moved: what waited for it in the producers' state is settled.
    pub fn on_high_watermark(&mut self, high_watermark: Offset) {
        self.producers.on_high_watermark(high_watermark);
    }

    /// The aborted transactions that a `read_committed` consumer must know for the records from
    /// `from` up to `upto`, by first offset.
    ///
    /// # Errors
    /// The disk failed, or a transaction index is damaged.
    pub fn aborted_transactions(
        &self,
        from: Offset,
        upto: Offset,
    ) -> Result<Vec<AbortedTxn>, StorageError> {
        let mut found = Vec::new();
        'segments: for segment in &self.segments[self.segment_index(from.0)..] {
            for txn in segment.aborted(&self.home)? {
                if txn.last_offset >= from && txn.first_offset < upto {
                    found.push(txn);
                }
                // Nothing that was open below the bound can be aborted later than this.
                if txn.last_stable_offset >= upto {
                    break 'segments;
                }
            }
        }
        found.sort_by_key(|txn| txn.first_offset);
        Ok(found)
    }
}
