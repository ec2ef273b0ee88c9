//! The quorum of the metadata: who votes, how far everybody is, and changing who votes (KIP-595,
//! KIP-836, KIP-853).

use std::collections::BTreeMap;

use kalda_model::{BrokerId, CLUSTER_METADATA_TOPIC, Uuid};
use kalda_protocol::messages::add_raft_voter::{AddRaftVoterRequest, Listener};
use kalda_protocol::messages::describe_quorum::{
    DescribeQuorumRequest, ReplicaState, RequestPartitionData, RequestTopicData,
};
use kalda_protocol::messages::remove_raft_voter::RemoveRaftVoterRequest;

use super::Admin;
use super::topics::incomplete;
use crate::{Error, Result};

/// The quorum, as its leader sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuorumDescription {
    /// The leader: the active controller.
    pub leader: BrokerId,
    /// Its epoch.
    pub leader_epoch: i32,
    /// Up to where a majority has the log.
    pub high_watermark: i64,
    /// Those who vote.
    pub voters: Vec<QuorumReplica>,
    /// Those who only follow.
    pub observers: Vec<QuorumReplica>,
    /// Where voters listen, by node; old clusters do not tell.
    pub endpoints: BTreeMap<i32, Vec<VoterEndpoint>>,
}

impl QuorumDescription {
    /// The leader's own row.
    #[must_use]
    pub fn leader_replica(&self) -> Option<&QuorumReplica> {
        self.voters.iter().find(|voter| voter.id == self.leader)
    }
}

/// A replica of the metadata log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuorumReplica {
    /// Its node.
    pub id: BrokerId,
    /// The directory that it is in; zero where the cluster does not tell.
    pub directory: Uuid,
    /// The end of its log, or -1.
    pub log_end_offset: i64,
    /// When it asked for records last, by the leader's clock in milliseconds.
    pub last_fetch_ms: Option<i64>,
    /// When it last had all that there was, by the leader's clock in milliseconds.
    pub last_caught_up_ms: Option<i64>,
}

/// Where a voter listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VoterEndpoint {
    /// The listener's name.
    pub listener: String,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Admin {
    /// The quorum of the metadata.
    ///
    /// # Errors
    /// Nobody answers in time, or nobody leads.
    pub async fn describe_quorum(&self) -> Result<QuorumDescription> {
        let request = DescribeQuorumRequest {
            topics: vec![RequestTopicData {
                topic_name: CLUSTER_METADATA_TOPIC.to_owned(),
                partitions: vec![RequestPartitionData { partition_index: 0 }],
            }],
        };
        self.with_retries("describeMetadataQuorum", async || {
            let connection = self.cluster.any_broker_or_active_controller().await?;
            let response = connection.call(&request).await?;
            Error::check(response.error_code, response.error_message)?;
            let topic = response.topics.into_iter().next().ok_or_else(incomplete)?;
            let part = topic.partitions.into_iter().next().ok_or_else(incomplete)?;
            Error::check(part.error_code, part.error_message)?;
            let endpoints = response.nodes.into_iter().map(|node| {
                let listeners = node.listeners.into_iter().map(|it| VoterEndpoint {
                    listener: it.name,
                    host: it.host,
                    port: it.port,
                });
                (node.node_id, listeners.collect())
            });
            Ok(QuorumDescription {
                leader: BrokerId(part.leader_id),
                leader_epoch: part.leader_epoch,
                high_watermark: part.high_watermark,
                voters: part.current_voters.into_iter().map(replica).collect(),
                observers: part.observers.into_iter().map(replica).collect(),
                endpoints: endpoints.collect(),
            })
        })
        .await
    }

    /// Makes a controller that follows the quorum one of its voters.
    ///
    /// # Errors
    /// As the leader says.
    pub async fn add_voter(
        &self,
        id: BrokerId,
        directory: Uuid,
        endpoints: &[VoterEndpoint],
    ) -> Result<()> {
        let listeners = endpoints.iter().map(|endpoint| Listener {
            name: endpoint.listener.clone(),
            host: endpoint.host.clone(),
            port: endpoint.port,
        });
        let request = AddRaftVoterRequest {
            cluster_id: None,
            timeout_ms: self.server_timeout_ms(),
            voter_id: id.0,
            voter_directory_id: directory,
            listeners: listeners.collect(),
        };
        self.with_retries("addRaftVoter", async || {
            let connection = self.cluster.any_broker_or_active_controller().await?;
            let response = connection.call(&request).await?;
            Error::check(response.error_code, response.error_message)
        })
        .await
    }

    /// Takes a voter out of the quorum.
    ///
    /// # Errors
    /// As the leader says.
    pub async fn remove_voter(&self, id: BrokerId, directory: Uuid) -> Result<()> {
        let request = RemoveRaftVoterRequest {
            cluster_id: None,
            voter_id: id.0,
            voter_directory_id: directory,
        };
        self.with_retries("removeRaftVoter", async || {
            let connection = self.cluster.any_broker_or_active_controller().await?;
            let response = connection.call(&request).await?;
            Error::check(response.error_code, response.error_message)
        })
        .await
    }
}

fn replica(state: ReplicaState) -> QuorumReplica {
    let moment = |ms: i64| (ms >= 0).then_some(ms);
    QuorumReplica {
        id: BrokerId(state.replica_id),
        directory: state.replica_directory_id,
        log_end_offset: state.log_end_offset,
        last_fetch_ms: moment(state.last_fetch_timestamp),
        last_caught_up_ms: moment(state.last_caught_up_timestamp),
    }
}
