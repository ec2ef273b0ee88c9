//! From a frame to its handler and back: the header, the version, the answer's form.
//!
//! The table [`APIS`] is the one place that says what this broker handles; ApiVersions answers are
//! made from it, so nothing can be advertised that is not there.

use std::future::Future;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kalda_protocol::messages as api;
use kalda_protocol::{
    ApiKey, DecodeError, EncodeError, ErrorCode, Message as _, Request, RequestHeader,
    RequestPrefix, ResponseHeader,
};

use crate::broker::Broker;
use crate::connection::{Answer, Frame, Peer};
use crate::handlers;

/// What a handler may know of the request besides its body.
#[derive(Clone, Debug)]
pub(crate) struct RequestContext {
    pub(crate) broker: Arc<Broker>,
    pub(crate) peer: Arc<Peer>,
    pub(crate) version: i16,
    pub(crate) client_id: Option<String>,
}

/// A request whose answer is the derived form of its response: all but Produce and Fetch.
pub(crate) trait Handle: Request {
    /// Serves the request.
    async fn handle(self, cx: &RequestContext) -> Self::Response;
}

/// An answer that waits for the disk.
pub(crate) type LaterAnswer = Pin<Box<dyn Future<Output = Result<Option<Answer>, Refusal>>>>;

type Handling = Pin<Box<dyn Future<Output = Result<BytesMut, Refusal>>>>;

enum Handler {
    Produce,
    Fetch,
    Cold(fn(RequestContext, Bytes, BytesMut) -> Handling),
}

/// On which listeners an API is served.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Those of clients.
    Clients,
    /// Those of the controllers.
    Controllers,
    /// Both; on those of clients it is passed on to the controller.
    Both,
}

/// One API as this node serves it.
pub(crate) struct Api {
    pub(crate) key: ApiKey,
    versions: RangeInclusive<i16>,
    scope: Scope,
    handler: Handler,
}

impl Api {
    const fn cold<R: Handle + 'static>() -> Self
    where
        R::Response: 'static,
    {
        let (versions, handler) = (stable(R::KEY), Handler::Cold(run::<R>));
        Self { key: R::KEY, versions, scope: Scope::Clients, handler }
    }

    const fn hot<R: Request>(handler: Handler) -> Self {
        Self { key: R::KEY, versions: stable(R::KEY), scope: Scope::Clients, handler }
    }

    /// The same, on the listeners of the controllers only.
    const fn at_controllers(self) -> Self {
        Self { scope: Scope::Controllers, ..self }
    }

    /// The same, there too.
    const fn at_both(self) -> Self {
        Self { scope: Scope::Both, ..self }
    }

    /// Whether it is served on the listeners of the controllers, or on those of clients.
    pub(crate) fn is_served(&self, at_controllers: bool) -> bool {
        let other = if at_controllers { Scope::Clients } else { Scope::Controllers };
        self.scope != other
    }

    /// The versions that clients are told of. Produce says 0 although it is served from 3 on, as
    /// Kafka does: librdkafka up to 2.11 turns compression off when it sees a higher minimum
    /// (KAFKA-18659).
    pub(crate) fn advertised(&self) -> RangeInclusive<i16> {
        match self.handler {
            Handler::Produce => 0..=*self.versions.end(),
            _ => self.versions.clone(),
        }
    }
}

/// The versions that Kafka calls stable; the structs may know newer ones.
const fn stable(key: ApiKey) -> RangeInclusive<i16> {
    let (first, last) = key.versions();
    match key.latest_stable_version() {
        Some(stable) => first..=stable,
        None => first..=last,
    }
}

