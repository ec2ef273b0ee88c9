//! The calls that administrate a cluster, one file per concern.
//!
//! Every call is tried again while that can help, until `default.api.timeout.ms` is over.

mod brokers;
mod configs;
mod describe;
mod election;
mod features;
mod groups;
mod partitions;
mod quorum;
mod reassign;
mod topics;
mod transactions;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::cluster::Cluster;
use crate::{Error, Result};

pub use brokers::{BrokerEndpoint, ClusterEndpoints};
pub use configs::{AlterOp, ConfigChange, ConfigEntry, ConfigResource, ConfigSource, ResourceType};
pub use describe::{BrokerVersions, ClusterDescription, LogDir, LogDirReplica};
pub use election::ElectionType;
pub use features::{Feature, FeatureUpdate, Features};
pub use groups::{GroupDescription, GroupEpochs, GroupListing, GroupMember};
pub use partitions::ProducerState;
pub use quorum::{QuorumDescription, QuorumReplica, VoterEndpoint};
pub use reassign::{FactorChange, Reassignment};
pub use topics::{NewTopic, PartitionDescription, TopicDescription, TopicListing, TopicRef};
pub use transactions::{
    AbortTransaction, TransactionDescription, TransactionFilter, TransactionListing,
};

/// The calls that administrate. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Admin {
    cluster: Arc<Cluster>,
}

impl Admin {
    pub(crate) fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster }
    }

    /// Runs `attempt` until it succeeds, fails for good, or the time is over. `call` is the name
    /// that Kafka's tools print for it.
    async fn with_retries<T>(&self, call: &str, attempt: impl AsyncFn() -> Result<T>) -> Result<T> {
        let allowed = Duration::from_millis(self.cluster.config().default_api_timeout_ms);
        let deadline = Instant::now() + allowed;
        let mut failures = 0;
        let mut last = None;
        loop {
            let error = match timeout_at(deadline, attempt()).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => error,
                Err(_) => return Err(timed_out(call, last)),
            };
            if !error.is_retriable() {
                return Err(error);
            }
            if error.is_stale_metadata() {
                self.cluster.with_metadata(|metadata| metadata.controller_id = None);
            }
            failures += 1;
            let wait = self.cluster.retry_wait(failures);
            if Instant::now() + wait >= deadline {
                return Err(timed_out(call, Some(error)));
            }
            last = Some(error);
            sleep(wait).await;
        }
    }

    /// The server is given as long as we are ready to wait for it.
    fn server_timeout_ms(&self) -> i32 {
        i32::try_from(self.cluster.config().request_timeout_ms).unwrap_or(i32::MAX)
    }
}

fn timed_out(call: &str, last: Option<Error>) -> Error {
    match last {
        Some(error @ Error::Api { .. }) => error,
        _ => Error::Timeout(format!("Timed out waiting for a node assignment. Call: {call}")),
    }
}
