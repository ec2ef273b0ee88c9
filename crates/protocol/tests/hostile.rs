//! Bytes that nobody honest would send: decoding must end in a value or an error, never in a panic,
//! and never take memory on the word of a length.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::{BufMut, Bytes, BytesMut};
use kalda_protocol::messages::metadata::MetadataRequest;
use kalda_protocol::stored::raft::ControlRecord;
use kalda_protocol::stored::{MetadataRecord, group, share, transaction};
use kalda_protocol::testing::{Fill, Source, sample};
use kalda_protocol::wire::Versioned;
use kalda_protocol::{DecodeError, Message, RequestHeader, for_each_api, messages};
use proptest::prelude::*;

/// Decodes in every version, only to see whether it comes back.
fn decode_all<M: Message>(input: &Bytes) {
    for version in M::VERSIONS {
        let _ = M::decode(&mut input.clone(), version);
    }
}

macro_rules! decode_apis {
    ($(($name:ident, $key:literal, $module:ident, $request:ident, $response:ident),)*) => {
        fn decode_everything(input: &Bytes) {
            $(
                decode_all::<messages::$module::$request>(input);
                decode_all::<messages::$module::$response>(input);
            )*
            let _ = RequestHeader::decode(&mut input.clone());
            let _ = MetadataRecord::decode_value(input.clone());
            let _ = group::GroupKey::decode(input.clone());
            let _ = share::ShareKey::decode(input.clone());
            let _ = transaction::TransactionKey::decode(input.clone());
            let _ = ControlRecord::decode(input.clone(), input.clone());
        }

        fn corrupt_everything(seed: u64) {
            $(
                corrupt::<messages::$module::$request>(seed);
                corrupt::<messages::$module::$response>(seed);
            )*
        }
    };
}
for_each_api!(decode_apis);

/// Overwrites a few bytes of a good message, which leads deeper than random bytes do.
fn corrupt<M: Message + Versioned + Fill>(seed: u64) {
    for version in M::VERSIONS {
        let mut source = Source::new(seed);
        let message: M = sample(seed, version).unwrap();
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes, version).unwrap();
        for _ in 0..1 + source.below(4) {
            let Some(length) = (!bytes.is_empty()).then_some(bytes.len() as u64) else { continue };
            let bad = [0x7f, 0xff, 0x80, 0x00, 0x01, source.next_u64() as u8];
            bytes[source.below(length) as usize] = bad[source.below(6) as usize];
        }
        let _ = M::decode(&mut bytes.freeze(), version);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        decode_everything(&Bytes::from(bytes));
    }

    #[test]
    fn corrupted_messages_never_panic(seed in any::<u64>()) {
        corrupt_everything(seed);
    }
}

#[test]
fn a_huge_array_in_eight_bytes_is_an_error() {
    let mut body = BytesMut::new();
    body.put_i32(i32::MAX);
    body.put_i32(0);
    let read = MetadataRequest::decode(&mut body.freeze(), 1);
    assert_eq!(read, Err(DecodeError::Truncated { needed: i32::MAX as usize, remaining: 4 }));
    let mut body = BytesMut::from(&[0xff, 0xff, 0xff, 0xff, 0x0f][..]);
    body.put_i32(0);
    let read = MetadataRequest::decode(&mut body.freeze(), 9);
    assert_eq!(read, Err(DecodeError::Truncated { needed: u32::MAX as usize - 1, remaining: 4 }));
}

#[test]
fn huge_lengths_everywhere_cost_nothing() {
    // Terabytes, if anyone believed them: classic and compact lengths at every alignment.
    let patterns: [&[u8]; 6] = [
        &[0x7f, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0x80, 0x80, 0x80, 0x80, 0x08],
        &[0x00, 0x00, 0x7f, 0xff],
        &[0x7f, 0x00, 0x00, 0x01],
        &[0xff, 0xff, 0x7f],
    ];
    for pattern in patterns {
        for offset in 0..40 {
            let mut bytes = vec![0; offset];
            bytes.extend(pattern.iter().cycle().take(64));
            decode_everything(&Bytes::from(bytes.clone()));
            bytes[..offset].fill(1);
            decode_everything(&Bytes::from(bytes));
        }
    }
}
