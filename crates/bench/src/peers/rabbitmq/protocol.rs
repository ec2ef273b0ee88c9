//! As much of RabbitMQ's stream protocol as a load needs: frames with a length, a key and a version, big
//! endian; one publisher and one subscription on a connection.

use std::collections::VecDeque;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{Buf, BufMut as _};

use crate::Outcome;

const DECLARE_PUBLISHER: u16 = 1;
const PUBLISH: u16 = 2;
const PUBLISH_CONFIRM: u16 = 3;
const SUBSCRIBE: u16 = 7;
const DELIVER: u16 = 8;
const CREDIT: u16 = 9;
const CREATE: u16 = 13;
const DELETE: u16 = 14;
const PEER_PROPERTIES: u16 = 17;
const SASL_HANDSHAKE: u16 = 18;
const SASL_AUTHENTICATE: u16 = 19;
const TUNE: u16 = 20;
const OPEN: u16 = 21;
const HEARTBEAT: u16 = 23;
/// Set in the key of an answer.
const ANSWER: u16 = 0x8000;
const VERSION: u16 = 1;
const OK: u16 = 1;
/// The only publisher, and the only subscription, of a connection.
const ID: u8 = 0;
/// From the first record on.
const OFFSET_FIRST: u16 = 1;
/// Of a frame, as both sides agree.
const FRAME_LEN_MAX: u32 = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(120);
/// The user of a new server, who may come from this machine only.
const PLAIN: &[u8] = b"\0guest\0guest";
/// In a publish: length, key, version, publisher, number of messages.
const PUBLISH_HEAD_LEN: usize = 4 + 2 + 2 + 1 + 4;

/// A connection that is logged in.
pub(super) struct Client {
    reader: BufReader<TcpStream>,
    frame: Vec<u8>,
    /// Deliveries that came before the answer to the subscription.
    early: VecDeque<Chunk>,
}

/// What a delivery holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) records: u64,
    /// Of the whole frame.
    pub(super) bytes: u64,
}

/// A publish of many messages, whose numbers can be set.
pub(super) struct Publish {
    frame: Vec<u8>,
    /// From one number to the next.
    step: usize,
}

impl Publish {
    /// As it goes over the wire.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.frame
    }

    /// Gives the messages the numbers from `first` on.
    pub(super) fn number_from(&mut self, first: u64) {
        let places = (PUBLISH_HEAD_LEN..self.frame.len()).step_by(self.step);
        for (number, at) in (first..).zip(places) {
            self.frame[at..at + 8].copy_from_slice(&number.to_be_bytes());
        }
    }
}

