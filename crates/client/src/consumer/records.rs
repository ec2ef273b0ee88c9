//! From the bytes of a Fetch answer to records: one batch decoded at a time, when it is wanted.
//!
//! Pure. Leaves out what the consumer must not see: records before its position, control records,
//! and for `read_committed` those of aborted transactions.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use kalda_model::{LeaderEpoch, Offset, TopicPartition};
use kalda_protocol::messages::fetch::AbortedTransaction;
use kalda_records::compression::decompress;
use kalda_records::{
    BatchView, Compression, ControlType, MalformedBatch, RecordIter, RecordView, TimestampType,
};

use super::fetcher::Answer;
use crate::config::IsolationLevel;
use crate::{Error, Result};

/// The most bytes that one batch may decompress to.
const DECOMPRESSED_BYTES_MAX: usize = 512 * 1024 * 1024;

/// A record as it was read.
#[derive(Clone, PartialEq, Debug)]
pub struct ConsumedRecord {
    /// Where it came from.
    pub partition: TopicPartition,
    /// Its offset.
    pub offset: Offset,
    /// Milliseconds since 1970, or -1.
    pub timestamp: i64,
    /// Whose clock that is.
    pub timestamp_type: TimestampType,
    /// The epoch of the leader that appended it.
    pub leader_epoch: LeaderEpoch,
    /// The key; `None` is null.
    pub key: Option<Bytes>,
    /// The value; `None` is null.
    pub value: Option<Bytes>,
    /// The headers, in order. Keys are UTF-8 by contract.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// The bytes that came for one partition, on their way to the caller.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) partition: TopicPartition,
    rest: Bytes,
    /// Records of the batch that is being handed out.
    decoded: VecDeque<ConsumedRecord>,
    /// The offset after all batches decoded so far.
    next_offset: i64,
    isolation: IsolationLevel,
    check_crcs: bool,
    /// Aborted transactions that have not begun, by first offset.
    aborted: VecDeque<AbortedTransaction>,
    /// The producers whose records are aborted here.
    aborting: BTreeSet<i64>,
}

impl Fetched {
    pub(super) fn new(
        partition: TopicPartition,
        from: i64,
        answer: Answer,
        isolation: IsolationLevel,
        check_crcs: bool,
    ) -> Self {
        let mut aborted = answer.aborted;
        aborted.sort_by_key(|transaction| transaction.first_offset);
        Self {
            partition,
            rest: answer.records,
            decoded: VecDeque::new(),
            next_offset: from,
            isolation,
            check_crcs,
            aborted: aborted.into(),
            aborting: BTreeSet::new(),
        }
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty() && self.decoded.is_empty()
    }

    /// Where to read on after what was taken.
    pub(super) fn next_offset(&self) -> i64 {
        self.decoded.front().map_or(self.next_offset, |record| record.offset.0)
    }

    /// Moves up to `max` records to `out`.
    pub(super) fn take(&mut self, max: usize, out: &mut Vec<ConsumedRecord>) -> Result<()> {
        let end = out.len() + max;
        while out.len() < end {
            if self.decoded.is_empty() {
                if self.rest.is_empty() {
                    break;
                }
                self.decode_batch()?;
                continue;
            }
            let count = (end - out.len()).min(self.decoded.len());
            out.extend(self.decoded.drain(..count));
        }
        Ok(())
    }

    fn decode_batch(&mut self) -> Result<()> {
        let rest = self.rest.clone();
        let batch = match BatchView::new(&rest) {
            Ok(batch) => batch,
            // The last batch may be cut off where the answer was full.
            Err(MalformedBatch::Incomplete { .. }) => {
                self.rest = Bytes::new();
                return Ok(());
            }
            Err(error) => return Err(self.corrupt(&error.to_string())),
        };
        if self.check_crcs && !batch.is_intact() {
            let why = format!("stored crc {}, computed crc {}", batch.crc(), batch.computed_crc());
            return Err(self.corrupt(&why));
        }
        self.rest = rest.slice(batch.size()..);
        let next_offset = self.next_offset.max(batch.next_offset().0);
        if self.is_visible(&batch) {
            self.decode_records(&rest, &batch)?;
        }
        self.next_offset = next_offset;
        Ok(())
    }

    /// Whether the records of a batch are for the caller; keeps book of aborted transactions.
    fn is_visible(&mut self, batch: &BatchView<'_>) -> bool {
        let producer = batch.producer_id().0;
        if self.isolation == IsolationLevel::ReadCommitted {
            while let Some(next) = self.aborted.front()
                && next.first_offset <= batch.last_offset().0
            {
                self.aborting.insert(next.producer_id);
                self.aborted.pop_front();
            }
        }
        if batch.is_control() {
            if is_abort_marker(batch) {
                self.aborting.remove(&producer);
            }
            return false;
        }
        !(batch.is_transactional() && self.aborting.contains(&producer))
    }

    fn decode_records(&mut self, bytes: &Bytes, batch: &BatchView<'_>) -> Result<()> {
        let payload = match batch.compression() {
            None => return Err(self.corrupt("an unknown codec")),
            Some(Compression::None) => bytes.slice_ref(batch.payload()),
            Some(codec) => decompress(codec, batch.payload(), DECOMPRESSED_BYTES_MAX)
                .map_err(|error| self.corrupt(&error.to_string()))?
                .into(),
        };
        for record in RecordIter::new(&payload, &batch.header()) {
            let record = record.map_err(|error| self.corrupt(&error.to_string()))?;
            if record.offset.0 < self.next_offset {
                continue;
            }
            let record = self.own(&payload, batch, &record)?;
            self.decoded.push_back(record);
        }
        Ok(())
    }

    fn own(
        &self,
        payload: &Bytes,
        batch: &BatchView<'_>,
        record: &RecordView<'_>,
    ) -> Result<ConsumedRecord> {
        let slice = |bytes: &[u8]| payload.slice_ref(bytes);
        let mut headers = Vec::with_capacity(record.header_count());
        for header in record.headers() {
            let header = header.map_err(|error| self.corrupt(&error.to_string()))?;
            headers.push((slice(header.key), header.value.map(slice)));
        }
        Ok(ConsumedRecord {
            partition: self.partition.clone(),
            offset: record.offset,
            timestamp: record.timestamp,
            timestamp_type: batch.timestamp_type(),
            leader_epoch: batch.leader_epoch(),
            key: record.key.map(slice),
            value: record.value.map(slice),
            headers,
        })
    }

    fn corrupt(&self, why: &str) -> Error {
        let (partition, offset) = (&self.partition, self.next_offset);
        Error::CorruptRecord(format!(
            "Record batch for partition {partition} at offset {offset} is invalid, cause: {why}"
        ))
    }
}

fn is_abort_marker(batch: &BatchView<'_>) -> bool {
    let first = batch.records().next().and_then(std::result::Result::ok);
    let key = first.and_then(|record| record.key);
    key.and_then(ControlType::from_key) == Some(ControlType::Abort)
}

#[cfg(test)]
mod tests;
