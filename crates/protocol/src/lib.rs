//! Kafka's wire protocol: requests, responses, headers, error codes, and the records that brokers
//! store, as plain structs with versions.
//!
//! Called by server, client, raft, metadata, controller and coordinators. It turns bytes into structs
//! and back, and decides nothing. Bad input is an error that costs no more than the input: decoding
//! never panics, and never allocates on the word of a declared length.

// `#[derive(Message)]` names this crate by its full path, here too.
extern crate self as kalda_protocol;

mod api_key;
mod error;
mod header;
mod message;
pub mod messages;
pub mod produce;
pub mod stored;
#[cfg(feature = "testing")]
pub mod testing;
#[doc(hidden)]
pub mod wire;

pub use api_key::{ApiKey, request_header_version, response_header_version};
pub use error::{ErrorCode, downgrade_error};
pub use header::{RequestHeader, RequestPrefix, ResponseHeader};
pub use kalda_protocol_derive::Message;
pub use message::{DecodeError, EncodeError, Message, Request};
