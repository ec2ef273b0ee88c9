//! A frame as a stranger may send it: header and request of whatever API and version it names.
#![no_main]

mod rewrite;

use bytes::Bytes;
use kalda_protocol::{ApiKey, RequestHeader, RequestPrefix, for_each_api, messages};
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

fuzz_target!(|data: &[u8]| {
    let prefix = RequestPrefix::peek(data);
    let mut frame = Bytes::copy_from_slice(data);
    let Ok(header) = RequestHeader::decode(&mut frame) else { return };
    let prefix = prefix.expect("a header holds a prefix");
    assert_eq!(prefix.correlation_id, header.correlation_id);
    decode_request(header.api_key, header.api_version, frame);
});
