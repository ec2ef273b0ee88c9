//! The broker that coordinates a group or a transactional id: how it is found and reached.
//!
//! Used by the admin calls about groups, by consumers in groups and by transactional producers. One
//! attempt each; whoever calls decides what to try again.

use std::sync::Arc;

use kalda_model::BrokerId;
use kalda_protocol::messages::find_coordinator::FindCoordinatorRequest;

use crate::bootstrap::HostPort;
use crate::cluster::{Cluster, Node};
use crate::connection::Connection;
use crate::{Error, Result};

/// What is coordinated, by its number in FindCoordinator.
#[derive(Clone, Copy)]
enum KeyType {
    Group = 0,
    Transaction = 1,
}

/// From this version on several keys are asked for at once (KIP-699).
const BATCHED_SINCE: i16 = 4;

/// Asks any broker which one coordinates `group`.
pub(crate) async fn find(cluster: &Cluster, group: &str) -> Result<Node> {
    ask(cluster, KeyType::Group, group).await
}

/// Asks any broker which one coordinates the transactions of `transactional_id`.
pub(crate) async fn find_of_transactions(
    cluster: &Cluster,
    transactional_id: &str,
) -> Result<Node> {
    ask(cluster, KeyType::Transaction, transactional_id).await
}

async fn ask(cluster: &Cluster, key_type: KeyType, key: &str) -> Result<Node> {
    let connection = cluster.any().await?;
    let version = connection.version::<FindCoordinatorRequest>(i16::MAX)?;
    let mut request = FindCoordinatorRequest { key_type: key_type as i8, ..Default::default() };
    if version >= BATCHED_SINCE {
        request.coordinator_keys.push(key.to_owned());
    } else {
        request.key = key.to_owned();
    }
    let mut response = connection.start(&request, version)?.answer(&connection).await?;
    let (id, host, port) = if version >= BATCHED_SINCE {
        let lacking = || Error::Protocol("the broker's answer names no coordinator".to_owned());
        let found = response.coordinators.pop().ok_or_else(lacking)?;
        Error::check(found.error_code, found.error_message)?;
        (found.node_id, found.host, found.port)
    } else {
        Error::check(response.error_code, response.error_message)?;
        (response.node_id, response.host, response.port)
    };
    let port = u16::try_from(port)
        .map_err(|_| Error::Protocol(format!("the coordinator's port {port} is none")))?;
    Ok(Node { id: BrokerId(id), address: HostPort { host, port }, rack: None })
}

/// A connection to a coordinator that was found.
pub(crate) async fn connect(cluster: &Cluster, node: &Node) -> Result<Arc<Connection>> {
    cluster.with_metadata(|metadata| {
        metadata.nodes.entry(node.id.0).or_insert_with(|| node.clone());
    });
    cluster.node(node.id).await
}

/// Finds the coordinator of `group` and connects to it.
pub(crate) async fn reach(cluster: &Cluster, group: &str) -> Result<(Node, Arc<Connection>)> {
    let node = find(cluster, group).await?;
    let connection = connect(cluster, &node).await?;
    Ok((node, connection))
}

/// Finds the coordinator of a transactional id and connects to it.
pub(crate) async fn reach_of_transactions(
    cluster: &Cluster,
    transactional_id: &str,
) -> Result<(Node, Arc<Connection>)> {
    let node = find_of_transactions(cluster, transactional_id).await?;
    let connection = connect(cluster, &node).await?;
    Ok((node, connection))
}
