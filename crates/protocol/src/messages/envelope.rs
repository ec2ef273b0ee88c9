//! Envelope (key 58, versions 0, flexible from 0): carries a request that a broker forwards to the
//! controller on behalf of a client (KIP-590).

use bytes::Bytes;

use crate::Message;

/// The request with the principal and address of its sender.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 58, versions = 0..=0, flexible = 0.., response = EnvelopeResponse)]
pub struct EnvelopeRequest {
    pub request_data: Bytes,
    #[default(empty)]
    pub request_principal: Option<Bytes>,
    pub client_host_address: Bytes,
}

/// The response to the request within.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct EnvelopeResponse {
    pub response_data: Option<Bytes>,
    pub error_code: i16,
}
