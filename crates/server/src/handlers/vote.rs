//! Vote (key 52, v0–2): another replica of the metadata quorum stands for election, or asks whether
//! it would win one (KIP-595, KIP-853, KIP-996).

use kalda_model::{BrokerId, LeaderEpoch, Offset, Uuid};
use kalda_protocol::ErrorCode;
use kalda_protocol::messages::vote::{
    NodeEndpoint, RequestPartitionData, ResponsePartitionData, ResponseTopicData, VoteRequest,
    VoteResponse,
};
use kalda_raft::quorum::{OffsetAndEpoch, ReplicaKey, Request, ResponseBody, VoteRequest as Vote};

use crate::dispatch::{Handle, RequestContext};
use crate::quorum::Asked;
use crate::quorum::wire::{check_cluster, code};

impl Handle for VoteRequest {
    async fn handle(self, cx: &RequestContext) -> VoteResponse {
        let failed =
            |error: ErrorCode| VoteResponse { error_code: error.code(), ..VoteResponse::default() };
        if let Err(error) = check_cluster(&cx.broker, self.cluster_id.as_ref()) {
            return failed(error);
        }
        let topic = self.topics.first();
        let Some(asked) = topic.and_then(|topic| topic.partitions.first()) else {
            return failed(ErrorCode::InvalidRequest);
        };
        if let Some(error) = malformed(asked) {
            return failed(error);
        }
        let vote = Request::Vote(Vote {
            voter: ReplicaKey {
                id: if self.voter_id < 0 { cx.broker.node } else { BrokerId(self.voter_id) },
                directory: known(asked.voter_directory_id),
            },
            candidate: ReplicaKey {
                id: BrokerId(asked.replica_id),
                directory: known(asked.replica_directory_id),
            },
            epoch: LeaderEpoch(asked.replica_epoch),
            last: OffsetAndEpoch {
                epoch: LeaderEpoch(asked.last_offset_epoch),
                offset: Offset(asked.last_offset),
            },
            pre_vote: asked.pre_vote,
        });
        match cx.broker.quorum.ask(vote).await {
            Some(answer) => response(answer),
            None => failed(ErrorCode::BrokerNotAvailable),
        }
    }
}

fn malformed(asked: &RequestPartitionData) -> Option<ErrorCode> {
    let is_negative = asked.last_offset < 0 || asked.last_offset_epoch < 0;
    let is_epoch_strange = match asked.pre_vote {
        true => asked.last_offset_epoch > asked.replica_epoch,
        false => asked.last_offset_epoch >= asked.replica_epoch,
    };
    (is_negative || is_epoch_strange).then_some(ErrorCode::InvalidRequest)
}

fn known(directory: Uuid) -> Option<Uuid> {
    (directory != Uuid::ZERO).then_some(directory)
}

fn response(asked: Asked) -> VoteResponse {
    let leader_id = asked.response.leader.map_or(-1, |leader| leader.0);
    let part = ResponsePartitionData {
        partition_index: 0,
        error_code: code(asked.response.refusal).code(),
        leader_id,
        leader_epoch: asked.response.epoch.0,
        vote_granted: matches!(asked.response.body, ResponseBody::Vote { granted: true }),
    };
    let node = asked.leader_address.map(|address| NodeEndpoint {
        node_id: leader_id,
        host: address.host,
        port: address.port,
    });
    VoteResponse {
        error_code: ErrorCode::None.code(),
        topics: vec![ResponseTopicData {
            topic_name: kalda_model::CLUSTER_METADATA_TOPIC.to_owned(),
            partitions: vec![part],
        }],
        node_endpoints: node.into_iter().collect(),
    }
}
