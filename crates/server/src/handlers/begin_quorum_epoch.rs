//! BeginQuorumEpoch (key 53, v0–1): a replica of the metadata quorum says that it leads an epoch
//! (KIP-595, KIP-853).

use kalda_model::{BrokerId, LeaderEpoch, Uuid};
use kalda_protocol::messages::begin_quorum_epoch::{
    BeginQuorumEpochRequest, BeginQuorumEpochResponse, RequestPartitionData,
};
use kalda_raft::quorum::{ReplicaKey, Request};

use crate::dispatch::{Handle, RequestContext};
use crate::quorum::wire::{EpochAnswer, hear_epoch};

impl Handle for BeginQuorumEpochRequest {
    async fn handle(self, cx: &RequestContext) -> BeginQuorumEpochResponse {
        let said = self.topics.first().and_then(|topic| topic.partitions.first());
        let request = said.map(|said: &RequestPartitionData| Request::BeginQuorumEpoch {
            voter: ReplicaKey {
                id: if self.voter_id < 0 { cx.broker.node } else { BrokerId(self.voter_id) },
                directory: (said.voter_directory_id != Uuid::ZERO)
                    .then_some(said.voter_directory_id),
            },
            leader: BrokerId(said.leader_id),
            epoch: LeaderEpoch(said.leader_epoch),
        });
        let cluster_id = self.cluster_id.as_ref();
        let answer = hear_epoch(&cx.broker, cluster_id, &self.leader_endpoints, request).await;
        let EpochAnswer { error_code, topics, node_endpoints } = answer;
        BeginQuorumEpochResponse { error_code, topics, node_endpoints }
    }
}
