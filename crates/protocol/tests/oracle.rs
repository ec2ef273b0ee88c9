//! Every API in every version against the crate `kafka-protocol`, which was written by others from
//! the same schemas: what one encodes the other must read, and write again byte for byte.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Debug;

use bytes::BytesMut;
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable};
use kalda_protocol::testing::{Fill, sample};
use kalda_protocol::wire::Versioned;
use kalda_protocol::{Message, for_each_api, messages};

/// Random messages per version; each field of each struct is met with and without a value.
const SEEDS: u64 = 40;

/// Compares one pair of structs and returns the versions that only one of the two has.
fn cross_check<Ours, Theirs>() -> Option<String>
where
    Ours: Message + Versioned + Fill + PartialEq + Debug,
    Theirs: kafka_protocol::protocol::Message + Encodable + Decodable + Debug,
{
    let name = Ours::SCHEMA.name;
    let oracle = Theirs::VERSIONS;
    for version in Ours::VERSIONS {
        if version < oracle.min || version > oracle.max {
            continue;
        }
        for seed in 0..SEEDS {
            let ours: Ours = sample(seed, version).unwrap();
            let mut bytes = BytesMut::new();
            ours.encode(&mut bytes, version).unwrap();
            let bytes = bytes.freeze();
            let context = format!("{name} v{version} seed {seed}: {ours:?}");
            assert_eq!(bytes.len(), ours.size(version), "size of {context}");

            let mut input = bytes.clone();
            let read = Theirs::decode(&mut input, version);
            let read = read.unwrap_or_else(|error| panic!("{error} reading {context}"));
            assert!(input.is_empty(), "{} bytes left of {context}", input.len());
            let mut written = BytesMut::new();
            read.encode(&mut written, version).unwrap();
            assert_eq!(written, bytes, "{context}\n{read:?}");

            let mut input = written.freeze();
            assert_eq!(Ours::decode(&mut input, version).as_ref(), Ok(&ours), "{context}");
            assert!(input.is_empty(), "{context}");
        }
    }
    let (first, last) = (*Ours::VERSIONS.start(), *Ours::VERSIONS.end());
    let same = (first, last) == (oracle.min, oracle.max);
    (!same).then(|| format!("{name} {first}-{last}, oracle {}-{}", oracle.min, oracle.max))
}

macro_rules! cross_check_row {
    // Not in the oracle.
    ($found:ident, StreamsGroupHeartbeat, $($rest:tt)*) => {};
    ($found:ident, StreamsGroupDescribe, $($rest:tt)*) => {};
    ($found:ident, $name:ident, $key:literal, $module:ident, $request:ident, $response:ident) => {
        $found.extend(cross_check::<messages::$module::$request, theirs::$request>());
        $found.extend(cross_check::<messages::$module::$response, theirs::$response>());
    };
}

macro_rules! cross_check_all {
    ($(($($row:tt)*),)*) => {{
        let mut found: Vec<String> = Vec::new();
        $(cross_check_row!(found, $($row)*);)*
        found
    }};
}

#[test]
fn both_codecs_agree_and_versions_differ_only_where_meant() {
    let differences = for_each_api!(cross_check_all);
    let expected = [
        // Legacy versions that clients still send at the low end, unstable ones at the high end.
        "OffsetCommitRequest 1-10, oracle 2-9",
        "OffsetCommitResponse 1-10, oracle 2-10",
        "OffsetFetchRequest 1-10, oracle 1-9",
        "CreateTopicsRequest 0-7, oracle 2-7",
        "CreateTopicsResponse 0-7, oracle 2-7",
        "DeleteTopicsRequest 0-6, oracle 1-6",
        "DeleteTopicsResponse 0-6, oracle 1-6",
        "InitProducerIdRequest 0-6, oracle 0-5",
        "WriteTxnMarkersRequest 1-2, oracle 1-1",
        "WriteTxnMarkersResponse 1-2, oracle 1-1",
        "DescribeAclsRequest 0-3, oracle 1-3",
        "DescribeAclsResponse 0-3, oracle 1-3",
        "CreateAclsRequest 0-3, oracle 1-3",
        "CreateAclsResponse 0-3, oracle 1-3",
        "DeleteAclsRequest 0-3, oracle 1-3",
        "DeleteAclsResponse 0-3, oracle 1-3",
        "DescribeConfigsRequest 0-4, oracle 1-4",
        "DescribeConfigsResponse 0-4, oracle 1-4",
        "AlterReplicaLogDirsRequest 0-2, oracle 1-2",
        "AlterReplicaLogDirsResponse 0-2, oracle 1-2",
        "DescribeLogDirsRequest 0-4, oracle 1-4",
        "DescribeLogDirsResponse 0-4, oracle 1-4",
    ];
    assert_eq!(differences, expected);
}