/// Everything that is handled, and where. Keys not here are neither advertised nor answered.
pub(crate) static APIS: &[Api] = &[
    Api::hot::<api::produce::ProduceRequest>(Handler::Produce),
    Api::hot::<api::fetch::FetchRequest>(Handler::Fetch),
    Api::cold::<api::list_offsets::ListOffsetsRequest>(),
    Api::cold::<api::metadata::MetadataRequest>(),
    Api::cold::<api::offset_commit::OffsetCommitRequest>(),
    Api::cold::<api::offset_fetch::OffsetFetchRequest>(),
    Api::cold::<api::find_coordinator::FindCoordinatorRequest>(),
    Api::cold::<api::join_group::JoinGroupRequest>(),
    Api::cold::<api::heartbeat::HeartbeatRequest>(),
    Api::cold::<api::leave_group::LeaveGroupRequest>(),
    Api::cold::<api::sync_group::SyncGroupRequest>(),
    Api::cold::<api::describe_groups::DescribeGroupsRequest>(),
    Api::cold::<api::list_groups::ListGroupsRequest>(),
    Api::cold::<api::api_versions::ApiVersionsRequest>().at_both(),
    Api::cold::<api::create_topics::CreateTopicsRequest>().at_both(),
    Api::cold::<api::delete_topics::DeleteTopicsRequest>().at_both(),
    Api::cold::<api::delete_records::DeleteRecordsRequest>(),
    Api::cold::<api::init_producer_id::InitProducerIdRequest>(),
    Api::cold::<api::offset_for_leader_epoch::OffsetForLeaderEpochRequest>(),
    Api::cold::<api::add_partitions_to_txn::AddPartitionsToTxnRequest>(),
    Api::cold::<api::add_offsets_to_txn::AddOffsetsToTxnRequest>(),
    Api::cold::<api::end_txn::EndTxnRequest>(),
    Api::cold::<api::write_txn_markers::WriteTxnMarkersRequest>(),
    Api::cold::<api::txn_offset_commit::TxnOffsetCommitRequest>(),
    Api::cold::<api::describe_configs::DescribeConfigsRequest>().at_both(),
    Api::cold::<api::alter_configs::AlterConfigsRequest>().at_both(),
    Api::cold::<api::alter_replica_log_dirs::AlterReplicaLogDirsRequest>(),
    Api::cold::<api::describe_log_dirs::DescribeLogDirsRequest>(),
    Api::cold::<api::create_partitions::CreatePartitionsRequest>().at_both(),
    Api::cold::<api::delete_groups::DeleteGroupsRequest>(),
    Api::cold::<api::incremental_alter_configs::IncrementalAlterConfigsRequest>().at_both(),
    Api::cold::<api::offset_delete::OffsetDeleteRequest>(),
    Api::cold::<api::describe_cluster::DescribeClusterRequest>().at_both(),
    Api::cold::<api::describe_producers::DescribeProducersRequest>(),
    Api::cold::<api::describe_transactions::DescribeTransactionsRequest>(),
    Api::cold::<api::list_transactions::ListTransactionsRequest>(),
    Api::cold::<api::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest>(),
    Api::cold::<api::consumer_group_describe::ConsumerGroupDescribeRequest>(),
    Api::cold::<api::list_config_resources::ListConfigResourcesRequest>(),
    Api::cold::<api::describe_topic_partitions::DescribeTopicPartitionsRequest>(),
    Api::cold::<api::elect_leaders::ElectLeadersRequest>().at_both(),
    Api::cold::<api::alter_partition_reassignments::AlterPartitionReassignmentsRequest>().at_both(),
    Api::cold::<api::list_partition_reassignments::ListPartitionReassignmentsRequest>().at_both(),
    Api::cold::<api::update_features::UpdateFeaturesRequest>().at_both(),
    Api::cold::<api::unregister_broker::UnregisterBrokerRequest>().at_both(),
    Api::cold::<api::describe_quorum::DescribeQuorumRequest>().at_both(),
    Api::cold::<api::add_raft_voter::AddRaftVoterRequest>().at_both(),
    Api::cold::<api::remove_raft_voter::RemoveRaftVoterRequest>().at_both(),
    Api::cold::<api::alter_partition::AlterPartitionRequest>().at_controllers(),
    Api::cold::<api::allocate_producer_ids::AllocateProducerIdsRequest>().at_controllers(),
    Api::cold::<api::assign_replicas_to_dirs::AssignReplicasToDirsRequest>().at_controllers(),
    Api::cold::<api::broker_registration::BrokerRegistrationRequest>().at_controllers(),
    Api::cold::<api::broker_heartbeat::BrokerHeartbeatRequest>().at_controllers(),
    Api::cold::<api::controller_registration::ControllerRegistrationRequest>().at_controllers(),
    Api::cold::<api::envelope::EnvelopeRequest>().at_controllers(),
    Api::cold::<api::vote::VoteRequest>().at_controllers(),
    Api::cold::<api::begin_quorum_epoch::BeginQuorumEpochRequest>().at_controllers(),
    Api::cold::<api::end_quorum_epoch::EndQuorumEpochRequest>().at_controllers(),
    Api::hot::<api::fetch::FetchRequest>(Handler::Cold(fetch_metadata)).at_controllers(),
    Api::cold::<api::fetch_snapshot::FetchSnapshotRequest>().at_controllers(),
    Api::cold::<api::update_raft_voter::UpdateRaftVoterRequest>().at_controllers(),
];

