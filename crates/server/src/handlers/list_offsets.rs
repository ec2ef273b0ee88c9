//! ListOffsets (key 2, v1–10): the first offset at or after a timestamp, or one of the named places.
//! v2 adds isolation levels, v4 leader epochs, v5 OFFSET_NOT_AVAILABLE (KIP-207), v7 the offset of the largest timestamp (KIP-734),
//! v8 the earliest offset on local disk (KIP-405), v9 the last one in tiered storage (KIP-1005).

use kalda_model::{LeaderEpoch, Offset};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use kalda_replication::Partition;
use kalda_storage::{Log, StorageError};

use crate::dispatch::{Handle, RequestContext};
use crate::hosted::Isolation;

/// First version that carries leader epochs.
const LEADER_EPOCHS: i16 = 4;
/// First version whose clients know OFFSET_NOT_AVAILABLE.
const OFFSET_NOT_AVAILABLE: i16 = 5;

/// The places that have a negative number instead of a timestamp (`ListOffsetsRequest`).
mod place {
    pub(super) const LATEST: i64 = -1;
    pub(super) const EARLIEST: i64 = -2;
    pub(super) const MAX_TIMESTAMP: i64 = -3;
    pub(super) const EARLIEST_LOCAL: i64 = -4;
    pub(super) const LATEST_TIERED: i64 = -5;
}

/// An offset with the timestamp and epoch of its record, where that is what was asked for.
struct Found {
    offset: i64,
    timestamp: i64,
    leader_epoch: i32,
}

impl Found {
    const NOTHING: Self = Self { offset: -1, timestamp: -1, leader_epoch: -1 };

    fn at(log: &Log, offset: Offset) -> Self {
        let epoch = log.epochs().epoch_at(offset).or(log.latest_epoch());
        let leader_epoch = epoch.unwrap_or(LeaderEpoch::UNKNOWN).0;
        Self { offset: offset.0, timestamp: -1, leader_epoch }
    }
}

impl Handle for ListOffsetsRequest {
    async fn handle(self, cx: &RequestContext) -> ListOffsetsResponse {
        let image = cx.broker.image();
        // A replica wants to know what there is, committed or not.
        let isolation = match self.replica_id {
            consumer if consumer < 0 => Isolation::from_wire(self.isolation_level),
            _ => Isolation::LogEnd,
        };
        let mut topics = Vec::new();
        for topic in self.topics {
            let known = image.topics.by_name(&topic.name);
            let mut partitions = Vec::new();
            for asked in &topic.partitions {
                let hosted = match known {
                    Some(known) => cx
                        .broker
                        .partitions
                        .find(known.id, asked.partition_index)
                        .ok_or_else(|| cx.broker.why_not_hosted(known, asked.partition_index)),
                    None => Err(ErrorCode::UnknownTopicOrPartition),
                };
                let found = hosted.and_then(|hosted| {
                    let epoch = LeaderEpoch(asked.current_leader_epoch);
                    let asking = Asking { version: cx.version, isolation };
                    let found = hosted
                        .with_leader_log(epoch, |log, state| look_up(log, state, asked, asking))?;
                    found.map_err(|error| {
                        hosted.on_disk_error(&error);
                        ErrorCode::KafkaStorageError
                    })?
                });
                partitions.push(answer(cx.version, asked.partition_index, found));
            }
            topics.push(ListOffsetsTopicResponse { name: topic.name, partitions });
        }
        ListOffsetsResponse { topics, ..ListOffsetsResponse::default() }
    }
}

/// How a client asks.
#[derive(Clone, Copy)]
struct Asking {
    version: i16,
    isolation: Isolation,
}

impl Asking {
    /// A new leader does not know yet how far its predecessors had committed: what it could tell may
    /// be before what was told already (KIP-207).
    fn not_known_yet(self) -> ErrorCode {
        if self.version >= OFFSET_NOT_AVAILABLE {
            ErrorCode::OffsetNotAvailable
        } else {
            ErrorCode::LeaderNotAvailable
        }
    }
}

fn look_up(
    log: &Log,
    state: &Partition,
    asked: &ListOffsetsPartition,
    asking: Asking,
) -> Result<Result<Found, ErrorCode>, StorageError> {
    let high_watermark = state.high_watermark();
    let latest = match asking.isolation {
        Isolation::ReadUncommitted => high_watermark,
        Isolation::ReadCommitted => log.last_stable_offset(high_watermark),
        Isolation::LogEnd => log.log_end_offset(),
    };
    // The last stable offset may stay below for as long as a transaction is open, and is known all the same.
    let is_known = asking.isolation == Isolation::LogEnd
        || state.epoch_start().is_none_or(|start| high_watermark >= start);
    let by_timestamp = match asked.timestamp {
        place::LATEST if !is_known => return Ok(Err(asking.not_known_yet())),
        place::LATEST => {
            let leader_epoch = state.leader_epoch().0;
            return Ok(Ok(Found { offset: latest.0, timestamp: -1, leader_epoch }));
        }
        place::EARLIEST | place::EARLIEST_LOCAL => {
            return Ok(Ok(Found::at(log, log.log_start_offset())));
        }
        // Nothing is tiered.
        place::LATEST_TIERED => return Ok(Ok(Found::NOTHING)),
        place::MAX_TIMESTAMP => log.max_timestamp()?,
        timestamp => log.offset_for_timestamp(timestamp)?,
    };
    Ok(match by_timestamp {
        Some(found) if found.offset < latest => Ok(Found {
            offset: found.offset.0,
            timestamp: found.timestamp,
            leader_epoch: found.leader_epoch.0,
        }),
        _ if !is_known => Err(asking.not_known_yet()),
        _ => Ok(Found::NOTHING),
    })
}

fn answer(
    version: i16,
    index: i32,
    found: Result<Found, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let (error, found) = match found {
        Ok(found) => (ErrorCode::None, found),
        Err(error) => (error, Found::NOTHING),
    };
    ListOffsetsPartitionResponse {
        partition_index: index,
        error_code: error.code(),
        timestamp: found.timestamp,
        offset: found.offset,
        leader_epoch: if version >= LEADER_EPOCHS { found.leader_epoch } else { -1 },
    }
}
