//! The transaction coordinator as this broker hosts it, and what brokers tell each other of
//! transactions: the markers that end them, and whether a partition is part of one.

mod ending;
mod markers;
mod verification;

use std::sync::Arc;
use std::time::Duration;

use kalda_coordinator::{TransactionEnding, TransactionSettings, TransactionShard};
use kalda_env::Clock;
use kalda_model::LeaderEpoch;

pub(crate) use markers::{Marker, MarkersToWrite, Written, write_markers};
pub(crate) use verification::add_partitions;

use crate::broker::Broker;
use crate::config::BrokerConfig;
use crate::coordinators::{Gathering, Hosted, InternalTopic, LiveShard, Shards, run_timers};

/// All live shards of transactions.
pub(crate) type TransactionCoordinator = Shards<TransactionShard>;

/// What is on its way to other brokers.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    markers: Gathering<MarkersToWrite>,
    verifications: Gathering<verification::Verification>,
}

impl Hosted for TransactionShard {
    const TOPIC: InternalTopic = InternalTopic {
        name: "__transaction_state",
        partitions: "transaction.state.log.num.partitions",
        replication_factor: "transaction.state.log.replication.factor",
        segment_bytes: "transaction.state.log.segment.bytes",
        min_insync_replicas: Some("transaction.state.log.min.isr"),
        compression_type: "uncompressed",
        forbids_unclean_election: true,
    };

    type Outbox = Outbox;

    fn new(config: &BrokerConfig, leader_epoch: LeaderEpoch) -> Self {
        let number = |name: &str| config.number(name);
        let settings = TransactionSettings {
            max_timeout_ms: i32::try_from(number("transaction.max.timeout.ms")).unwrap_or(i32::MAX),
            id_expiration_ms: number("transactional.id.expiration.ms"),
            expiration_check_interval_ms: number(
                "transaction.remove.expired.transaction.cleanup.interval.ms",
            ),
            held_ms_max: number("add.partitions.to.txn.retry.backoff.max.ms"),
        };
        Self::new(settings, leader_epoch.0)
    }

    fn shards(broker: &Broker) -> &Shards<Self> {
        &broker.transactions
    }

    fn timer_ms(clock: &dyn Clock) -> i64 {
        clock.monotonic_ms()
    }

    fn commit_wait(config: &BrokerConfig) -> Duration {
        Duration::from_millis(u64::try_from(config.number("request.timeout.ms")).unwrap_or(0))
    }

    fn deliver(
        broker: &Arc<Broker>,
        owner: &Arc<LiveShard<Self>>,
        endings: Vec<TransactionEnding>,
    ) {
        for ending in endings {
            let (broker, owner) = (Arc::clone(broker), Arc::clone(owner));
            tokio::task::spawn_local(async move { ending::deliver(&broker, &owner, ending).await });
        }
    }
}

/// Coordinates until the broker stops. Transactions time out and end although nobody asks.
pub(crate) async fn run(broker: Arc<Broker>) {
    run_timers::<TransactionShard>(broker).await;
}
