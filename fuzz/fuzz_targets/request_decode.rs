//! A frame as a stranger may send it: header and request of whatever API and version it names.
#![no_main]

mod rewrite;

use bytes::Bytes;
use kalda_protocol::{ApiKey, Message as _, RequestHeader, RequestPrefix, for_each_api, messages};
use libfuzzer_sys::fuzz_target;

macro_rules! decode_request {
    ($(($name:ident, $key:literal, $module:ident, $request:ident, $response:ident),)*) => {
        fn decode_request(key: ApiKey, version: i16, body: Bytes) {
            match key {
                $(ApiKey::$name => {
                    rewrite::decode_and_rewrite::<messages::$module::$request>(body, version);
                })*
            }
        }
    };
}
for_each_api!(decode_request);

/// What is read of a Produce by hand is what the derived codec reads.
fn produce_by_hand(data: &[u8], version: i16, body: &Bytes) {
    let derived = messages::produce::ProduceRequest::decode(&mut body.clone(), version);
    let by_hand = kalda_protocol::produce::body(data, version)
        .and_then(|body| kalda_protocol::produce::ProduceView::read(body, version));
    assert_eq!(by_hand.is_ok(), derived.is_ok());
    let (Ok(view), Ok(derived)) = (by_hand, derived) else { return };
    assert_eq!((view.acks, view.timeout_ms), (derived.acks, derived.timeout_ms));
    assert_eq!(view.topics().count(), derived.topic_data.len());
    for (topic, known) in view.topics().zip(&derived.topic_data) {
        assert_eq!((topic.name, topic.id), (&*known.name, known.topic_id));
        assert_eq!(topic.partitions().count(), known.partition_data.len());
        for (partition, known) in topic.partitions().zip(&known.partition_data) {
            assert_eq!(
                (partition.index, partition.records),
                (known.index, known.records.as_deref())
            );
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let prefix = RequestPrefix::peek(data);
    let mut frame = Bytes::copy_from_slice(data);
    let Ok(header) = RequestHeader::decode(&mut frame) else { return };
    let prefix = prefix.expect("a header holds a prefix");
    assert_eq!(prefix.correlation_id, header.correlation_id);
    if header.api_key == ApiKey::Produce {
        produce_by_hand(data, header.api_version, &frame);
    }
    decode_request(header.api_key, header.api_version, frame);
});
