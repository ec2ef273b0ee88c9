//! Between what replicas of the quorum say to each other and Kafka's messages for it.

mod answers;
mod epochs;
mod fetch;
mod questions;

pub(crate) use answers::{check_cluster, code};
pub(crate) use epochs::{EpochAnswer, hear as hear_epoch};
pub(crate) use fetch::{fetch_request, fetch_response, snapshot_request, snapshot_response};
pub(crate) use questions::ask;
