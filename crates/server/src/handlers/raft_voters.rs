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

use crate::broker::{Broker, KRAFT_VERSION};
use crate::dispatch::{Handle, RequestContext};
use crate::peer::{Link, PeerError, ask_active};
use crate::quorum::wire::{check_cluster, code};

impl Handle for AddRaftVoterRequest {
    async fn handle(self, cx: &RequestContext) -> AddRaftVoterResponse {
        let endpoints = self.listeners.iter().map(|listener| VoterEndpoint {
            listener: listener.name.clone(),
            host: listener.host.clone(),
            port: listener.port,
        });
        let adding = Change::Add {
            key: key(self.voter_id, self.voter_directory_id),
            endpoints: endpoints.collect(),
            timeout_ms: i64::from(self.timeout_ms),
        };
        let error_of = |answer: &AddRaftVoterResponse| answer.error_code;
        let outcome = change(cx, &self, self.cluster_id.as_ref(), adding, error_of);
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
        let error_of = |answer: &RemoveRaftVoterResponse| answer.error_code;
        let removing = Change::Remove(voter);
        let outcome = change(cx, &self, self.cluster_id.as_ref(), removing, error_of);
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

/// What is to be changed.
enum Change {
    Add { key: ReplicaKey, endpoints: Vec<VoterEndpoint>, timeout_ms: i64 },
    Remove(ReplicaKey),
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
    change: Change,
    error_of: impl Fn(&R::Response) -> i16,
) -> Result<Changed<R::Response>, PeerError> {
    if let Err(error) = check_cluster(&cx.broker, cluster_id) {
        return Ok(Changed::Here(error, None));
    }
    let broker = &cx.broker;
    if broker.is_controller_listener(&cx.peer) {
        return Ok(here(cx, &change).await);
    }
    // Who was the leader, and is not any more, says NOT_LEADER_OR_FOLLOWER.
    let here = async || match here(cx, &change).await {
        Changed::Here(ErrorCode::NotLeaderOrFollower, _) => None,
        changed => Some(changed),
    };
    let there = async |link: Link| {
        let answer = link.call(request).await?;
        let is_moved = error_of(&answer) == ErrorCode::NotLeaderOrFollower.code();
        Ok((!is_moved).then_some(Changed::There(answer)))
    };
    Ok(ask_active(broker, here, there).await?.answer)
}

async fn here<A>(cx: &RequestContext, change: &Change) -> Changed<A> {
    let change = match change {
        Change::Remove(voter) => Request::RemoveVoter { voter: *voter },
        Change::Add { key, endpoints, timeout_ms } => {
            match kraft_versions(&cx.broker, endpoints, *timeout_ms).await {
                Ok(kraft_versions) => {
                    let voter = Voter { key: *key, endpoints: endpoints.clone(), kraft_versions };
                    Request::AddVoter { voter, timeout_ms: *timeout_ms }
                }
                Err((error, why)) => return Changed::Here(error, Some(why)),
            }
        }
    };
    let Some(asked) = cx.broker.quorum.ask(change).await else {
        return Changed::Here(ErrorCode::BrokerNotAvailable, None);
    };
    let refusal = asked.response.refusal;
    Changed::Here(code(refusal), refusal.map(why))
}

/// Which versions of `kraft.version` a new voter supports, as it says itself where it is to be reached.
async fn kraft_versions(
    broker: &Broker,
    endpoints: &[VoterEndpoint],
    timeout_ms: i64,
) -> Result<(i16, i16), (ErrorCode, String)> {
    let names = &broker.config.quorum.listener_names;
    let named =
        endpoints.iter().find(|it| names.iter().any(|name| it.listener.eq_ignore_ascii_case(name)));
    let Some(endpoint) = named else {
        let text = format!("The new voter has no listener named {}.", names.join(" or "));
        return Err((ErrorCode::InvalidRequest, text));
    };
    let request_timeout_ms = broker.config.number("controller.quorum.request.timeout.ms");
    let within_ms = request_timeout_ms.min(timeout_ms.max(1));
    match Link::open_for(broker, &endpoint.host, endpoint.port, within_ms).await {
        // Who does not say it knows only the first.
        Ok(link) => Ok(link.supported_feature(KRAFT_VERSION).unwrap_or((0, 0))),
        Err(error) => {
            let text = format!(
                "The new voter does not answer at {}:{}: {error}",
                endpoint.host, endpoint.port
            );
            Err((ErrorCode::RequestTimedOut, text))
        }
    }
}

fn why(refusal: Refusal) -> String {
    match refusal {
        Refusal::RequestTimedOut => {
            "The replica has not caught up with the leader, or another change is under way.".to_owned()
        }
        Refusal::UnsupportedVersion => {
            "The voters of this cluster are static: kraft.version is 0.".to_owned()
        }
        Refusal::InvalidRequest => {
            "The voter does not support the kraft.version of this cluster, or its directory is not named.".to_owned()
        }
        other => code(Some(other)).message().to_owned(),
    }
}

fn key(id: i32, directory: Uuid) -> ReplicaKey {
    let directory = (directory != Uuid::ZERO).then_some(directory);
    ReplicaKey { id: BrokerId(id), directory }
}
