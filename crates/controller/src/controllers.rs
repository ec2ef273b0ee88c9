//! ControllerRegistration (key 70): what each controller says of itself to the active one (KIP-919).

use kalda_metadata::{ControllerRegistration, Endpoint, SupportedFeature};
use kalda_model::BrokerId;
use kalda_protocol::messages::controller_registration::{
    ControllerRegistrationRequest, ControllerRegistrationResponse,
};
use kalda_protocol::stored::metadata::MetadataRecord;

use crate::{Controller, Decision};

impl Controller<'_> {
    /// Registers a controller; what is known already needs no record.
    #[must_use]
    pub fn register_controller(
        &self,
        request: &ControllerRegistrationRequest,
    ) -> Decision<ControllerRegistrationResponse> {
        let endpoints = request.listeners.iter().map(|listener| Endpoint {
            listener: listener.name.clone(),
            host: listener.host.clone(),
            port: listener.port,
            security_protocol: listener.security_protocol,
        });
        let features = request.features.iter().map(|feature| SupportedFeature {
            name: feature.name.clone(),
            min: feature.min_supported_version,
            max: feature.max_supported_version,
        });
        let registration = ControllerRegistration {
            id: BrokerId(request.controller_id),
            incarnation_id: request.incarnation_id,
            endpoints: endpoints.collect(),
            features: features.collect(),
        };
        let known = self.image.controllers.get(&registration.id);
        let records = match known {
            Some(known) if **known == registration => Vec::new(),
            _ => vec![MetadataRecord::RegisterController(registration.to_record())],
        };
        let response = ControllerRegistrationResponse {
            error_message: None,
            ..ControllerRegistrationResponse::default()
        };
        Decision { records, response }
    }
}
