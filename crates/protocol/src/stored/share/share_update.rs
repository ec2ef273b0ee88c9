//! ShareUpdate (record type 1, value versions 0, flexible from 0): what changed in a share
//! partition since its snapshot.

use kalda_model::Uuid;

use crate::Message;

/// The key of a ShareUpdate record.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(record_type = 1, versions = 0..=0)]
pub struct ShareUpdateKey {
    pub group_id: String,
    pub topic_id: Uuid,
    pub partition: i32,
}

/// What changed in a share partition since its snapshot.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ShareUpdateValue {
    pub snapshot_epoch: i32,
    pub leader_epoch: i32,
    pub start_offset: i64,
    pub state_batches: Vec<StateBatch>,
}

/// One of [`ShareUpdateValue::state_batches`].
#[derive(Clone, Debug, PartialEq, Message)]
pub struct StateBatch {
    pub first_offset: i64,
    pub last_offset: i64,
    pub delivery_state: i8,
    pub delivery_count: i16,
}
