//! Replaying a partition of a coordinator's topic into its shard.

use bytes::Bytes;
use kalda_coordinator::{Coordinator, CoordinatorRecord};
use kalda_model::Offset;
use kalda_records::{BatchIter, BatchView, Compression, compression};
use kalda_records::{EndTxnMarker, RecordIter};
use kalda_storage::ReadOptions;

use crate::hosted::HostedPartition;

/// Bytes read at once.
const READ_LEN: usize = 1024 * 1024;
/// The most that a batch may have when decompressed.
const DECOMPRESSED_MAX: usize = 256 * 1024 * 1024;

/// A shard that has replayed its log.
#[derive(Debug)]
pub(super) struct Loaded<C> {
    pub(super) shard: C,
    /// Up to here: where the shard's next record goes.
    pub(super) end: Offset,
}

/// Reads the whole log, uncommitted records included, and replays it. A record that cannot be
/// understood fails the load: serving a part of the state would lose the rest. Ends early when
/// nobody wants it any more.
pub(super) fn replay<C: Coordinator>(
    partition: &HostedPartition,
    mut shard: C,
    is_wanted: impl Fn() -> bool,
) -> Result<Loaded<C>, String> {
    let bounds = partition.with_log(|log, _| (log.log_start_offset(), log.log_end_offset()));
    let (mut from, end) = bounds.map_err(|error| error.message().to_owned())?;
    while from < end {
        if !is_wanted() {
            return Err("the partition has moved on".to_owned());
        }
        let options = ReadOptions { max_bytes: READ_LEN, upper: end, min_one_batch: true };
        let slice = partition.with_log(|log, _| log.read(from, options));
        let slice = slice.map_err(|error| error.message().to_owned())?;
        let Some(slice) = slice.map_err(|error| error.to_string())? else { break };
        let bytes = slice.read_bytes().map_err(|error| error.to_string())?;
        for batch in BatchIter::new(&bytes) {
            let batch = batch.map_err(|error| error.to_string())?;
            from = batch.next_offset();
            replay_batch(&mut shard, &batch)
                .map_err(|error| format!("batch at offset {}: {error}", batch.base_offset()))?;
        }
    }
    Ok(Loaded { shard, end })
}

fn replay_batch<C: Coordinator>(shard: &mut C, batch: &BatchView<'_>) -> Result<(), String> {
    let codec = batch.compression().ok_or("its codec does not exist")?;
    let payload = match codec {
        Compression::None => Bytes::copy_from_slice(batch.payload()),
        codec => compression::decompress(codec, batch.payload(), DECOMPRESSED_MAX)
            .map_err(|error| error.to_string())?
            .into(),
    };
    for record in RecordIter::new(&payload, &batch.header()) {
        let record = record.map_err(|error| error.to_string())?;
        let key = record.key.unwrap_or_default();
        let value = record.value.unwrap_or_default();
        if batch.is_control() {
            if let Some(marker) = EndTxnMarker::parse(key, value) {
                let (id, epoch) = (batch.producer_id(), batch.producer_epoch());
                shard.replay_marker(id, epoch, marker.committed, record.offset);
            }
            continue;
        }
        let record_read = CoordinatorRecord {
            key: Bytes::copy_from_slice(key),
            value: record.value.map(Bytes::copy_from_slice),
        };
        let replayed = replay_record(shard, batch, record.offset, &record_read);
        replayed.map_err(|error| format!("record {}: {error}", record.offset))?;
    }
    Ok(())
}

fn replay_record<C: Coordinator>(
    shard: &mut C,
    batch: &BatchView<'_>,
    offset: Offset,
    record: &CoordinatorRecord,
) -> Result<(), String> {
    let replayed = if batch.is_transactional() {
        shard.replay_transactional(batch.producer_id(), offset, record)
    } else {
        shard.replay(offset, record)
    };
    replayed.map_err(|error| error.to_string())
}
