//! Requests that only the active controller decides, whichever node they reach.
//!
//! Each such API says how it is decided and how it is refused; that it is decided here, or asked of
//! another node in an Envelope, is written once.

use std::net::IpAddr;

use bytes::{Bytes, BytesMut};
use kalda_controller::{BrokerSessions, Controller, Decision};
use kalda_metadata::Image;
use kalda_model::{BrokerEpoch, BrokerId, Offset};
use kalda_protocol::messages::envelope::EnvelopeRequest;
use kalda_protocol::stored::principal::DefaultPrincipalData;
use kalda_protocol::{ErrorCode, Message as _, Request, RequestHeader, ResponseHeader};
use kalda_raft::quorum::Quorum;

use crate::broker::Broker;
use crate::dispatch::{Handle, RequestContext};
use crate::peer::{Link, PeerError, ask_active};
use crate::quorum::{Decided, Unavailable};

/// What a decision is made with.
pub(crate) struct Deciding<'a> {
    pub(crate) controller: Controller<'a>,
    pub(crate) sessions: &'a mut BrokerSessions,
    pub(crate) cluster_id: &'a str,
    /// Whose own feature is none of the metadata.
    pub(crate) quorum: &'a Quorum,
    /// Set by the decision: the quorum raises its `kraft.version` in front of its records.
    pub(crate) kraft_version_rises_to: Option<i16>,
    /// The offset that the first record of this decision gets.
    pub(crate) next_offset: Offset,
    /// On the monotonic clock.
    pub(crate) now_ms: i64,
}

/// A request that only the active controller decides.
pub(crate) trait Controlled:
    Request<Response: Send> + Clone + Send + Sync + 'static
{
    /// The decision; the state is the newest there is, committed or not.
    fn decide(&self, with: &mut Deciding<'_>, version: i16) -> Decision<Self::Response>;

    /// The answer that says why there is no decision.
    fn refused(&self, error: ErrorCode, message: &str) -> Self::Response;

    /// The error of a whole answer, for a node that asks on its own behalf: NOT_CONTROLLER makes it
    /// look for the controller anew.
    fn error_of(response: &Self::Response) -> i16;

    /// Makes of the answer to a repeated request what its first answer would have been, if that was
    /// executed and only its answer was lost. `before` is what this broker knew when it was asked.
    async fn settle(
        &self,
        response: Self::Response,
        _before: &Image,
        _broker: &Broker,
    ) -> Self::Response {
        response
    }

    /// Which life of which broker speaks, if that is what the request says. When its connection
    /// breaks the broker is looked for.
    fn speaker(&self) -> Option<(BrokerId, BrokerEpoch)> {
        None
    }
}

impl<R: Controlled> Handle for R {
    async fn handle(self, cx: &RequestContext) -> R::Response {
        let broker = &cx.broker;
        if broker.is_controller_listener(&cx.peer) {
            let decided = broker.controller.decide_request(self.clone(), cx.version).await;
            return match decided {
                Ok(decided) => {
                    if R::error_of(&decided.response) == ErrorCode::None.code()
                        && let Some(speaker) = self.speaker()
                    {
                        cx.peer.speaks_for(speaker);
                    }
                    decided.response
                }
                Err(refused) => self.refused(refused.code(), &refused.to_string()),
            };
        }
        match forward(&self, cx).await {
            Ok(response) => response,
            Err(error) => {
                let text = error.to_string();
                self.refused(ErrorCode::RequestTimedOut, &text)
            }
        }
    }
}

/// Has the active controller decide what a client asked this broker for. What this node decided
/// itself it also acts on before it answers: the client's next request finds it done.
async fn forward<R: Controlled>(
    request: &R,
    cx: &RequestContext,
) -> Result<R::Response, PeerError> {
    let broker = &cx.broker;
    let before = broker.image();
    let envelope = envelope(request, cx)?;
    let here = async || {
        let decided = decide_here(broker, request, cx.version).await?;
        broker.published(decided.end).await;
        Some(decided.response)
    };
    let there = async |link: Link| {
        let answer = link.call(&envelope).await?;
        if answer.error_code == ErrorCode::NotController.code() {
            return Ok(None);
        }
        let error = ErrorCode::from_code(answer.error_code);
        let error = error.unwrap_or(ErrorCode::UnknownServerError);
        let response = match answer.response_data {
            Some(bytes) if error == ErrorCode::None => open(bytes, R::KEY, cx.version)?,
            _ => request.refused(error, error.message()),
        };
        Ok(Some(response))
    };
    let told = ask_active(broker, here, there).await?;
    if told.is_repeated {
        return Ok(request.settle(told.answer, &before, broker).await);
    }
    Ok(told.answer)
}

/// Decides it in this process; nothing if the controller is not here any more.
pub(crate) async fn decide_here<R: Controlled>(
    broker: &Broker,
    request: &R,
    version: i16,
) -> Option<Decided<R::Response>> {
    match broker.controller.decide_request(request.clone(), version).await {
        Ok(decided) => Some(decided),
        Err(Unavailable::NotActive) => None,
        Err(refused) => {
            let response = request.refused(refused.code(), &refused.to_string());
            Some(Decided { response, end: Offset::ZERO })
        }
    }
}

/// The request as its sender sent it, with who that was.
fn envelope<R: Request>(request: &R, cx: &RequestContext) -> Result<EnvelopeRequest, PeerError> {
    let unsaid = |error: kalda_protocol::EncodeError| {
        PeerError::Client(kalda_client::Error::Protocol(error.to_string()))
    };
    let header = RequestHeader {
        api_key: R::KEY,
        api_version: cx.version,
        correlation_id: 0,
        client_id: cx.client_id.clone(),
    };
    let mut data = BytesMut::new();
    header.encode(&mut data).map_err(unsaid)?;
    request.encode(&mut data, cx.version).map_err(unsaid)?;
    let principal = DefaultPrincipalData {
        r#type: "User".to_owned(),
        name: "ANONYMOUS".to_owned(),
        token_authenticated: false,
    };
    // In front of it stands the version of its form.
    let mut principal_bytes = BytesMut::from(&[0, 0][..]);
    principal.encode(&mut principal_bytes, 0).map_err(unsaid)?;
    let client_host_address = match cx.peer.remote.ip().to_canonical() {
        IpAddr::V4(ip) => Bytes::copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => Bytes::copy_from_slice(&ip.octets()),
    };
    Ok(EnvelopeRequest {
        request_data: data.freeze(),
        request_principal: Some(principal_bytes.freeze()),
        client_host_address,
    })
}

fn open<M: kalda_protocol::Message>(
    mut bytes: Bytes,
    key: kalda_protocol::ApiKey,
    version: i16,
) -> Result<M, PeerError> {
    let decoded = ResponseHeader::decode(&mut bytes, key, version)
        .and_then(|_| M::decode(&mut bytes, version));
    decoded.map_err(|error| PeerError::Client(kalda_client::Error::Protocol(error.to_string())))
}
