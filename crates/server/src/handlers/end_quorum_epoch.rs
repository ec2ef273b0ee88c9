//! EndQuorumEpoch (key 54, v0–1): the leader of the metadata quorum says goodbye, and who may follow it
//! (KIP-595, KIP-853).

use kalda_model::{BrokerId, LeaderEpoch, Uuid};
use kalda_protocol::messages::end_quorum_epoch::{
    EndQuorumEpochRequest, EndQuorumEpochResponse, RequestPartitionData,
};
use kalda_raft::quorum::{ReplicaKey, Request};

use crate::dispatch::{Handle, RequestContext};
use crate::quorum::wire::{EpochAnswer, hear_epoch};

impl Handle for EndQuorumEpochRequest {
    async fn handle(self, cx: &RequestContext) -> EndQuorumEpochResponse {
        let said = self.topics.first().and_then(|topic| topic.partitions.first());
        let request = said.map(|said| Request::EndQuorumEpoch {
            leader: BrokerId(said.leader_id),
            epoch: LeaderEpoch(said.leader_epoch),
            preferred_successors: successors(said, cx.version),
        });
        let cluster_id = self.cluster_id.as_ref();
        let answer = hear_epoch(&cx.broker, cluster_id, &self.leader_endpoints, request).await;
        let EpochAnswer { error_code, topics, node_endpoints } = answer;
        EndQuorumEpochResponse { error_code, topics, node_endpoints }
    }
}

fn successors(said: &RequestPartitionData, version: i16) -> Vec<ReplicaKey> {
    if version == 0 {
        let by_id = said.preferred_successors.iter();
        return by_id.map(|id| ReplicaKey { id: BrokerId(*id), directory: None }).collect();
    }
    let candidates = said.preferred_candidates.iter().map(|candidate| ReplicaKey {
        id: BrokerId(candidate.candidate_id),
        directory: (candidate.candidate_directory_id != Uuid::ZERO)
            .then_some(candidate.candidate_directory_id),
    });
    candidates.collect()
}
