//! The coordinators of one transactional producer: where they are, and what is asked of them until
//! there is an answer that another attempt would not change.
//!
//! Used by the producer's calls and by the sender's jobs. A lost answer is dealt with by asking the
//! same again under the same identity: a coordinator knows what it has done.

use std::sync::Arc;

use kalda_model::TopicPartition;
use kalda_protocol::ErrorCode;
use parking_lot::Mutex;
use tokio::time::sleep;

use super::requests;
use super::state::{Outcome, Protocol};
use crate::ConsumerGroupMetadata;
use crate::cluster::{Cluster, Node};
use crate::config::ProducerConfig;
use crate::connection::Connection;
use crate::coordinator;
use crate::group_offsets::CommittedOffsets;
use crate::producer::batch::Identity;
use crate::{Error, Result};

/// The feature that says which protocol the cluster speaks.
const TRANSACTION_VERSION: &str = "transaction.version";

/// The way to the coordinators.
#[derive(Debug)]
pub(in crate::producer) struct Coordinator {
    cluster: Arc<Cluster>,
    transactional_id: String,
    timeout_ms: i32,
    /// Who coordinates the transactions, until that turns out to be wrong.
    known: Mutex<Option<Node>>,
}

impl Coordinator {
    /// That of a producer that was given a transactional id.
    pub(in crate::producer) fn of(config: &ProducerConfig, cluster: &Arc<Cluster>) -> Option<Self> {
        Some(Self {
            cluster: Arc::clone(cluster),
            transactional_id: config.transactional_id.clone()?,
            timeout_ms: config.transaction_timeout_ms,
            known: Mutex::new(None),
        })
    }

    pub(in crate::producer) fn transactional_id(&self) -> &str {
        &self.transactional_id
    }

    /// An identity, the first one or the one after `current`, and how the cluster speaks.
    pub(super) async fn init(&self, current: Option<Identity>) -> Result<(Identity, Protocol)> {
        let mut failures = 0;
        loop {
            let outcome = self.try_init(current).await;
            if let Some(outcome) = self.unless_again(outcome, &mut failures).await {
                return outcome;
            }
        }
    }

    async fn try_init(&self, current: Option<Identity>) -> Result<(Identity, Protocol)> {
        let connection = self.reach().await?;
        let (id, timeout_ms) = (&self.transactional_id, self.timeout_ms);
        let identity = requests::init(&connection, id, timeout_ms, current).await?;
        Ok((identity, protocol(&connection)))
    }

    /// Tells of partitions that are to be part of the transaction.
    pub(in crate::producer) async fn add_partitions(
        &self,
        identity: Identity,
        partitions: &[TopicPartition],
    ) -> Result<()> {
        let mut failures = 0;
        loop {
            let outcome = self.try_add_partitions(identity, partitions).await;
            if let Some(outcome) = self.unless_again(outcome, &mut failures).await {
                return outcome;
            }
        }
    }

    async fn try_add_partitions(
        &self,
        identity: Identity,
        partitions: &[TopicPartition],
    ) -> Result<()> {
        let connection = self.reach().await?;
        requests::add_partitions(&connection, &self.transactional_id, identity, partitions).await
    }

    /// Leaves offsets of a group, for when the transaction commits.
    pub(super) async fn send_offsets(
        &self,
        under: (Identity, Protocol),
        group: &ConsumerGroupMetadata,
        offsets: &CommittedOffsets,
    ) -> Result<()> {
        let mut failures = 0;
        let mut is_named = under.1 == Protocol::Implicit;
        loop {
            let outcome = match is_named {
                false => self.try_add_offsets(under.0, &group.group_id).await,
                true => self.try_commit_offsets(under, group, offsets).await,
            };
            match self.unless_again(outcome, &mut failures).await {
                Some(Ok(())) if !is_named => is_named = true,
                Some(outcome) => return outcome,
                None => {}
            }
        }
    }

    async fn try_add_offsets(&self, identity: Identity, group: &str) -> Result<()> {
        let connection = self.reach().await?;
        requests::add_offsets(&connection, &self.transactional_id, identity, group).await
    }

    /// Asks the group's coordinator, which is another one.
    async fn try_commit_offsets(
        &self,
        under: (Identity, Protocol),
        group: &ConsumerGroupMetadata,
        offsets: &CommittedOffsets,
    ) -> Result<()> {
        let (_, connection) = coordinator::reach(&self.cluster, &group.group_id).await?;
        let id = &self.transactional_id;
        requests::commit_offsets(&connection, id, under, group, offsets).await
    }

    /// Ends the transaction; returns the next identity, if it changes, and how the cluster speaks.
    pub(super) async fn end(
        &self,
        under: (Identity, Protocol),
        outcome: Outcome,
    ) -> Result<(Option<Identity>, Protocol)> {
        let mut failures = 0;
        loop {
            let ended = self.try_end(under, outcome).await;
            if let Some(ended) = self.unless_again(ended, &mut failures).await {
                return ended;
            }
        }
    }

    async fn try_end(
        &self,
        under: (Identity, Protocol),
        outcome: Outcome,
    ) -> Result<(Option<Identity>, Protocol)> {
        let connection = self.reach().await?;
        let next = requests::end(&connection, &self.transactional_id, under, outcome).await?;
        Ok((next, protocol(&connection)))
    }

    async fn reach(&self) -> Result<Arc<Connection>> {
        let known = self.known.lock().clone();
        let node = match known {
            Some(node) => node,
            None => {
                let id = &self.transactional_id;
                let found = coordinator::find_of_transactions(&self.cluster, id).await?;
                self.known.lock().insert(found).clone()
            }
        };
        coordinator::connect(&self.cluster, &node).await
    }

    /// The outcome, unless another attempt may change it: then `None`, after a wait. There is no
    /// limit to attempts here: who calls sets one, or drops the call.
    async fn unless_again<T>(&self, outcome: Result<T>, failures: &mut u32) -> Option<Result<T>> {
        let error = match outcome {
            Err(error) if error.is_retriable() => error,
            outcome => return Some(outcome),
        };
        tracing::debug!("{}: {error}; asking again", self.transactional_id);
        if is_elsewhere(&error) {
            *self.known.lock() = None;
        }
        *failures += 1;
        sleep(self.cluster.retry_wait(*failures)).await;
        None
    }
}

fn protocol(connection: &Connection) -> Protocol {
    Protocol::of(connection.versions().feature_level(TRANSACTION_VERSION))
}

/// Whether somebody else may be the coordinator by now.
fn is_elsewhere(error: &Error) -> bool {
    match error {
        Error::Disconnected { .. } => true,
        Error::Api { code, .. } => {
            matches!(code, ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable)
        }
        _ => false,
    }
}
