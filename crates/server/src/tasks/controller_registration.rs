//! Registers the controller of this node with the active one (`ControllerRegistrationManager`, KIP-919):
//! where it listens and what it supports.

use std::sync::Arc;
use std::time::Duration;

use kalda_controller::SUPPORTED_FEATURES;
use kalda_model::Uuid;
use kalda_protocol::messages::controller_registration::{
    ControllerRegistrationRequest, Feature, Listener,
};
use tokio::time::sleep;

use crate::broker::Broker;

/// The pause before another try.
const RETRY: Duration = Duration::from_secs(1);

/// Ends when the active controller knows this one, or the node stops.
pub(crate) async fn run(broker: Arc<Broker>) {
    let endpoints = broker.controller_endpoints();
    if endpoints.is_empty() {
        // Nobody can reach it: a node alone.
        return;
    }
    let listeners = endpoints.into_iter().map(|(name, address)| Listener {
        name,
        host: address.host,
        port: address.port,
        security_protocol: 0,
    });
    let features = SUPPORTED_FEATURES.iter().map(|(name, min, max)| Feature {
        name: (*name).to_owned(),
        min_supported_version: *min,
        max_supported_version: *max,
    });
    let request = ControllerRegistrationRequest {
        controller_id: broker.node.0,
        incarnation_id: Uuid::from_bytes(kalda_env::random_uuid_bytes(&*broker.rng)),
        zk_migration_ready: false,
        listeners: listeners.collect(),
        features: features.collect(),
    };
    loop {
        let asked = tokio::select! {
            biased;
            () = broker.stopping() => return,
            asked = broker.controller_channel.call(&broker, &request) => asked,
        };
        match asked {
            Ok(answer) if answer.error_code == 0 => return,
            Ok(answer) => tracing::warn!(
                "the active controller refused this one: {}",
                answer.error_message.unwrap_or_default()
            ),
            Err(error) => tracing::debug!(%error, "this controller is not registered yet"),
        }
        tokio::select! {
            biased;
            () = broker.stopping() => return,
            () = sleep(RETRY) => {}
        }
    }
}
