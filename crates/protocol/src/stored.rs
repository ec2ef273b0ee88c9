//! Records that brokers keep in their own logs, and the blobs that travel inside requests.
//!
//! Called by raft, metadata, controller and coordinators. The bytes are Kafka's, so that a data
//! directory can change hands; a record that does not decode is an error, never skipped here.

// The fields are Kafka's own, and its schemas describe them.
#![allow(missing_docs)]

pub mod consumer_protocol;
pub mod group;
pub mod metadata;
pub mod principal;
pub mod raft;
pub mod share;
pub mod transaction;

use bytes::{BufMut, Bytes, BytesMut};

pub use metadata::MetadataRecord;

use crate::wire::{Field, Version};
use crate::{DecodeError, EncodeError, Message};

/// The key of a coordinator's record. Keys carry their type where values carry their version.
pub trait CoordinatorRecord: Message {
    /// The number that the key opens with.
    const TYPE: i16;
}

/// The record key: the type, then the key itself, which has only one version per type.
pub fn encode_key<K: CoordinatorRecord>(key: &K) -> Result<Bytes, EncodeError> {
    encode_prefixed(key, K::TYPE, *K::VERSIONS.end())
}

/// A record value or a consumer protocol blob: the version, then the message in it.
pub fn encode_versioned<V: Message>(value: &V, version: i16) -> Result<Bytes, EncodeError> {
    encode_prefixed(value, version, version)
}

/// Reads a record value, which opens with its version. An unknown version and bytes left over are
/// errors: the record is not what this broker or an older one wrote.
pub fn decode_versioned<V: Message>(mut value: Bytes) -> Result<V, DecodeError> {
    let version = read_prefix(&mut value)?;
    let message = V::decode(&mut value, version)?;
    if value.is_empty() { Ok(message) } else { Err(DecodeError::TrailingBytes(value.len())) }
}

/// Reads a blob that other software wrote, perhaps newer: a version above ours is read as our newest,
/// and what then remains is ignored. That is how consumers agree on subscriptions.
pub fn decode_versioned_lenient<V: Message>(mut value: Bytes) -> Result<V, DecodeError> {
    let version = read_prefix(&mut value)?;
    V::decode(&mut value, version.min(*V::VERSIONS.end()))
}

fn encode_prefixed<M: Message>(
    message: &M,
    prefix: i16,
    version: i16,
) -> Result<Bytes, EncodeError> {
    let mut out = BytesMut::with_capacity(size_of::<i16>() + message.size(version));
    out.put_i16(prefix);
    message.encode(&mut out, version)?;
    Ok(out.freeze())
}

fn read_prefix(input: &mut Bytes) -> Result<i16, DecodeError> {
    i16::read(input, Version { number: 0, flexible: false })
}

/// Defines the enum of the keys that may stand in one coordinator's log.
macro_rules! coordinator_keys {
    ($family:literal, $(#[$doc:meta])* pub enum $enum:ident { $($name:ident($key:ident),)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $enum {
            $($name($key),)*
        }

        impl $enum {
            /// Reads a record key. `UnknownRecordType` is for the caller to judge: a newer
            /// coordinator may have written types that an older one can do without.
            pub fn decode(
                mut key: ::bytes::Bytes,
            ) -> ::core::result::Result<Self, $crate::DecodeError> {
                use $crate::stored::CoordinatorRecord as _;
                let record_type = $crate::stored::read_prefix(&mut key)?;
                let decoded = match record_type {
                    $($key::TYPE => {
                        let version = *<$key as $crate::Message>::VERSIONS.end();
                        <$key as $crate::Message>::decode(&mut key, version).map(Self::$name)
                    })*
                    _ => Err($crate::DecodeError::UnknownRecordType {
                        family: $family,
                        record_type: record_type.into(),
                    }),
                }?;
                if key.is_empty() {
                    Ok(decoded)
                } else {
                    Err($crate::DecodeError::TrailingBytes(key.len()))
                }
            }
        }
    };
}
use coordinator_keys;
