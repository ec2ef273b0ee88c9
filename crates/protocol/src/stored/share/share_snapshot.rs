//! ShareSnapshot (record type 0, value versions 0, flexible from 0): all of the state of a share
//! partition.

use kalda_model::Uuid;

use crate::Message;

/// The key of a ShareSnapshot record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 0, versions = 0..=0)]
pub struct ShareSnapshotKey {
    pub group_id: String,
    pub topic_id: Uuid,
    pub partition: i32,
}

/// All of the state of a share partition.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ShareSnapshotValue {
    pub snapshot_epoch: i32,
    pub state_epoch: i32,
    pub leader_epoch: i32,
    pub start_offset: i64,
    pub create_timestamp: i64,
    pub write_timestamp: i64,
    pub state_batches: Vec<StateBatch>,
}

/// One of [`ShareSnapshotValue::state_batches`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct StateBatch {
    pub first_offset: i64,
    pub last_offset: i64,
    pub delivery_state: i8,
    pub delivery_count: i16,
}
