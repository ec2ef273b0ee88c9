//! The way to other nodes: what coordinators, and those who ask them, send there.

use std::sync::Arc;

use kalda_model::BrokerId;
use kalda_protocol::messages::allocate_producer_ids::AllocateProducerIdsResponse;
use kalda_protocol::messages::create_topics::{CreateTopicsRequest, CreateTopicsResponse};
use kalda_protocol::{ErrorCode, Request};

use crate::broker::Broker;

/// Asks the broker `to`.
pub(crate) async fn ask<R: Request>(
    _broker: &Arc<Broker>,
    to: BrokerId,
    _request: &R,
) -> Result<R::Response, ErrorCode> {
    tracing::debug!("broker {to} cannot be reached");
    Err(ErrorCode::NetworkException)
}

/// Asks the active controller to make topics.
pub(crate) async fn create_topics(
    broker: &Arc<Broker>,
    request: CreateTopicsRequest,
) -> Result<CreateTopicsResponse, ErrorCode> {
    let made = broker.controller.decide(move |controller| controller.create_topics(&request));
    made.await.map_err(|_| ErrorCode::CoordinatorNotAvailable)
}

/// Asks the active controller for a block of producer ids.
pub(crate) async fn allocate_producer_ids(
    broker: &Arc<Broker>,
) -> Result<AllocateProducerIdsResponse, ErrorCode> {
    let (node, epoch) = (broker.node, broker.epoch());
    let decided =
        broker.controller.decide(move |controller| controller.allocate_producer_ids(node, epoch));
    let first = decided.await.map_err(|_| ErrorCode::CoordinatorLoadInProgress)?;
    Ok(AllocateProducerIdsResponse {
        producer_id_start: first,
        producer_id_len: kalda_controller::PRODUCER_ID_BLOCK_LEN as i32,
        ..AllocateProducerIdsResponse::default()
    })
}
