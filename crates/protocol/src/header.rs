//! The headers in front of requests and responses, within a frame of which the length has been read.
//!
//! Called by the connections of server and client. What stands after the header is left in the input.

use bytes::{BufMut, Bytes, BytesMut};

use crate::api_key::{ApiKey, request_header_version, response_header_version};
use crate::wire::{self, Field, Version};
use crate::{DecodeError, EncodeError};

const PLAIN: Version = Version { number: 0, flexible: false };

/// The eight bytes that every request opens with, whatever it is: enough to tell the client why the
/// rest was not understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestPrefix {
    /// The API's key, known or not.
    pub api_key: i16,
    /// The version, served or not.
    pub api_version: i16,
    /// To be echoed in the response.
    pub correlation_id: i32,
}

impl RequestPrefix {
    /// Reads the prefix without consuming it.
    pub fn peek(frame: &[u8]) -> Result<Self, DecodeError> {
        let Some(&[k0, k1, v0, v1, c0, c1, c2, c3]) = frame.first_chunk::<8>() else {
            return Err(DecodeError::Truncated { needed: 8, remaining: frame.len() });
        };
        Ok(Self {
            api_key: i16::from_be_bytes([k0, k1]),
            api_version: i16::from_be_bytes([v0, v1]),
            correlation_id: i32::from_be_bytes([c0, c1, c2, c3]),
        })
    }
}

/// The header of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestHeader {
    /// What is asked for.
    pub api_key: ApiKey,
    /// The version of request and response; not checked against those served.
    pub api_version: i16,
    /// Echoed in the response, so that the client finds the request it answers.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<String>,
}

impl RequestHeader {
    /// Appends the header. The client id has the classic form even in the flexible header, so that
    /// any broker can read it in front of any version.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        out.put_i16(self.api_key.value());
        out.put_i16(self.api_version);
        out.put_i32(self.correlation_id);
        self.client_id.write(out, PLAIN)?;
        wire::write_no_tags(out, self.flexibility())
    }

    /// Consumes the header and leaves the request.
    pub fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        let api_key = i16::read(input, PLAIN)?;
        let api_key = ApiKey::from_i16(api_key).ok_or(DecodeError::UnknownApiKey(api_key))?;
        let api_version = i16::read(input, PLAIN)?;
        let correlation_id = i32::read(input, PLAIN)?;
        let client_id = Option::<String>::read(input, PLAIN)?;
        let header = Self { api_key, api_version, correlation_id, client_id };
        wire::skip_tags(input, header.flexibility())?;
        Ok(header)
    }

    /// The bytes that [`RequestHeader::encode`] appends.
    #[must_use]
    pub fn size(&self) -> usize {
        let client_id = self.client_id.as_ref().map_or(0, String::len);
        10 + client_id + usize::from(self.flexibility().flexible)
    }

    fn flexibility(&self) -> Version {
        let number = request_header_version(self.api_key, self.api_version);
        Version { number, flexible: number >= 2 }
    }
}

/// The header of a response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResponseHeader {
    /// That of the request answered.
    pub correlation_id: i32,
}

impl ResponseHeader {
    /// Appends the header of the answer to a request of that API and version.
    pub fn encode(self, out: &mut BytesMut, key: ApiKey, version: i16) {
        out.put_i32(self.correlation_id);
        if response_header_version(key, version) >= 1 {
            wire::write_uvarint(0, out);
        }
    }

    /// Consumes the header of the answer to a request of that API and version.
    pub fn decode(input: &mut Bytes, key: ApiKey, version: i16) -> Result<Self, DecodeError> {
        let correlation_id = i32::read(input, PLAIN)?;
        let number = response_header_version(key, version);
        wire::skip_tags(input, Version { number, flexible: number >= 1 })?;
        Ok(Self { correlation_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(api_key: ApiKey, api_version: i16, client_id: Option<&str>) -> RequestHeader {
        let client_id = client_id.map(str::to_owned);
        RequestHeader { api_key, api_version, correlation_id: 7, client_id }
    }

    fn encoded(header: &RequestHeader) -> Bytes {
        let mut out = BytesMut::new();
        header.encode(&mut out).unwrap();
        assert_eq!(out.len(), header.size());
        out.freeze()
    }

    #[test]
    fn the_client_id_is_never_compact() {
        let classic = encoded(&header(ApiKey::Metadata, 8, Some("me")));
        assert_eq!(classic[..], [0, 3, 0, 8, 0, 0, 0, 7, 0, 2, b'm', b'e']);
        let flexible = encoded(&header(ApiKey::Metadata, 9, Some("me")));
        assert_eq!(flexible[..], [0, 3, 0, 9, 0, 0, 0, 7, 0, 2, b'm', b'e', 0]);
        let absent = encoded(&header(ApiKey::Metadata, 9, None));
        assert_eq!(absent[..], [0, 3, 0, 9, 0, 0, 0, 7, 255, 255, 0]);
    }

    #[test]
    fn decoding_leaves_the_body_and_skips_unknown_tags() {
        let mut frame = BytesMut::from(&encoded(&header(ApiKey::Metadata, 12, Some("me")))[..]);
        frame.truncate(frame.len() - 1);
        frame.extend_from_slice(&[1, 9, 2, 0xaa, 0xbb, 0xcc]);
        let mut frame = frame.freeze();
        let read = RequestHeader::decode(&mut frame).unwrap();
        assert_eq!(read, header(ApiKey::Metadata, 12, Some("me")));
        assert_eq!(frame[..], [0xcc]);
    }

    #[test]
    fn a_bad_frame_is_an_error_and_its_prefix_still_readable() {
        let frame: &[u8] = &[0x7f, 0xff, 0, 1, 0, 0, 0, 9];
        let prefix = RequestPrefix::peek(frame).unwrap();
        assert_eq!((prefix.api_key, prefix.correlation_id), (0x7fff, 9));
        let unknown = RequestHeader::decode(&mut Bytes::from_static(frame));
        assert_eq!(unknown, Err(DecodeError::UnknownApiKey(0x7fff)));
        for length in 0..8 {
            assert!(RequestPrefix::peek(&frame[..length]).is_err());
            assert!(RequestHeader::decode(&mut Bytes::from_static(&frame[..length])).is_err());
        }
    }

    #[test]
    fn response_headers_are_flexible_with_the_body_but_for_api_versions() {
        let bytes = |key, version| {
            let mut out = BytesMut::new();
            ResponseHeader { correlation_id: 1 }.encode(&mut out, key, version);
            let mut input = out.clone().freeze();
            let read = ResponseHeader::decode(&mut input, key, version).unwrap();
            assert_eq!((read.correlation_id, input.len()), (1, 0));
            out
        };
        assert_eq!(bytes(ApiKey::Metadata, 8)[..], [0, 0, 0, 1]);
        assert_eq!(bytes(ApiKey::Metadata, 9)[..], [0, 0, 0, 1, 0]);
        assert_eq!(bytes(ApiKey::ApiVersions, 4)[..], [0, 0, 0, 1]);
    }
}
