//! What every target asserts of a message that could be decoded.

use bytes::{Bytes, BytesMut};
use kalda_protocol::Message;

/// Decodes; if that succeeds, the message must be encodable, in the size it says, and come back as
/// the same bytes. Bytes are compared, since a number that is not one differs from itself.
pub fn decode_and_rewrite<M: Message>(mut input: Bytes, version: i16) {
    let Ok(message) = M::decode(&mut input, version) else { return };
    let written = rewrite(&message, version);
    let mut input = written.clone();
    let again = M::decode(&mut input, version).expect("what was encoded decodes");
    assert!(input.is_empty());
    assert_eq!(rewrite(&again, version), written);
}

fn rewrite<M: Message>(message: &M, version: i16) -> Bytes {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).expect("what was decoded encodes");
    assert_eq!(bytes.len(), message.size(version));
    bytes.freeze()
}
