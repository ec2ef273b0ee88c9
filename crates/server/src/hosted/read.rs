//! Reading for a consumer or a replica: where its records are, and how to wait for more.

use std::sync::Arc;

use kalda_metadata::Image;
use kalda_model::{BrokerEpoch, BrokerId, LeaderEpoch, Offset};
use kalda_protocol::ErrorCode;
use kalda_replication::{Reader, ReplicaFetch};
use kalda_storage::{ReadError, ReadOptions, StorageError};

use super::lead::Registered;
use super::{FetchedRecords, HostedPartition, ParkedFetch, State, refused};
use crate::handlers::fetch::Wanted;

/// Ranges below this are read into the answer: a system call of their own would cost more.
const COPIED_LEN_MAX: usize = 16 * 1024;

/// Which records a reader sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Isolation {
    /// All below the high watermark.
    ReadUncommitted,
    /// Only those of transactions that were committed (KIP-98).
    ReadCommitted,
    /// All that the log has: replicas.
    LogEnd,
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
    /// What throttled partitions may send to replicas that are not in sync; `None` if nothing is throttled.
    pub(crate) throttled_max_bytes: Option<usize>,
}

/// Who reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Who<'a> {
    /// A consumer. Followers serve it too if it has said where it is, be it nowhere (KIP-392).
    Consumer { rack: Option<&'a str> },
    /// Another replica, under its registration; -1 if it does not say.
    Replica { id: BrokerId, epoch: BrokerEpoch },
}

/// What holds for all partitions of one fetch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) who: Who<'a>,
    pub(crate) isolation: Isolation,
    pub(crate) image: &'a Image,
    /// The monotonic clock.
    pub(crate) now_ms: i64,
    /// Whether readers are sent to replicas in their own rack (`replica.selector.class`).
    pub(crate) is_rack_aware: bool,
}

impl HostedPartition {
    /// Finds the records from `want.fetch_offset` on.
    pub(crate) fn read(
        &self,
        want: &Wanted,
        reading: &Reading<'_>,
        mut limits: ReadLimits,
    ) -> Result<FetchedRecords, ErrorCode> {
        let isolation = reading.isolation;
        let mut state = self.serving()?;
        state.check_reader(want, reading)?;
        if let Some(diverging) = state.divergence(want)? {
            let mut found = state.bounds(isolation);
            found.diverging = Some(diverging);
            return Ok(found);
        }
        match reading.who {
            Who::Replica { id, epoch } => {
                self.on_replica_fetch(&mut state, want, (id, epoch), reading)?
            }
            Who::Consumer { rack } => {
                let nearest = rack.and_then(|rack| state.nearest(want, rack, reading));
                if nearest.is_some() {
                    let mut found = state.bounds(isolation);
                    found.preferred_read_replica = nearest;
                    return Ok(found);
                }
            }
        }
        let mut found = state.bounds(isolation);
        if let (Who::Replica { id, .. }, Some(left)) = (reading.who, limits.throttled_max_bytes)
            && self.settings.read().throttled_leaders.contains(self.index)
            && !state.partition.isr().contains(&id)
        {
            found.is_throttled = true;
            if left == 0 {
                return Ok(found);
            }
            limits.max_bytes = limits.max_bytes.min(left);
        }
        let damaged = state.damage.found().unwrap_or(Offset(i64::MAX));
        let options = ReadOptions {
            max_bytes: limits.max_bytes,
            upper: found.readable_end.min(damaged),
            min_one_batch: limits.at_least_one_batch,
        };
        if limits.max_bytes == 0 && !limits.at_least_one_batch {
            return Ok(found);
        }
        let from = Offset(want.fetch_offset);
        if from >= damaged && from < found.readable_end {
            return Err(state.damaged());
        }
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
        let is_suspect = state.damage.is_suspect(from);
        drop(state);
        if is_suspect {
            self.check_suspect(&slice)?;
        }
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
        if state.upper(isolation) != seen.readable_end {
            return false;
        }
        match isolation {
            Isolation::LogEnd => state.replica_waits.push(Arc::clone(parked)),
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
        state.replica_waits.retain(|other| !Arc::ptr_eq(other, parked));
    }

    /// A replica has all below the offset that it asks for: that may move the high watermark, and the ISR.
    fn on_replica_fetch(
        &self,
        state: &mut State,
        want: &Wanted,
        (replica, broker_epoch): (BrokerId, BrokerEpoch),
        reading: &Reading<'_>,
    ) -> Result<(), ErrorCode> {
        let offset = Offset(want.fetch_offset);
        if offset < state.log.log_start_offset() || offset > state.log.log_end_offset() {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        let log_start = (want.log_start_offset >= 0).then_some(Offset(want.log_start_offset));
        let fetch = ReplicaFetch { replica, broker_epoch, offset, log_start };
        let brokers = Registered(reading.image);
        let effects = state.partition.on_replica_fetch(fetch, &brokers, reading.now_ms);
        self.perform(state, effects);
        state.release_start_waits(&brokers);
        Ok(())
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
        found.readable_end = self.upper(isolation);
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
            Isolation::LogEnd => self.log.log_end_offset(),
        }
    }

    /// Whether this replica serves the reader.
    fn check_reader(&self, want: &Wanted, reading: &Reading<'_>) -> Result<(), ErrorCode> {
        let known = LeaderEpoch(want.current_leader_epoch);
        let checked = match reading.who {
            Who::Replica { id, epoch } => {
                self.partition.check_replica(known, id, epoch, &Registered(reading.image))
            }
            Who::Consumer { rack: Some(_) } => self.partition.check_epoch(known),
            Who::Consumer { rack: None } => self.partition.check_leader(known),
        };
        checked.map_err(refused)
    }

    /// The replica that a consumer should ask instead.
    fn nearest(&self, want: &Wanted, rack: &str, reading: &Reading<'_>) -> Option<BrokerId> {
        if !reading.is_rack_aware {
            return None;
        }
        let rack_of = |id| reading.image.brokers.get(&id).and_then(|broker| broker.rack.as_deref());
        self.partition.nearest(&Reader { rack, offset: Offset(want.fetch_offset) }, rack_of)
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
