//! The records of `__cluster_metadata`: how the cluster came to be what it is.
//!
//! Written by the controller, replayed by every node. A record that cannot be understood is fatal to
//! its reader: skipping one would give it another cluster than the others have.

mod abort_transaction;
mod access_control_entry;
mod begin_transaction;
mod broker_registration_change;
mod clear_elr;
mod client_quota;
mod config;
mod delegation_token;
mod end_transaction;
mod feature_level;
mod fence_broker;
mod no_op;
mod partition;
mod partition_change;
mod producer_ids;
mod register_broker;
mod register_controller;
mod remove_access_control_entry;
mod remove_delegation_token;
mod remove_topic;
mod remove_user_scram_credential;
mod topic;
mod unfence_broker;
mod unregister_broker;
mod user_scram_credential;
mod zk_migration_state;

use bytes::{Buf, Bytes, BytesMut};

use crate::wire;
use crate::{DecodeError, EncodeError, Message};

pub use abort_transaction::*;
pub use access_control_entry::*;
pub use begin_transaction::*;
pub use broker_registration_change::*;
pub use clear_elr::*;
pub use client_quota::*;
pub use config::*;
pub use delegation_token::*;
pub use end_transaction::*;
pub use feature_level::*;
pub use fence_broker::*;
pub use no_op::*;
pub use partition::*;
pub use partition_change::*;
pub use producer_ids::*;
pub use register_broker::*;
pub use register_controller::*;
pub use remove_access_control_entry::*;
pub use remove_delegation_token::*;
pub use remove_topic::*;
pub use remove_user_scram_credential::*;
pub use topic::*;
pub use unfence_broker::*;
pub use unregister_broker::*;
pub use user_scram_credential::*;
pub use zk_migration_state::*;

/// The version of the frame around each record: this number, record type, record version, record.
const FRAME_VERSION: u32 = 1;

macro_rules! metadata_records {
    ($(($name:ident, $key:literal, $record:ident),)*) => {
        /// A record of the metadata log, of any type.
        #[derive(Clone, Debug, PartialEq)]
        pub enum MetadataRecord {
            $($name($record),)*
        }

        impl MetadataRecord {
            /// The number of the record's type.
            #[must_use]
            pub const fn record_type(&self) -> i16 {
                match self {
                    $(Self::$name(_) => $key,)*
                }
            }

            /// The name of the record's type, such as `TOPIC_RECORD`'s struct `TopicRecord`.
            #[must_use]
            pub const fn type_name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($record),)*
                }
            }

            fn encode_body(&self, out: &mut BytesMut, version: i16) -> Result<(), EncodeError> {
                match self {
                    $(Self::$name(record) => record.encode(out, version),)*
                }
            }

            fn body_size(&self, version: i16) -> usize {
                match self {
                    $(Self::$name(record) => record.size(version),)*
                }
            }

            fn latest_version(&self) -> i16 {
                match self {
                    $(Self::$name(_) => *<$record as Message>::VERSIONS.end(),)*
                }
            }

            fn decode_body(
                input: &mut Bytes,
                record_type: u32,
                version: i16,
            ) -> Result<Self, DecodeError> {
                match record_type {
                    $($key => $record::decode(input, version).map(Self::$name),)*
                    _ => Err(unknown_type(record_type)),
                }
            }

            /// A random record of each type and version, for tests.
            #[cfg(feature = "testing")]
            #[must_use]
            pub fn samples(seed: u64) -> Vec<(Self, i16)> {
                let mut samples = Vec::new();
                $(for version in <$record as Message>::VERSIONS {
                    let sample = crate::testing::sample::<$record>(seed, version);
                    samples.extend(sample.map(|record| (Self::$name(record), version)));
                })*
                samples
            }
        }

        $(impl From<$record> for MetadataRecord {
            fn from(record: $record) -> Self {
                Self::$name(record)
            }
        })*
    };
}

metadata_records! {
    (RegisterBroker, 0, RegisterBrokerRecord),
    (UnregisterBroker, 1, UnregisterBrokerRecord),
    (Topic, 2, TopicRecord),
    (Partition, 3, PartitionRecord),
    (Config, 4, ConfigRecord),
    (PartitionChange, 5, PartitionChangeRecord),
    (FenceBroker, 7, FenceBrokerRecord),
    (UnfenceBroker, 8, UnfenceBrokerRecord),
    (RemoveTopic, 9, RemoveTopicRecord),
    (DelegationToken, 10, DelegationTokenRecord),
    (UserScramCredential, 11, UserScramCredentialRecord),
    (FeatureLevel, 12, FeatureLevelRecord),
    (ClientQuota, 14, ClientQuotaRecord),
    (ProducerIds, 15, ProducerIdsRecord),
    (BrokerRegistrationChange, 17, BrokerRegistrationChangeRecord),
    (AccessControlEntry, 18, AccessControlEntryRecord),
    (RemoveAccessControlEntry, 19, RemoveAccessControlEntryRecord),
    (NoOp, 20, NoOpRecord),
    (ZkMigrationState, 21, ZkMigrationStateRecord),
    (RemoveUserScramCredential, 22, RemoveUserScramCredentialRecord),
    (BeginTransaction, 23, BeginTransactionRecord),
    (EndTransaction, 24, EndTransactionRecord),
    (AbortTransaction, 25, AbortTransactionRecord),
    (RemoveDelegationToken, 26, RemoveDelegationTokenRecord),
    (RegisterController, 27, RegisterControllerRecord),
    (ClearElr, 28, ClearElrRecord),
}

