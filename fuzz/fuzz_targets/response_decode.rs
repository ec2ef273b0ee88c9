//! An answer as a broken broker may send it. The first four bytes choose the API and version that
//! the client had asked for.
#![no_main]

mod rewrite;

use bytes::{Buf, Bytes};
use kalda_protocol::{ApiKey, ResponseHeader, for_each_api, messages};
use libfuzzer_sys::fuzz_target;

macro_rules! decode_response {
    ($(($name:ident, $key:literal, $module:ident, $request:ident, $response:ident),)*) => {
        fn decode_response(key: ApiKey, version: i16, body: Bytes) {
            match key {
                $(ApiKey::$name => {
                    rewrite::decode_and_rewrite::<messages::$module::$response>(body, version);
                })*
            }
        }
    };
}
for_each_api!(decode_response);

fuzz_target!(|data: &[u8]| {
    let mut input = Bytes::copy_from_slice(data);
    let (Ok(key), Ok(version)) = (input.try_get_i16(), input.try_get_i16()) else { return };
    let Some(key) = ApiKey::from_i16(key) else { return };
    if ResponseHeader::decode(&mut input, key, version).is_ok() {
        decode_response(key, version, input);
    }
});
