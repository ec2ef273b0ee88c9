//! Envelope (key 58, versions 0, flexible from 0):

use bytes::Bytes;

use crate::Message;

/// Asks for Envelope.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(key = 58, versions = 0..=0, flexible = 0.., response = EnvelopeResponse)]
pub struct EnvelopeRequest {
    pub request_data: Bytes,
    #[default(empty)]
    pub request_principal: Option<Bytes>,
    pub client_host_address: Bytes,
}

/// Answers [`EnvelopeRequest`].
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct EnvelopeResponse {
    pub response_data: Option<Bytes>,
    pub error_code: i16,
}
