//! A blocking connection to any broker: one request, one answer; or frames, for whoever pipelines.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use kalda_protocol::{Message as _, Request, RequestHeader, ResponseHeader};

use super::Outcome;

/// Longer than anything measured here should take.
const PATIENCE: Duration = Duration::from_secs(120);
const FRAME_LEN_MAX: usize = 256 << 20;

/// The connection.
pub(crate) struct Connection(TcpStream);

impl Connection {
    /// Dials.
    pub(crate) fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    /// Asks and waits for the answer.
    pub(crate) fn call<R: Request>(&mut self, request: &R, version: i16) -> Outcome<R::Response> {
        self.send(&frame(request, version)?)?;
        self.receive::<R>(version)
    }

    /// Sends a frame that was made before.
    pub(crate) fn send(&mut self, frame: &[u8]) -> Outcome<()> {
        Ok(self.0.write_all(frame)?)
    }

    /// The same connection once more, for whoever sends and receives on different threads.
    pub(crate) fn duplicate(&self) -> Outcome<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    /// Waits for the next answer and leaves it in `body`, header and all.
    pub(crate) fn receive_into(&mut self, body: &mut Vec<u8>) -> Outcome<()> {
        let mut len = [0; 4];
        self.0.read_exact(&mut len)?;
        let len = usize::try_from(i32::from_be_bytes(len))?;
        if len > FRAME_LEN_MAX {
            return Err(format!("an answer of {len} bytes").into());
        }
        body.resize(len, 0);
        Ok(self.0.read_exact(body)?)
    }

    /// Waits for the next answer.
    pub(crate) fn receive<R: Request>(&mut self, version: i16) -> Outcome<R::Response> {
        let mut body = Vec::new();
        self.receive_into(&mut body)?;
        let mut body = Bytes::from(body);
        ResponseHeader::decode(&mut body, R::KEY, version)?;
        Ok(R::Response::decode(&mut body, version)?)
    }
}

/// A request as it goes over the wire.
pub(crate) fn frame<R: Request>(request: &R, version: i16) -> Outcome<Bytes> {
    let header = RequestHeader {
        api_key: R::KEY,
        api_version: version,
        correlation_id: 1,
        client_id: Some("bench".to_owned()),
    };
    let mut frame = BytesMut::new();
    frame.put_i32(i32::try_from(header.size() + request.size(version))?);
    header.encode(&mut frame)?;
    request.encode(&mut frame, version)?;
    Ok(frame.freeze())
}
