//! The bare ceiling: what a broker cannot do without, and nothing else. It receives, checks the CRC, gives
//! an offset, writes and answers; and it reads by `sendfile`. No topics, no settings, no groups, no bounds.
//!
//! Run as a process of its own (`kalda-bench ceiling ADDRESS DIRECTORY`) and driven by the client that
//! drives brokers, so that what a broker costs beyond it is the price of being one. It knows the two
//! versions of [`crate::load`] and believes every length: nobody else may talk to it.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::rc::Rc;

use bytes::{Buf as _, BufMut as _, BytesMut};
use crc_fast::CrcAlgorithm::Crc32Iscsi;
use tokio::io::{AsyncReadExt as _, Interest};
use tokio::net::{TcpListener, TcpStream};

use crate::Outcome;

const PRODUCE: i16 = 0;
/// Most bytes that one `sendfile` moves.
const SEND_LEN_MAX: usize = 512 * 1024;
const READ_LEN: usize = 256 * 1024;

/// The last topic that was written to: one file, and where its batches are.
struct Log {
    directory: PathBuf,
    topic: Vec<u8>,
    file: File,
    len: u64,
    next_offset: i64,
    /// Base offset and position of each batch.
    batches: Vec<(i64, u64)>,
}

impl Log {
    /// An empty file in the place of what was there.
    fn new(directory: PathBuf, topic: &[u8]) -> io::Result<Self> {
        let path = directory.join("log");
        let _ = fs::remove_file(&path);
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        Ok(Self { directory, topic: topic.to_vec(), file, len: 0, next_offset: 0, batches: vec![] })
    }

    fn append(&mut self, topic: &[u8], batch: &mut [u8]) -> io::Result<i64> {
        if topic != self.topic {
            *self = Self::new(self.directory.clone(), topic)?;
        }
        let crc = u32::from_be_bytes([batch[17], batch[18], batch[19], batch[20]]);
        if u64::from(crc) != crc_fast::checksum(Crc32Iscsi, &batch[21..]) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a batch with a wrong CRC"));
        }
        let base_offset = self.next_offset;
        let last_delta = i32::from_be_bytes([batch[23], batch[24], batch[25], batch[26]]);
        batch[..8].copy_from_slice(&base_offset.to_be_bytes());
        self.file.write_all_at(batch, self.len)?;
        self.batches.push((base_offset, self.len));
        self.len += batch.len() as u64;
        self.next_offset += i64::from(last_delta) + 1;
        Ok(base_offset)
    }

    /// Where to read for an offset, and how much: whole batches, at most `len_max`.
    fn range(&self, offset: i64, len_max: u64) -> (u64, u64) {
        let first = self.batches.partition_point(|(base, _)| *base <= offset).saturating_sub(1);
        let Some((_, begin)) = self.batches.get(first) else { return (0, 0) };
        let fits = self.batches.partition_point(|(_, at)| *at <= begin + len_max);
        let end = match self.batches.get(fits) {
            None if self.len - begin <= len_max => self.len,
            _ => self.batches[fits - 1].1,
        };
        (*begin, end - begin)
    }
}

/// Serves until it is killed.
pub(crate) fn serve(address: SocketAddr, directory: PathBuf) -> Outcome<()> {
    let log = Rc::new(RefCell::new(Log::new(directory, b"")?));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(address).await?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let log = Rc::clone(&log);
            tokio::task::spawn_local(async move {
                // It ends with its client.
                let _ = client(&mut stream, &log).await;
            });
        }
    })
}

