//! The times and bounds of the quorum, named as Kafka names them.

use kalda_env::Rng;
use kalda_model::BrokerId;

use super::voters::VoterEndpoint;

/// Times are in milliseconds.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct QuorumSettings {
    /// `controller.quorum.election.timeout.ms`: each wait is random, from it up to twice as long.
    pub election_timeout_ms: i64,
    /// `controller.quorum.fetch.timeout.ms`.
    pub fetch_timeout_ms: i64,
    /// `controller.quorum.election.backoff.max.ms`.
    pub election_backoff_max_ms: i64,
    /// `controller.quorum.request.timeout.ms`.
    pub request_timeout_ms: i64,
    /// `controller.quorum.retry.backoff.ms`.
    pub retry_backoff_ms: i64,
    /// How long a fetch may wait at the leader.
    pub fetch_wait_ms_max: i64,
    /// Whom to ask for the leader when no voter is known (`controller.quorum.bootstrap.servers`).
    pub bootstrap: Vec<BrokerId>,
    /// Where the controller of this node is reached; empty if it has none.
    pub endpoints: Vec<VoterEndpoint>,
    /// Whether a controller that does not vote asks to (`controller.quorum.auto.join.enable`, KIP-1186).
    pub auto_join: bool,
}

impl Default for QuorumSettings {
    fn default() -> Self {
        Self {
            election_timeout_ms: 1000,
            fetch_timeout_ms: 2000,
            election_backoff_max_ms: 1000,
            request_timeout_ms: 2000,
            retry_backoff_ms: 20,
            fetch_wait_ms_max: 500,
            bootstrap: Vec::new(),
            endpoints: Vec::new(),
            auto_join: false,
        }
    }
}

impl QuorumSettings {
    /// How long a leader goes on without hearing from a majority.
    pub(super) fn check_quorum_ms(&self) -> i64 {
        self.fetch_timeout_ms * 3 / 2
    }

    /// How often a leader tells those who do not fetch that it leads.
    pub(super) fn begin_quorum_interval_ms(&self) -> i64 {
        self.fetch_timeout_ms / 2
    }

    /// Random anew at each wait, so that candidates who collided once do not collide for ever.
    pub(super) fn random_election_ms(&self, rng: &dyn Rng) -> i64 {
        self.election_timeout_ms + below(rng, self.election_timeout_ms)
    }

    /// How long who sees the leader gone waits for another to stand first.
    pub(super) fn gone_backoff_ms(&self, rng: &dyn Rng) -> i64 {
        below(rng, self.election_timeout_ms / 4)
    }

    /// How long the successor at `position` of `count` waits: the first one not at all.
    pub(super) fn successor_backoff_ms(&self, position: Option<usize>, count: usize) -> i64 {
        match position {
            Some(0) => 0,
            Some(position) if position < count => {
                let steps = (count - 1).min(20);
                let base = (self.election_backoff_max_ms >> steps).max(1);
                (base << (position - 1).min(20)).min(self.election_backoff_max_ms)
            }
            _ => self.election_backoff_max_ms,
        }
    }
}

fn below(rng: &dyn Rng, bound: i64) -> i64 {
    i64::try_from(rng.below(u64::try_from(bound).unwrap_or(0))).unwrap_or(0)
}