fn fetch_metadata(cx: RequestContext, body: Bytes, out: BytesMut) -> Handling {
    Box::pin(handlers::quorum_fetch::serve(cx, body, out))
}

/// Why a request gets no answer but a closed connection, as in Kafka: nothing decodable could be
/// said.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the request cannot be decoded: {0}")]
    Undecodable(#[from] DecodeError),
    #[error("API key {0} version {1} is not served here")]
    Unsupported(i16, i16),
    #[error("the answer cannot be encoded: {0}")]
    Unencodable(#[from] EncodeError),
    #[error("a producer that waits for no answer sent what was refused: {0}")]
    SilentProducer(String),
}

/// A request with its header read.
pub(crate) struct Opened {
    api: &'static Api,
    header: RequestHeader,
    body: Bytes,
    frame: Frame,
}

impl Opened {
    /// Whether the next request may be read before this one is answered.
    pub(crate) fn may_overlap(&self) -> bool {
        matches!(self.api.handler, Handler::Produce)
    }
}

/// What became of a request.
pub(crate) enum Served {
    /// Nothing is to be sent (`acks=0`).
    Silent,
    /// The answer.
    Now(Answer),
    /// The answer, when the disk has what it promises; none for `acks=0`.
    Later(LaterAnswer),
}

/// What became of a request whose bytes were only lent.
pub(crate) enum InPlace {
    /// Nothing is to be sent.
    Silent,
    /// The answer is written.
    Answered,
    /// As [`Served::Later`].
    Later(LaterAnswer),
}

/// Serves a request where it was received, if that is possible: a Produce that need not ask anybody
/// first. The answer, if there is one, is appended to `out`. `None` leaves all to [`open`] and [`serve`].
pub(crate) fn serve_in_place(
    broker: &Broker,
    peer: &Peer,
    frame: &[u8],
    out: &mut BytesMut,
) -> Result<Option<InPlace>, Refusal> {
    let prefix = RequestPrefix::peek(frame)?;
    let RequestPrefix { api_key, api_version: version, correlation_id } = prefix;
    let produce = &APIS[0];
    debug_assert_eq!(produce.key, ApiKey::Produce);
    let is_ours = api_key == ApiKey::Produce.value() && produce.versions.contains(&version);
    if !is_ours || broker.is_controller_listener(peer) {
        return Ok(None);
    }
    let body = kalda_protocol::produce::body(frame, version)?;
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    ResponseHeader { correlation_id }.encode(out, ApiKey::Produce, version);
    let served = handlers::produce::serve_in_place(broker, peer, version, body, out, start)?;
    match served {
        None => out.truncate(start),
        Some(InPlace::Answered) => Answer::seal(&mut out[start..]),
        Some(InPlace::Silent | InPlace::Later(_)) => {}
    }
    Ok(served)
}

/// The API of that key on the listeners of the controllers, or on those of clients.
fn find(key: i16, at_controllers: bool) -> Option<&'static Api> {
    let key = ApiKey::from_i16(key)?;
    APIS.iter().find(|api| api.key == key && api.is_served(at_controllers))
}