impl Client {
    /// Dials and logs in.
    pub(super) fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let reader = BufReader::with_capacity(256 << 10, stream);
        let mut client = Self { reader, frame: Vec::new(), early: VecDeque::new() };
        client.ask(PEER_PROPERTIES, |body| body.put_u32(0))?;
        client.ask(SASL_HANDSHAKE, |_| ())?;
        client.ask(SASL_AUTHENTICATE, |body| {
            put_string(body, "PLAIN");
            body.put_u32(PLAIN.len() as u32);
            body.put_slice(PLAIN);
        })?;
        client.await_key(TUNE)?;
        // No heartbeats.
        let mut tune = head(TUNE);
        tune.put_u32(FRAME_LEN_MAX);
        tune.put_u32(0);
        client.send(&framed(tune)?)?;
        client.ask(OPEN, |body| put_string(body, "/"))?;
        Ok(client)
    }

    /// Makes a stream with the server's defaults.
    pub(super) fn create(&mut self, stream: &str) -> Outcome<()> {
        self.ask(CREATE, |body| {
            put_string(body, stream);
            body.put_u32(0);
        })
    }

    /// Deletes it.
    pub(super) fn delete(&mut self, stream: &str) -> Outcome<()> {
        self.ask(DELETE, |body| put_string(body, stream))
    }

    /// Without a name, so that nothing is compared with what it published before.
    pub(super) fn declare_publisher(&mut self, stream: &str) -> Outcome<()> {
        self.ask(DECLARE_PUBLISHER, |body| {
            body.put_u8(ID);
            put_string(body, "");
            put_string(body, stream);
        })
    }

    /// A publish of so many times this message.
    pub(super) fn publish_frame(&self, message: &[u8], count: u64) -> Outcome<Publish> {
        let mut body = head(PUBLISH);
        body.put_u8(ID);
        body.put_u32(u32::try_from(count)?);
        for number in 0..count {
            body.put_u64(number);
            body.put_u32(u32::try_from(message.len())?);
            body.put_slice(message);
        }
        Ok(Publish { frame: framed(body)?, step: 8 + 4 + message.len() })
    }

    /// Waits for the next confirmation. Answers how many messages it confirms.
    pub(super) fn confirmed(&mut self) -> Outcome<u64> {
        self.await_key(PUBLISH_CONFIRM)?;
        Ok(u64::from((&self.frame[4..]).try_get_u8().and((&self.frame[5..]).try_get_u32())?))
    }

    /// Starts to read from the first record.
    pub(super) fn subscribe(&mut self, stream: &str, credit: u16) -> Outcome<()> {
        self.ask(SUBSCRIBE, |body| {
            body.put_u8(ID);
            put_string(body, stream);
            body.put_u16(OFFSET_FIRST);
            body.put_u16(credit);
            body.put_u32(0);
        })
    }

    /// Lets it send so many chunks more.
    pub(super) fn give_credit(&mut self, chunks: u16) -> Outcome<()> {
        let mut body = head(CREDIT);
        body.put_u8(ID);
        body.put_u16(chunks);
        self.send(&framed(body)?)
    }

    /// Waits for the next chunk.
    pub(super) fn delivered(&mut self) -> Outcome<Chunk> {
        match self.early.pop_front() {
            Some(chunk) => Ok(chunk),
            None => {
                self.await_key(DELIVER)?;
                chunk(&self.frame)
            }
        }
    }

    /// Sends a frame.
    pub(super) fn send(&mut self, frame: &[u8]) -> Outcome<()> {
        Ok(self.reader.get_mut().write_all(frame)?)
    }

    /// A request that is answered with a code, which must be a good one.
    fn ask(&mut self, key: u16, put: impl FnOnce(&mut Vec<u8>)) -> Outcome<()> {
        let mut body = head(key);
        // The number that ties an answer to its request; there is only ever one of them.
        body.put_u32(1);
        put(&mut body);
        self.send(&framed(body)?)?;
        self.await_key(key | ANSWER)?;
        let mut answer = self.frame.get(8..).unwrap_or_default();
        match answer.try_get_u16()? {
            OK => Ok(()),
            code => Err(format!("request {key} was answered with code {code}").into()),
        }
    }

    /// Waits for a frame of this key.
    fn await_key(&mut self, expected: u16) -> Outcome<()> {
        loop {
            let mut len = [0; 4];
            self.reader.read_exact(&mut len)?;
            let len = u32::from_be_bytes(len);
            if !(4..=FRAME_LEN_MAX).contains(&len) {
                return Err(format!("a frame of {len} bytes").into());
            }
            self.frame.resize(len as usize, 0);
            self.reader.read_exact(&mut self.frame)?;
            match (&self.frame[..]).get_u16() {
                key if key == expected => return Ok(()),
                HEARTBEAT => {}
                DELIVER => self.early.push_back(chunk(&self.frame)?),
                key => return Err(format!("frame {key} in the place of {expected}").into()),
            }
        }
    }
}

/// Key, version, subscription; then a chunk: magic, type, entries, records.
fn chunk(frame: &[u8]) -> Outcome<Chunk> {
    let mut records = frame.get(2 + 2 + 1 + 1 + 1 + 2..).unwrap_or_default();
    Ok(Chunk { records: u64::from(records.try_get_u32()?), bytes: frame.len() as u64 + 4 })
}

/// Room for the length, the key and the version.
fn head(key: u16) -> Vec<u8> {
    let mut body = vec![0; 4];
    body.put_u16(key);
    body.put_u16(VERSION);
    body
}

/// With its length.
fn framed(mut body: Vec<u8>) -> Outcome<Vec<u8>> {
    let len = u32::try_from(body.len() - 4)?;
    body[..4].copy_from_slice(&len.to_be_bytes());
    Ok(body)
}

/// Names of streams and of ways to log in, all far shorter than 32 KiB.
fn put_string(body: &mut Vec<u8>, text: &str) {
    body.put_u16(text.len() as u16);
    body.put_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_carries_its_length() {
        let mut body = head(CREATE);
        put_string(&mut body, "s1");
        assert_eq!(framed(body).unwrap(), [0, 0, 0, 8, 0, 13, 0, 1, 0, 2, b's', b'1']);
    }

    #[test]
    fn messages_are_numbered_in_place() {
        let mut frame = vec![0; PUBLISH_HEAD_LEN];
        for _ in 0..2 {
            frame.put_u64(0);
            frame.put_u32(1);
            frame.put_u8(b'x');
        }
        let mut publish = Publish { frame, step: 13 };
        publish.number_from(258);
        let messages = &publish.bytes()[PUBLISH_HEAD_LEN..];
        assert_eq!(messages[..8], 258u64.to_be_bytes());
        assert_eq!(messages[12..21], [b'x', 0, 0, 0, 0, 0, 0, 1, 3]);
    }

    #[test]
    fn records_of_a_delivery() {
        let frame = [0, 8, 0, 1, 0, 0x50, 0, 0, 2, 0, 0, 0, 200, 9, 9];
        assert_eq!(chunk(&frame).unwrap(), Chunk { records: 200, bytes: 19 });
        assert!(chunk(&frame[..11]).is_err());
    }
}
