//! The control records of the metadata log and its snapshots, written by raft itself.
//!
//! They stand in control batches, next to the end-of-transaction markers of ordinary partitions, and
//! are told apart by the type in the record's key.

pub mod kraft_version;
pub mod leader_change;
pub mod snapshot_footer;
pub mod snapshot_header;
pub mod voters;

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::{Field, Version};
use crate::{DecodeError, EncodeError, Message};

pub use kraft_version::KRaftVersionRecord;
pub use leader_change::LeaderChangeMessage;
pub use snapshot_footer::SnapshotFooterRecord;
pub use snapshot_header::SnapshotHeaderRecord;
pub use voters::VotersRecord;

/// The version of a control record's key.
const KEY_VERSION: i16 = 0;

macro_rules! control_records {
    ($($(#[$doc:meta])* $name:ident($record:ident) = $type:literal,)*) => {
        /// A control record of the metadata log.
        #[derive(Clone, Debug, PartialEq)]
        pub enum ControlRecord {
            $($(#[$doc])* $name($record),)*
        }

        impl ControlRecord {
            /// The type in the record's key.
            #[must_use]
            pub const fn control_type(&self) -> i16 {
                match self {
                    $(Self::$name(_) => $type,)*
                }
            }

            /// The value of the log record, in the version that its own `version` field names.
            pub fn encode_value(&self) -> Result<Bytes, EncodeError> {
                let mut out = BytesMut::new();
                match self {
                    $(Self::$name(record) => record.encode(&mut out, record.version)?,)*
                }
                Ok(out.freeze())
            }

            /// Reads key and value of a log record of a control batch.
            pub fn decode(mut key: Bytes, mut value: Bytes) -> Result<Self, DecodeError> {
                let plain = Version { number: 0, flexible: false };
                // Newer versions of the key only append to it, as Kafka reads it too.
                let _key_version = i16::read(&mut key, plain)?;
                let control_type = i16::read(&mut key, plain)?;
                // The value opens with its version, whatever the version.
                let version = i16::read(&mut value.clone(), plain)?;
                let record = match control_type {
                    $($type => $record::decode(&mut value, version).map(Self::$name),)*
                    _ => Err(DecodeError::UnknownRecordType {
                        family: "control",
                        record_type: control_type.into(),
                    }),
                }?;
                if value.is_empty() { Ok(record) } else { Err(DecodeError::TrailingBytes(value.len())) }
            }
        }

        $(impl From<$record> for ControlRecord {
            fn from(record: $record) -> Self {
                Self::$name(record)
            }
        })*
    };
}

control_records! {
    /// The first record of every leader's epoch.
    LeaderChange(LeaderChangeMessage) = 2,
    /// Opens a snapshot.
    SnapshotHeader(SnapshotHeaderRecord) = 3,
    /// Closes a snapshot.
    SnapshotFooter(SnapshotFooterRecord) = 4,
    /// The finalized `kraft.version` feature (KIP-853).
    KRaftVersion(KRaftVersionRecord) = 5,
    /// The set of voters (KIP-853).
    Voters(VotersRecord) = 6,
}

impl ControlRecord {
    /// The key of the log record.
    #[must_use]
    pub fn encode_key(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(4);
        out.put_i16(KEY_VERSION);
        out.put_i16(self.control_type());
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_change_round_trips_in_its_own_version() {
        for version in [0, 1] {
            let record = LeaderChangeMessage {
                version,
                leader_id: 3,
                voters: vec![leader_change::Voter { voter_id: 3, ..Default::default() }],
                ..Default::default()
            };
            let record = ControlRecord::from(record);
            assert_eq!(record.encode_key()[..], [0, 0, 0, 2]);
            let value = record.encode_value().unwrap();
            assert_eq!(value[..2], version.to_be_bytes());
            assert_eq!(ControlRecord::decode(record.encode_key(), value), Ok(record));
        }
    }

    #[test]
    fn an_unknown_control_type_is_an_error() {
        let key = Bytes::from_static(&[0, 0, 0, 9]);
        let unknown = DecodeError::UnknownRecordType { family: "control", record_type: 9 };
        assert_eq!(ControlRecord::decode(key, Bytes::from_static(&[0, 0])), Err(unknown));
    }
}
