//! What every message can do, and how encoding and decoding fail.
//!
//! Implemented by `#[derive(Message)]`; called by server, client, raft, metadata and coordinators.

use std::ops::RangeInclusive;

use bytes::{Bytes, BytesMut};

use crate::api_key::ApiKey;
use crate::wire::Version;

/// A struct that Kafka gives versions and a byte form: a request, a response, a stored record.
pub trait Message: Sized {
    /// The versions that can be encoded and decoded.
    const VERSIONS: RangeInclusive<i16>;

    /// Appends the message in the given version. A value that the version has no field for is an
    /// error unless it is the default or the field is ignorable, as in Kafka. After an error, `out`
    /// holds a part of the message.
    fn encode(&self, out: &mut BytesMut, version: i16) -> Result<(), EncodeError>;

    /// Consumes a message of the given version and leaves what follows it. Blobs are slices of
    /// `input`, not copies, and keep its memory alive.
    fn decode(input: &mut Bytes, version: i16) -> Result<Self, DecodeError>;

    /// The exact number of bytes that [`Message::encode`] appends; 0 for an unsupported version.
    fn size(&self, version: i16) -> usize;
}

/// A message that opens an exchange.
pub trait Request: Message {
    /// The API that the request is for.
    const KEY: ApiKey;
    /// The first version with flexible encoding (KIP-482), `i16::MAX` if there is none.
    const FLEXIBLE_FROM: i16;
    /// What is answered, in the same version.
    type Response: Message;
}

/// A message cannot be written in the version asked for. The sender's fault.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EncodeError {
    /// The message does not have that version.
    #[error("{message} has no version {version}")]
    UnsupportedVersion {
        /// The struct.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A field is set that the version has no place for.
    #[error("{message}.{field} is set, but version {version} cannot carry it")]
    FieldAbsent {
        /// The struct.
        message: &'static str,
        /// Its field.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A field is null that must not be.
    #[error("{message}.{field} is null, which version {version} does not allow")]
    Null {
        /// The struct.
        message: &'static str,
        /// Its field.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A string, blob or array is longer than its length field can say.
    #[error("a length of {length} is over the maximum of {max}")]
    TooLong {
        /// The length found.
        length: usize,
        /// The largest that is allowed.
        max: usize,
    },
}

/// Bytes are not a message of the version they claim. The peer's fault, or the disk's.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// The message does not have that version.
    #[error("{message} has no version {version}")]
    UnsupportedVersion {
        /// The struct.
        message: &'static str,
        /// The version claimed.
        version: i16,
    },
    /// The API key is not one of Kafka's.
    #[error("there is no API with key {0}")]
    UnknownApiKey(i16),
    /// The record type is not one of those that may stand here.
    #[error("there is no {family} record of type {record_type}")]
    UnknownRecordType {
        /// The log that the record was found in.
        family: &'static str,
        /// The type claimed.
        record_type: i32,
    },
    /// The frame around a metadata record has a version other than 1.
    #[error("metadata record frames have version 1, not {0}")]
    UnknownFrameVersion(u32),
    /// The input ends before the message does.
    #[error("{needed} more bytes were declared, {remaining} remain")]
    Truncated {
        /// The bytes declared or needed.
        needed: usize,
        /// The bytes there are.
        remaining: usize,
    },
    /// The record is followed by bytes that belong to nothing.
    #[error("{0} bytes follow the end of the record")]
    TrailingBytes(usize),
    /// A variable-length number does not fit 32 bits.
    #[error("a variable-length number is longer than 32 bits")]
    Varint,
    /// A string is longer than the protocol allows.
    #[error("a string declares {length} bytes, over the maximum of 32767")]
    StringLength {
        /// The length declared.
        length: usize,
    },
    /// A string is not UTF-8.
    #[error("a string is not UTF-8")]
    Utf8,
    /// Null stands where it is never allowed.
    #[error("null where a value is required")]
    Null,
    /// Null stands where the version does not allow it.
    #[error("{message}.{field} is null, which version {version} does not allow")]
    NullField {
        /// The struct.
        message: &'static str,
        /// Its field.
        field: &'static str,
        /// The version claimed.
        version: i16,
    },
    /// A tagged field declares more bytes than its value has.
    #[error("tagged field {tag} has {unread} bytes after its value")]
    TagLength {
        /// The tag.
        tag: u32,
        /// The bytes left over.
        unread: usize,
    },
}

impl EncodeError {
    /// For the derive macro: a field is set that the version lacks.
    #[doc(hidden)]
    #[must_use]
    #[cold]
    pub fn absent(message: &'static str, field: &'static str, version: Version) -> Self {
        Self::FieldAbsent { message, field, version: version.number }
    }

    /// For the derive macro: a field is null that the version requires.
    #[doc(hidden)]
    #[must_use]
    #[cold]
    pub fn null(message: &'static str, field: &'static str, version: Version) -> Self {
        Self::Null { message, field, version: version.number }
    }
}

impl DecodeError {
    /// For the derive macro: a field is null that the version requires.
    #[doc(hidden)]
    #[must_use]
    #[cold]
    pub fn null(message: &'static str, field: &'static str, version: Version) -> Self {
        Self::NullField { message, field, version: version.number }
    }
}
