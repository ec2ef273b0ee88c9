//! AddRaftVoter, RemoveRaftVoter, UpdateRaftVoter (keys 80–82, v0, KIP-853): changes of who votes in
//! the metadata quorum. Asked of its leader; a broker passes the first two on.

use kalda_model::{BrokerId, LeaderEpoch, Uuid};
use kalda_protocol::messages::add_raft_voter::{AddRaftVoterRequest, AddRaftVoterResponse};
use kalda_protocol::messages::remove_raft_voter::{
    RemoveRaftVoterRequest, RemoveRaftVoterResponse,
};
use kalda_protocol::messages::update_raft_voter::{
    CurrentLeader, UpdateRaftVoterRequest, UpdateRaftVoterResponse,
};
use kalda_protocol::{ErrorCode, Request as WireRequest};
use kalda_raft::quorum::{Refusal, ReplicaKey, Request, Voter, VoterEndpoint};

use crate::dispatch::{Handle, RequestContext};
use crate::peer::{Active, Attempt, PeerError};
use crate::quorum::wire::{check_cluster, code};

impl Handle for AddRaftVoterRequest {
    async fn handle(self, cx: &RequestContext) -> AddRaftVoterResponse {
        let endpoints = self.listeners.iter().map(|listener| VoterEndpoint {
            listener: listener.name.clone(),
            host: listener.host.clone(),
            port: listener.port,
        });
        let voter = Voter {
            key: key(self.voter_id, self.voter_directory_id),
            endpoints: endpoints.collect(),
            kraft_versions: (0, 1),
        };
        let outcome = change(cx, &self, self.cluster_id.as_ref(), Request::AddVoter { voter });
        let (error_code, error_message) = match outcome.await {
            Ok(Changed::There(answer)) => return answer,
            Ok(Changed::Here(error, text)) => (error.code(), text),
            Err(error) => (ErrorCode::RequestTimedOut.code(), Some(error.to_string())),
        };
        AddRaftVoterResponse { error_code, error_message, ..AddRaftVoterResponse::default() }
    }
}

impl Handle for RemoveRaftVoterRequest {
    async fn handle(self, cx: &RequestContext) -> RemoveRaftVoterResponse {
        let voter = key(self.voter_id, self.voter_directory_id);
        let outcome = change(cx, &self, self.cluster_id.as_ref(), Request::RemoveVoter { voter });
        let (error_code, error_message) = match outcome.await {
            Ok(Changed::There(answer)) => return answer,
            Ok(Changed::Here(error, text)) => (error.code(), text),
            Err(error) => (ErrorCode::RequestTimedOut.code(), Some(error.to_string())),
        };
        RemoveRaftVoterResponse { error_code, error_message, ..RemoveRaftVoterResponse::default() }
    }
}

impl Handle for UpdateRaftVoterRequest {
    async fn handle(self, cx: &RequestContext) -> UpdateRaftVoterResponse {
        let failed = |error: ErrorCode| UpdateRaftVoterResponse {
            error_code: error.code(),
            ..UpdateRaftVoterResponse::default()
        };
        if let Err(error) = check_cluster(&cx.broker, self.cluster_id.as_ref()) {
            return failed(error);
        }
        let endpoints = self.listeners.iter().map(|listener| VoterEndpoint {
            listener: listener.name.clone(),
            host: listener.host.clone(),
            port: listener.port,
        });
        let versions = &self.kraft_version_feature;
        let voter = Voter {
            key: key(self.voter_id, self.voter_directory_id),
            endpoints: endpoints.collect(),
            kraft_versions: (versions.min_supported_version, versions.max_supported_version),
        };
        let request = Request::UpdateVoter { epoch: LeaderEpoch(self.current_leader_epoch), voter };
        let Some(asked) = cx.broker.quorum.ask(request).await else {
            return failed(ErrorCode::BrokerNotAvailable);
        };
        let address = asked.leader_address.as_ref();
        let current_leader = CurrentLeader {
            leader_id: asked.response.leader.map_or(-1, |leader| leader.0),
            leader_epoch: asked.response.epoch.0,
            host: address.map(|address| address.host.clone()).unwrap_or_default(),
            port: address.map_or(0, |address| i32::from(address.port)),
        };
        let error_code = code(asked.response.refusal).code();
        UpdateRaftVoterResponse { error_code, current_leader, ..UpdateRaftVoterResponse::default() }
    }
}

/// What became of a change.
enum Changed<A> {
    /// This node leads, and answers so.
    Here(ErrorCode, Option<String>),
    /// Another one leads and gave this answer.
    There(A),
}

/// Asks the leader for a change, wherever it is.
async fn change<R: WireRequest>(
    cx: &RequestContext,
    request: &R,
    cluster_id: Option<&String>,
    change: Request,
) -> Result<Changed<R::Response>, PeerError> {
    if let Err(error) = check_cluster(&cx.broker, cluster_id) {
        return Ok(Changed::Here(error, None));
    }
    let broker = &cx.broker;
    if broker.is_controller_listener(&cx.peer) {
        return Ok(here(cx, change).await);
    }
    let mut attempt = Attempt::new(broker);
    loop {
        match attempt.next().await? {
            Active::Unknown => {}
            Active::Here(_) => return Ok(here(cx, change).await),
            Active::At(_, address) => {
                let asked = broker.controller_channel.ask(broker, &address, request);
                match attempt.unless_moved(asked).await {
                    None => {}
                    Some(Ok(answer)) => return Ok(Changed::There(answer)),
                    Some(Err(error)) => attempt.note(error),
                }
            }
        }
    }
}

async fn here<A>(cx: &RequestContext, change: Request) -> Changed<A> {
    let Some(asked) = cx.broker.quorum.ask(change).await else {
        return Changed::Here(ErrorCode::BrokerNotAvailable, None);
    };
    let refusal = asked.response.refusal;
    Changed::Here(code(refusal), refusal.map(why))
}

fn why(refusal: Refusal) -> String {
    match refusal {
        Refusal::RequestTimedOut => {
            "The replica has not caught up with the leader, or another change is under way.".to_owned()
        }
        Refusal::UnsupportedVersion => {
            "The voters of this cluster are static: kraft.version is 0, or the voter does not support it.".to_owned()
        }
        other => code(Some(other)).message().to_owned(),
    }
}

fn key(id: i32, directory: Uuid) -> ReplicaKey {
    let directory = (directory != Uuid::ZERO).then_some(directory);
    ReplicaKey { id: BrokerId(id), directory }
}
