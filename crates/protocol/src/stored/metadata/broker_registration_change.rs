//! BrokerRegistrationChangeRecord (metadata record 17, versions 0–2): a registered broker was
//! fenced, unfenced, is shutting down, or has other log directories.
//!
//! - v1: adds `in_controlled_shutdown`.
//! - v2: adds `log_dirs`.

use kalda_model::Uuid;

use crate::Message;

/// A registered broker was fenced, unfenced, is shutting down, or has other log directories.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=2, flexible = 0..)]
pub struct BrokerRegistrationChangeRecord {
    pub broker_id: i32,
    pub broker_epoch: i64,
    #[tag(0)]
    pub fenced: i8,
    #[tag(1)]
    #[versions(1..)]
    pub in_controlled_shutdown: i8,
    #[tag(2)]
    #[versions(2..)]
    pub log_dirs: Vec<Uuid>,
}
