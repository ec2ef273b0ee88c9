//! Records as a damaged disk or a foreign broker may hold them. The first byte chooses the log.
#![no_main]

mod rewrite;

use bytes::{Buf, Bytes};
use kalda_protocol::stored::{
    MetadataRecord, consumer_protocol, decode_versioned_lenient, group, raft, share, transaction,
};
use libfuzzer_sys::fuzz_target;

/// Reads a record of a coordinator's log: a value with its version in front.
macro_rules! decode_values {
    ($input:ident: $($value:ty),* $(,)?) => {{
        let mut body = $input.clone();
        if let Ok(version) = body.try_get_i16() {
            $(rewrite::decode_and_rewrite::<$value>(body.clone(), version);)*
        }
    }};
}

fn rewrite_metadata(record: &MetadataRecord, version: i16) {
    let value = record.encode_value_in(version).expect("what was decoded encodes");
    let again = MetadataRecord::decode_value(value.clone()).expect("what was encoded decodes");
    assert_eq!(again.encode_value_in(version), Ok(value));
}

fuzz_target!(|data: &[u8]| {
    let mut input = Bytes::copy_from_slice(data);
    let Ok(log) = input.try_get_u8() else { return };
    match log % 5 {
        0 => {
            if let Ok(record) = MetadataRecord::decode_value(input.clone()) {
                // The version is the third number of the frame; a number may be written longer
                // than it need be, and then its place is not worth finding.
                if input[..3].iter().all(|byte| *byte < 0x80) {
                    rewrite_metadata(&record, i16::from(input[2]));
                }
            }
        }
        1 => {
            let key = input.split_to(input.len().min(4));
            if let Ok(record) = raft::ControlRecord::decode(key, input) {
                record.encode_value().expect("what was decoded encodes");
            }
        }
        2 => {
            let _ = group::GroupKey::decode(input.clone());
            decode_values!(input:
                group::OffsetCommitValue,
                group::GroupMetadataValue,
                group::ConsumerGroupMemberMetadataValue,
                group::ConsumerGroupCurrentMemberAssignmentValue,
                group::ConsumerGroupTargetAssignmentMemberValue,
                group::ShareGroupStatePartitionMetadataValue,
                group::StreamsGroupMemberMetadataValue,
                group::StreamsGroupTopologyValue,
            );
        }
        3 => {
            let _ = transaction::TransactionKey::decode(input.clone());
            let _ = share::ShareKey::decode(input.clone());
            decode_values!(input:
                transaction::TransactionLogValue,
                share::ShareSnapshotValue,
                share::ShareUpdateValue,
            );
        }
        _ => {
            use consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
            let _ = decode_versioned_lenient::<ConsumerProtocolSubscription>(input.clone());
            let _ = decode_versioned_lenient::<ConsumerProtocolAssignment>(input);
        }
    }
});
