//! AllocateProducerIds (key 67, versions 0, flexible from 0): hands a broker a block of producer
//! ids (KIP-730).

use crate::Message;

/// The broker that asks.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 67, versions = 0..=0, flexible = 0.., response = AllocateProducerIdsResponse)]
pub struct AllocateProducerIdsRequest {
    pub broker_id: i32,
    #[default(-1)]
    pub broker_epoch: i64,
}

/// The first id and the length of the block.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct AllocateProducerIdsResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub producer_id_start: i64,
    pub producer_id_len: i32,
}
