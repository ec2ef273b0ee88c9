//! How the controllers are found: `controller.quorum.voters`, `controller.quorum.bootstrap.servers`
//! and `controller.listener.names`.

use std::collections::BTreeMap;

use kalda_client::HostPort;
use kalda_model::BrokerId;

use super::static_config::Roles;

/// What a node is told of the quorum before it starts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct QuorumConfig {
    /// `controller.quorum.voters`: a voter set that never changes (`kraft.version` 0). Empty where the
    /// voters are records.
    pub voters: BTreeMap<BrokerId, HostPort>,
    /// `controller.quorum.bootstrap.servers`: whom to ask where the quorum is.
    pub bootstrap: Vec<HostPort>,
    /// `controller.listener.names`. The first one is dialled by brokers.
    pub listener_names: Vec<String>,
}

impl QuorumConfig {
    pub(super) fn read(
        values: &BTreeMap<String, String>,
        node: BrokerId,
        roles: Roles,
    ) -> Result<Self, String> {
        let text = |key: &str| values.get(key).map(String::as_str).unwrap_or_default();
        let mut voters = BTreeMap::new();
        for entry in list(text("controller.quorum.voters")) {
            let voter = entry.split_once('@').and_then(|(id, address)| {
                Some((BrokerId(id.trim().parse().ok()?), HostPort::parse(address)?))
            });
            let (id, address) = voter.ok_or_else(|| {
                format!("controller.quorum.voters: `{entry}` is not of the form ID@HOST:PORT")
            })?;
            if voters.insert(id, address).is_some() {
                return Err(format!("controller.quorum.voters: node {id} is named twice"));
            }
        }
        let bootstrap = text("controller.quorum.bootstrap.servers");
        let bootstrap = list(bootstrap).map(|entry| {
            HostPort::parse(entry).ok_or_else(|| {
                format!(
                    "controller.quorum.bootstrap.servers: `{entry}` is not of the form HOST:PORT"
                )
            })
        });
        let bootstrap = bootstrap.collect::<Result<Vec<_>, _>>()?;
        let mut listener_names: Vec<_> =
            list(text("controller.listener.names")).map(str::to_ascii_uppercase).collect();
        if listener_names.is_empty() {
            listener_names.push("CONTROLLER".to_owned());
        }
        if !roles.controller && voters.is_empty() && bootstrap.is_empty() {
            return Err("controller.quorum.bootstrap.servers: a node that is only a broker must be told where the controllers are".to_owned());
        }
        if !voters.is_empty() && roles.controller != voters.contains_key(&node) {
            return Err(match roles.controller {
                true => format!(
                    "controller.quorum.voters: node {node} has the controller role and is not among the voters; add {node}@HOST:PORT, or set process.roles=broker"
                ),
                false => format!(
                    "controller.quorum.voters: node {node} is among the voters and has not the controller role; set process.roles=broker,controller"
                ),
            });
        }
        Ok(Self { voters, bootstrap, listener_names })
    }

    /// Whether there are or may be other nodes.
    pub(crate) fn names_others(&self) -> bool {
        self.voters.len() > 1 || self.bootstrap.len() > 1
    }
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}
