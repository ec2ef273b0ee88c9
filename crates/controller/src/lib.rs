//! The controller's decisions about topics, partitions, settings, brokers and producer ids.
//!
//! Pure: every function reads an image and a request and returns a [`Decision`], the records to
//! append to the metadata log and the answer to give once they are committed. State changes only
//! by replaying those records. Called by the server's controller loop; never performs IO, reads a
//! clock or draws a random number of its own.

mod alter_configs;
mod alter_partition;
mod controllers;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod directories;
mod elections;
mod features;
mod heartbeat;
mod partition_change;
mod partition_updates;
mod placement;
mod producer_ids;
mod reassignments;
mod registration;
mod sessions;
mod update_features;

use std::collections::BTreeMap;

use kalda_env::Rng;
use kalda_metadata::Image;
use kalda_metadata::config::ConfigSources;
use kalda_model::BrokerId;
use kalda_protocol::ErrorCode;
use kalda_protocol::stored::metadata::MetadataRecord;

pub use features::{KRAFT_VERSION, SUPPORTED_FEATURES, bootstrap_records};
pub use producer_ids::PRODUCER_ID_BLOCK_LEN;
pub use registration::LastShutdown;
pub use sessions::BrokerSessions;
pub use update_features::QuorumFeature;

/// Most records of one batch of the metadata log: a decision of more of them is written as a
/// transaction (KIP-868), and its first record lies one offset further.
pub const RECORDS_PER_BATCH_MAX: usize = 10_000;

/// What was decided: nothing holds before the records are committed.
#[derive(Clone, PartialEq, Debug)]
pub struct Decision<R> {
    /// The records to append, atomically.
    pub records: Vec<MetadataRecord>,
    /// The answer to give once they are committed.
    pub response: R,
}

/// What a decision is made on.
#[derive(Clone, Copy, Debug)]
pub struct Controller<'a> {
    /// The newest state, committed or not.
    pub image: &'a Image,
    /// For ids and placement.
    pub rng: &'a dyn Rng,
    /// The node that decides.
    pub node: BrokerId,
    /// Its static settings, for the defaults of topics.
    pub static_config: &'a BTreeMap<String, String>,
}

/// Why a part of a request is refused: the code and the text that the client sees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The code with Kafka's standard text for it.
    pub(crate) fn plain(code: ErrorCode) -> Self {
        Self::new(code, code.message())
    }
}

impl Controller<'_> {
    pub(crate) fn sources(&self) -> ConfigSources<'_> {
        ConfigSources {
            dynamic: &self.image.configs,
            broker: self.node,
            static_config: self.static_config,
        }
    }

    /// A number among the broker's settings.
    fn broker_number(&self, name: &str) -> i64 {
        let key = kalda_metadata::config::broker_key(name).expect("the key is in the table");
        let value = self.sources().broker(key).value;
        value.and_then(|value| value.parse().ok()).unwrap_or(1)
    }

    fn random_id(&self) -> kalda_model::Uuid {
        loop {
            let bytes = kalda_env::random_uuid_bytes(self.rng);
            if let Some(id) = kalda_model::Uuid::from_random(bytes) {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests;