/// Serves what a broker passes on: the bytes of a request, for the bytes of its answer.
pub(crate) async fn serve_forwarded(
    cx: &RequestContext,
    mut data: Bytes,
) -> Result<Bytes, ErrorCode> {
    let prefix = RequestPrefix::peek(&data).map_err(|_| ErrorCode::InvalidRequest)?;
    let api = find(prefix.api_key, true).filter(|api| api.scope == Scope::Both);
    let api = api.filter(|api| api.versions.contains(&prefix.api_version));
    let (Some(api), Ok(header)) = (api, RequestHeader::decode(&mut data)) else {
        return Err(ErrorCode::InvalidRequest);
    };
    let Handler::Cold(run) = &api.handler else { return Err(ErrorCode::InvalidRequest) };
    let inner = RequestContext {
        broker: Arc::clone(&cx.broker),
        peer: Arc::clone(&cx.peer),
        version: header.api_version,
        client_id: header.client_id,
    };
    let mut out = BytesMut::with_capacity(256);
    let version = inner.version;
    ResponseHeader { correlation_id: header.correlation_id }.encode(&mut out, api.key, version);
    match run(inner, data, out).await {
        Ok(answer) => Ok(answer.freeze()),
        Err(error) => {
            tracing::debug!(%error, "a request that was passed on is refused");
            Err(ErrorCode::InvalidRequest)
        }
    }
}

/// Reads the header of a request and finds its API.
pub(crate) fn open(frame: Frame, at_controllers: bool) -> Result<Opened, Refusal> {
    let prefix = RequestPrefix::peek(&frame.body)?;
    let api = find(prefix.api_key, at_controllers);
    let unsupported = Refusal::Unsupported(prefix.api_key, prefix.api_version);
    let api = api.ok_or(unsupported)?;
    let mut body = frame.body.clone();
    if api.key == ApiKey::ApiVersions && !api.versions.contains(&prefix.api_version) {
        // KIP-511: a client newer than this broker learns the versions from a v0 answer, whatever
        // its request looks like beyond the first eight bytes.
        let header = RequestHeader {
            api_key: api.key,
            api_version: handlers::api_versions::UNSUPPORTED,
            correlation_id: prefix.correlation_id,
            client_id: None,
        };
        return Ok(Opened { api, header, body: Bytes::new(), frame });
    }
    if !api.versions.contains(&prefix.api_version) {
        return Err(Refusal::Unsupported(prefix.api_key, prefix.api_version));
    }
    let header = RequestHeader::decode(&mut body)?;
    Ok(Opened { api, header, body, frame })
}

/// Serves a request: on return it is answered, or all of it but the wait is done.
pub(crate) async fn serve(
    broker: &Arc<Broker>,
    peer: &Arc<Peer>,
    request: Opened,
) -> Result<Served, Refusal> {
    let Opened { api, header, body, frame } = request;
    let cx = RequestContext {
        broker: Arc::clone(broker),
        peer: Arc::clone(peer),
        version: header.api_version,
        client_id: header.client_id,
    };
    tracing::trace!(
        api = api.key.name(),
        version = cx.version,
        client_id = cx.client_id,
        "request"
    );
    let mut out = BytesMut::with_capacity(256);
    out.extend_from_slice(&[0; 4]);
    ResponseHeader { correlation_id: header.correlation_id }.encode(&mut out, api.key, cx.version);
    match &api.handler {
        Handler::Produce => handlers::produce::serve(cx, body, frame, out).await,
        Handler::Fetch => handlers::fetch::serve(cx, body, out).await.map(Served::Now),
        Handler::Cold(run) => run(cx, body, out).await.map(Answer::from_encoded).map(Served::Now),
    }
}

fn run<R: Handle + 'static>(cx: RequestContext, mut body: Bytes, mut out: BytesMut) -> Handling
where
    R::Response: 'static,
{
    Box::pin(async move {
        if cx.version == handlers::api_versions::UNSUPPORTED {
            handlers::api_versions::unsupported(&cx).encode(&mut out, 0)?;
            return Ok(out);
        }
        let request = R::decode(&mut body, cx.version)?;
        let response = request.handle(&cx).await;
        out.reserve(response.size(cx.version));
        response.encode(&mut out, cx.version)?;
        Ok(out)
    })
}
