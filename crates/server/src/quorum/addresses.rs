//! Where the nodes of the quorum are.

use std::collections::BTreeMap;

use kalda_client::HostPort;
use kalda_model::BrokerId;
use kalda_raft::quorum::{Voter, VoterSet};

use crate::config::QuorumConfig;

/// What is known of their addresses: what was configured, what the voters say, what was heard.
#[derive(Debug)]
pub(super) struct Addresses {
    config: QuorumConfig,
    heard: BTreeMap<BrokerId, HostPort>,
}

impl Addresses {
    pub(super) fn new(config: QuorumConfig) -> Self {
        Self { config, heard: BTreeMap::new() }
    }

    /// Names for the bootstrap servers, whose ids nobody knows yet: -2, -3 and so on.
    pub(super) fn bootstrap_ids(config: &QuorumConfig) -> Vec<BrokerId> {
        (2..).zip(&config.bootstrap).map(|(number, _)| BrokerId(-number)).collect()
    }

    pub(super) fn hear(&mut self, node: BrokerId, address: HostPort) {
        if node.0 >= 0 && address.port > 0 {
            self.heard.insert(node, address);
        }
    }

    /// It is not where it was said to be, or not there any more.
    pub(super) fn on_unreachable(&mut self, node: BrokerId) {
        self.heard.remove(&node);
    }

    /// Where `node` is. What was configured holds; else what was heard last, until nobody answers there: a voter
    /// may have moved since the record that names it.
    pub(super) fn of(&self, node: BrokerId, voters: &VoterSet) -> Option<HostPort> {
        if node.0 < -1 {
            let index = usize::try_from(-2 - node.0).ok()?;
            return self.config.bootstrap.get(index).cloned();
        }
        if let Some(configured) = self.config.voters.get(&node) {
            return Some(configured.clone());
        }
        let recorded = || voters.voter(node).and_then(|voter| self.endpoint(voter));
        self.heard.get(&node).cloned().or_else(recorded)
    }

    fn endpoint(&self, voter: &Voter) -> Option<HostPort> {
        let named = |name: &String| {
            voter.endpoints.iter().find(|endpoint| endpoint.listener.eq_ignore_ascii_case(name))
        };
        let found = self.config.listener_names.iter().find_map(named);
        let endpoint = found.or(voter.endpoints.first())?;
        Some(HostPort { host: endpoint.host.clone(), port: endpoint.port })
    }
}