impl MetadataRecord {
    /// The version that Kafka 4.1 writes at its newest metadata version. A change of a broker's
    /// registration has the oldest that can carry it, since older replicas may have to read it.
    #[must_use]
    pub fn write_version(&self) -> i16 {
        match self {
            Self::BrokerRegistrationChange(change) if !change.log_dirs.is_empty() => 2,
            Self::BrokerRegistrationChange(change) if change.in_controlled_shutdown != 0 => 1,
            Self::BrokerRegistrationChange(_) => 0,
            _ => self.latest_version(),
        }
    }

    /// The value of the log record, in [`MetadataRecord::write_version`]. Fails only for a string
    /// or array that is too long for the format.
    pub fn encode_value(&self) -> Result<Bytes, EncodeError> {
        self.encode_value_in(self.write_version())
    }

    /// The value of the log record, in a version chosen by an older metadata version.
    pub fn encode_value_in(&self, version: i16) -> Result<Bytes, EncodeError> {
        // Frame version, type and version are below 128, so each takes one byte.
        let mut out = BytesMut::with_capacity(3 + self.body_size(version));
        wire::write_uvarint(FRAME_VERSION, &mut out);
        wire::write_uvarint(u32::from(self.record_type().unsigned_abs()), &mut out);
        wire::write_uvarint(u32::from(version.unsigned_abs()), &mut out);
        self.encode_body(&mut out, version)?;
        Ok(out.freeze())
    }

    /// Reads the value of a log record. Anything unknown or left over is an error.
    pub fn decode_value(mut value: Bytes) -> Result<Self, DecodeError> {
        let frame_version = wire::read_uvarint(&mut value)?;
        if frame_version != FRAME_VERSION {
            return Err(DecodeError::UnknownFrameVersion(frame_version));
        }
        let record_type = wire::read_uvarint(&mut value)?;
        let version = wire::read_uvarint(&mut value)?;
        // A version beyond the type's range is no record's version.
        let version = i16::try_from(version).unwrap_or(i16::MAX);
        let record = Self::decode_body(&mut value, record_type, version)?;
        if value.has_remaining() {
            return Err(DecodeError::TrailingBytes(value.remaining()));
        }
        Ok(record)
    }
}

fn unknown_type(record_type: u32) -> DecodeError {
    let record_type = i32::try_from(record_type).unwrap_or(i32::MAX);
    DecodeError::UnknownRecordType { family: "metadata", record_type }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_record_has_kafkas_bytes() {
        let topic_id = kalda_model::Uuid(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
        let record = MetadataRecord::from(TopicRecord { name: "foo".to_owned(), topic_id });
        let value = record.encode_value().unwrap();
        let expected = [
            &[1, 2, 0][..],
            &[4, b'f', b'o', b'o'],
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
            &[0],
        ];
        assert_eq!(value, expected.concat());
        assert_eq!(MetadataRecord::decode_value(value).unwrap(), record);
    }

    #[test]
    fn what_is_unknown_or_left_over_is_an_error() {
        let decode = |bytes: &'static [u8]| MetadataRecord::decode_value(Bytes::from_static(bytes));
        assert_eq!(decode(&[2, 20, 0, 0]), Err(DecodeError::UnknownFrameVersion(2)));
        assert_eq!(
            decode(&[1, 13, 0, 0]),
            Err(DecodeError::UnknownRecordType { family: "metadata", record_type: 13 })
        );
        assert_eq!(
            decode(&[1, 20, 1, 0]),
            Err(DecodeError::UnsupportedVersion { message: "NoOpRecord", version: 1 })
        );
        assert_eq!(decode(&[1, 20, 0, 0, 7]), Err(DecodeError::TrailingBytes(1)));
        assert_eq!(decode(&[1, 20, 0, 0]), Ok(NoOpRecord {}.into()));
        assert!(decode(&[]).is_err());
    }

    #[test]
    fn a_registration_change_is_written_in_the_oldest_version_that_carries_it() {
        let mut change = BrokerRegistrationChangeRecord { fenced: 1, ..Default::default() };
        let version = |change: &BrokerRegistrationChangeRecord| {
            MetadataRecord::from(change.clone()).write_version()
        };
        assert_eq!(version(&change), 0);
        change.in_controlled_shutdown = 1;
        assert_eq!(version(&change), 1);
        change.log_dirs.push(kalda_model::Uuid::ONE);
        assert_eq!(version(&change), 2);
    }
}