async fn client(stream: &mut TcpStream, log: &RefCell<Log>) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    let mut answers = BytesMut::new();
    loop {
        buffer.reserve(READ_LEN);
        // Unlike `try_read`, this takes a short read for the end of what is there, and saves a call.
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        while let Some(len) = buffer.first_chunk().map(|len| u32::from_be_bytes(*len) as usize) {
            if buffer.len() < 4 + len {
                break;
            }
            let frame = &mut buffer[4..4 + len];
            if i16::from_be_bytes([frame[0], frame[1]]) == PRODUCE {
                produce(frame, &mut log.borrow_mut(), &mut answers)?;
            } else {
                fetch(frame, log, stream).await?;
            }
            buffer.advance(4 + len);
        }
        while !answers.is_empty() {
            stream.writable().await?;
            match stream.try_write(&answers) {
                Ok(written) => answers.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Version 9, one partition.
fn produce(frame: &mut [u8], log: &mut Log, answers: &mut BytesMut) -> io::Result<()> {
    let mut rest = &frame[4..];
    let correlation = rest.get_i32();
    let client_id = rest.get_i16();
    rest.advance(usize::from(client_id.cast_unsigned()));
    // Tags, no transactional id, acks, timeout, one topic.
    rest.advance(1 + 1 + 2 + 4 + 1);
    let name_len = usize::from(rest.get_u8()) - 1;
    let name = rest[..name_len].to_vec();
    // One partition, its index.
    rest.advance(name_len + 1 + 4);
    let len = uvarint(&mut rest) - 1;
    let begin = frame.len() - rest.len();
    let base_offset = log.append(&name, &mut frame[begin..begin + len])?;
    answers.put_i32((47 + name_len) as i32);
    answers.put_i32(correlation);
    // Tags; one topic; its name; one partition, of index 0, without an error.
    answers.put_slice(&[0, 2, name_len as u8 + 1]);
    answers.put_slice(&name);
    answers.put_slice(&[2, 0, 0, 0, 0, 0, 0]);
    answers.put_i64(base_offset);
    answers.put_i64(-1);
    answers.put_i64(0);
    // No record errors, no message, tags of partition and topic, throttle time, tags.
    answers.put_slice(&[1, 0, 0, 0, 0, 0, 0, 0, 0]);
    Ok(())
}

fn uvarint(from: &mut &[u8]) -> usize {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = from.get_u8();
        value |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// Version 11, one partition.
async fn fetch(frame: &[u8], log: &RefCell<Log>, stream: &TcpStream) -> io::Result<()> {
    let mut rest = &frame[4..];
    let correlation = rest.get_i32();
    let client_id = rest.get_i16();
    // Replica, wait, bytes, isolation, session, one topic.
    rest.advance(usize::from(client_id.cast_unsigned()) + 4 + 4 + 4 + 4 + 1 + 4 + 4 + 4);
    let name_len = usize::from(rest.get_u16());
    let name = rest[..name_len].to_vec();
    // One partition, its index, the leader epoch.
    rest.advance(name_len + 4 + 4 + 4);
    let offset = rest.get_i64();
    rest.advance(8);
    let len_max = u64::from(rest.get_u32());
    let (mut position, len, file, end) = {
        let log = log.borrow();
        let (position, len) = log.range(offset, len_max);
        (position, len, log.file.try_clone()?, log.next_offset)
    };
    let mut head = BytesMut::with_capacity(80 + name_len);
    head.put_i32((66 + name_len as u64 + len) as i32);
    head.put_i32(correlation);
    // Throttle time, error, session, one topic.
    head.put_slice(&[0; 4 + 2 + 4]);
    head.put_i32(1);
    head.put_u16(name_len as u16);
    head.put_slice(&name);
    head.put_i32(1);
    head.put_slice(&[0; 4 + 2]);
    head.put_i64(end);
    head.put_i64(end);
    head.put_i64(0);
    head.put_i32(-1);
    head.put_i32(-1);
    head.put_i32(len as i32);
    write_all(stream, &head).await?;
    let end = position + len;
    while position < end {
        stream.writable().await?;
        let sent = stream.try_io(Interest::WRITABLE, || {
            let len =
                usize::try_from(end - position).map_or(SEND_LEN_MAX, |len| len.min(SEND_LEN_MAX));
            Ok(rustix::fs::sendfile(stream, &file, Some(&mut position), len)?)
        });
        match sent {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
