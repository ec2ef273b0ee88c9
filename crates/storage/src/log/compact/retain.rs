//! What stays of one batch. No IO.

use bytes::Bytes;
use kalda_records::{
    BatchBuilder, BatchOptions, BatchView, Compression, CompressionType, Producer, emptied,
};

use crate::error::StorageError;
use crate::names::LOG;

use super::key_map::{KeyMap, each_record};
use super::plan::{Compaction, Source};
use super::transactions::Marker;

/// What stays of a batch.
#[derive(Debug)]
pub(super) enum Rest {
    /// Nothing.
    Nothing,
    /// All of it, as it is.
    Whole,
    /// This batch in its place.
    Part(Bytes),
}

/// What a decision goes by.
pub(super) struct Retention<'a> {
    pub(super) compaction: &'a Compaction,
    pub(super) source: &'a Source,
    pub(super) map: &'a KeyMap,
    /// Whether the batch is the last one of the segment that is being written: its header stays, so
    /// that readers come past the gap, and a swap that a crash interrupted knows how far it reaches.
    pub(super) is_last: bool,
}

impl Retention<'_> {
    /// Decides on a control batch.
    pub(super) fn of_control(
        &self,
        view: &BatchView<'_>,
        marker: Marker,
    ) -> Result<Rest, StorageError> {
        if marker != Marker::Unneeded {
            return Ok(Rest::Whole);
        }
        if view.count() == 0 {
            return Ok(if self.is_last { Rest::Whole } else { Rest::Nothing });
        }
        match view.delete_horizon_ms() {
            None => self.rebuild(view, &[], Some(self.horizon_ms())).map(Rest::Part),
            Some(horizon_ms) if self.compaction.now_ms < horizon_ms => Ok(Rest::Whole),
            // All that is known of its producer: the epoch below which it is fenced.
            Some(_) if self.is_of_active_producer(view) => Ok(Rest::Whole),
            Some(_) => Ok(self.header_or_nothing(view)),
        }
    }

    /// Decides on a batch of records.
    pub(super) fn of_records(
        &self,
        view: &BatchView<'_>,
        is_aborted: bool,
    ) -> Result<Rest, StorageError> {
        if is_aborted || view.count() == 0 {
            return Ok(self.header_or_nothing(view));
        }
        let now_ms = self.compaction.now_ms;
        let horizon_ms = view.delete_horizon_ms();
        let keeps_tombstones = horizon_ms.is_none_or(|horizon_ms| now_ms < horizon_ms);
        let mut dropped = Vec::new();
        let mut kept = 0_i32;
        let mut has_tombstone = false;
        each_record(view, &self.compaction.home, self.source, |record| {
            let is_latest = record.key.is_some_and(|key| {
                self.map.latest(key).is_none_or(|latest| record.offset.0 >= latest)
            });
            if is_latest && (record.value.is_some() || keeps_tombstones) {
                kept += 1;
                has_tombstone |= record.value.is_none();
            } else {
                dropped.push(record.offset.0);
            }
        })?;
        if kept == 0 {
            return Ok(self.header_or_nothing(view));
        }
        let needs_horizon = has_tombstone && horizon_ms.is_none();
        if dropped.is_empty() && !needs_horizon {
            return Ok(Rest::Whole);
        }
        let horizon_ms = if needs_horizon { Some(self.horizon_ms()) } else { horizon_ms };
        self.rebuild(view, &dropped, horizon_ms).map(Rest::Part)
    }

    fn horizon_ms(&self) -> i64 {
        self.compaction.now_ms.saturating_add(self.compaction.config.delete_retention_ms)
    }

    fn header_or_nothing(&self, view: &BatchView<'_>) -> Rest {
        match self.is_last || !view.is_control() && self.is_of_active_producer(view) {
            true if view.count() == 0 => Rest::Whole,
            true => Rest::Part(emptied(view)),
            false => Rest::Nothing,
        }
    }

    /// Whether the batch is what remains of an active producer's state: its last sequence or, if it
    /// has none, its epoch.
    fn is_of_active_producer(&self, view: &BatchView<'_>) -> bool {
        let last = self.compaction.producers.get(&view.producer_id().0);
        last.is_some_and(|last| match last.data {
            Some(offset) => view.last_offset().0 == offset,
            None => view.is_control() && view.producer_epoch() == last.epoch,
        })
    }

    /// The batch without the records at `dropped`: the same span of offsets, the same sequence.
    fn rebuild(
        &self,
        view: &BatchView<'_>,
        dropped: &[i64],
        delete_horizon_ms: Option<i64>,
    ) -> Result<Bytes, StorageError> {
        let compression = view.compression().unwrap_or_default();
        let mut builder = BatchBuilder::new(BatchOptions {
            compression,
            level: self.level(compression),
            producer: Producer {
                id: view.producer_id(),
                epoch: view.producer_epoch(),
                base_sequence: view.base_sequence(),
            },
            is_transactional: view.is_transactional(),
            is_control: view.is_control(),
            base_offset: view.base_offset(),
            leader_epoch: view.leader_epoch(),
            append_time: view.header().append_time(),
            delete_horizon_ms,
        });
        each_record(view, &self.compaction.home, self.source, |record| {
            if dropped.binary_search(&record.offset.0).is_err() {
                builder.append_record(record);
            }
        })?;
        builder.set_last_offset_delta(view.last_offset_delta());
        let path = self.compaction.home.path(self.source.base, LOG);
        builder.build().map_err(StorageError::disk(path))
    }

    /// The level that the topic asks for, where it is about this codec.
    fn level(&self, compression: Compression) -> Option<i32> {
        match self.compaction.config.compression {
            CompressionType::Codec { codec, level } if codec == compression => level,
            _ => None,
        }
    }
}
