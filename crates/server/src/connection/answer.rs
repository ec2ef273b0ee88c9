//! Answers on their way to the socket: bytes from memory, ranges from files, in order.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use kalda_env::DiskFile;
use kalda_net::Stream;
use rustix::net::SendFlags;
use tokio::io::Interest;

/// Most bytes that one `sendfile` moves, so that one reader cannot hold the thread.
const SENDFILE_LEN_MAX: u64 = 512 * 1024;
/// How far behind a reader of what is not in memory its pages are given up: others may follow closely.
const FORGOTTEN_BEHIND: u64 = 8 * 1024 * 1024;
/// Most slices of one `writev`.
const SLICES_MAX: usize = 32;
/// Bytes that a range is read in where the file has no descriptor to send from.
const COPY_LEN: usize = 64 * 1024;

/// A part of an answer.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Bytes(Bytes),
    /// `len` bytes of a file from `position`; the file stays open while it is held, even if it is
    /// deleted meanwhile.
    File {
        file: Arc<dyn DiskFile>,
        position: u64,
        len: u64,
    },
}

impl Piece {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
        }
    }
}

/// One whole answer, its length first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) pieces: Vec<Piece>,
}

impl Answer {
    /// An answer whose bytes, after a gap of four for the length, are all in `encoded`.
    pub(crate) fn from_encoded(mut encoded: BytesMut) -> Self {
        Self::seal(&mut encoded);
        Self { pieces: vec![Piece::Bytes(encoded.freeze())] }
    }

    /// An answer that has its length already.
    pub(crate) fn from_sealed(bytes: Bytes) -> Self {
        Self { pieces: vec![Piece::Bytes(bytes)] }
    }

    /// Puts the length of an answer into the gap in front of it.
    pub(crate) fn seal(encoded: &mut [u8]) {
        let len = i32::try_from(encoded.len() - 4).unwrap_or(i32::MAX);
        encoded[..4].copy_from_slice(&len.to_be_bytes());
    }
}

/// What is to be written on one connection.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pieces: VecDeque<Piece>,
}

impl Outbox {
    pub(crate) fn extend(&mut self, answer: Option<Answer>) {
        answer.into_iter().for_each(|answer| self.push(answer));
    }

    pub(crate) fn push(&mut self, answer: Answer) {
        self.pieces.extend(answer.pieces.into_iter().filter(|piece| piece.len() > 0));
    }

    /// Sends bytes that are only lent; what the socket does not take at once is kept.
    pub(crate) fn send(&mut self, stream: &Stream, mut bytes: &[u8]) -> io::Result<()> {
        if self.is_empty() {
            let sent = match stream.tcp() {
                Some(socket) => socket.try_io(Interest::WRITABLE, || {
                    Ok(rustix::net::send(socket, bytes, SendFlags::NOSIGNAL)?)
                }),
                None => stream.try_write(bytes),
            };
            match sent {
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        if !bytes.is_empty() {
            self.pieces.push_back(Piece::Bytes(Bytes::copy_from_slice(bytes)));
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Writes a part of it, waiting for the client to take it.
    pub(crate) async fn write_some(&mut self, stream: &Stream) -> io::Result<()> {
        if let Some((file, position, len)) = self.cold_front() {
            // Boxed, as what is rare: an idle connection keeps no room for it.
            Box::pin(warm(file, position, len)).await?;
        }
        poll_fn(|context| {
            loop {
                match self.try_write_some(stream) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        ready!(stream.poll_write_ready(context))?;
                    }
                    other => return Poll::Ready(other),
                }
            }
        })
        .await
    }

    /// The range that is due, if it has to come from the disk.
    fn cold_front(&self) -> Option<(Arc<dyn DiskFile>, u64, u64)> {
        let Some(Piece::File { file, position, len }) = self.pieces.front() else { return None };
        let (position, len) = (*position, (*len).min(SENDFILE_LEN_MAX));
        let is_cold = len > 0 && !file.is_cached(position + len - 1);
        is_cold.then(|| (Arc::clone(file), position, len))
    }

    fn try_write_some(&mut self, stream: &Stream) -> io::Result<()> {
        match self.pieces.front_mut() {
            None => Ok(()),
            Some(Piece::Bytes(_)) => self.write_bytes(stream),
            Some(Piece::File { file, position, len }) => {
                let sent = send_file(stream, file.as_ref(), *position, *len)?;
                *position += sent;
                *len -= sent;
                if *len == 0 {
                    self.pieces.pop_front();
                }
                Ok(())
            }
        }
    }

    fn write_bytes(&mut self, stream: &Stream) -> io::Result<()> {
        let slices: Vec<IoSlice<'_>> = self
            .pieces
            .iter()
            .map_while(|piece| match piece {
                Piece::Bytes(bytes) => Some(IoSlice::new(bytes)),
                Piece::File { .. } => None,
            })
            .take(SLICES_MAX)
            .collect();
        let mut written = match (&slices[..], self.pieces.get(1), stream.tcp()) {
            // The head of an answer waits in the socket for the records that follow it.
            ([head], Some(Piece::File { .. }), Some(socket)) => {
                socket.try_io(Interest::WRITABLE, || {
                    let flags = SendFlags::NOSIGNAL | SendFlags::MORE;
                    Ok(rustix::net::send(socket, head, flags)?)
                })?
            }
            _ => stream.try_write_vectored(&slices)?,
        };
        while let Some(Piece::Bytes(bytes)) = self.pieces.front_mut() {
            if written < bytes.len() {
                bytes.advance(written);
                break;
            }
            written -= bytes.len();
            self.pieces.pop_front();
        }
        Ok(())
    }
}

/// A range that is not in memory is read ahead by another thread: this one has other clients to serve.
/// What such a reader has left behind is forgotten, so that it does not push out what others read.
async fn warm(file: Arc<dyn DiskFile>, position: u64, len: u64) -> io::Result<()> {
    let warm = tokio::task::spawn_blocking(move || {
        if let Some(behind) = position.checked_sub(FORGOTTEN_BEHIND) {
            file.forget(behind.saturating_sub(SENDFILE_LEN_MAX), SENDFILE_LEN_MAX);
        }
        file.read_ahead(position, len)
    });
    warm.await.map_err(io::Error::other)?
}

fn send_file(stream: &Stream, file: &dyn DiskFile, position: u64, len: u64) -> io::Result<u64> {
    let len = len.min(SENDFILE_LEN_MAX);
    let sent = match (file.as_fd(), stream.tcp()) {
        (Some(descriptor), Some(socket)) => socket.try_io(Interest::WRITABLE, || {
            let mut position = position;
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            Ok(rustix::fs::sendfile(socket, descriptor, Some(&mut position), len)?)
        })?,
        _ => {
            let mut copy = vec![0; COPY_LEN.min(usize::try_from(len).unwrap_or(COPY_LEN))];
            let read = file.read_at(&mut copy, position)?;
            if read == 0 { 0 } else { stream.try_write(&copy[..read])? }
        }
    };
    match sent {
        // The length is on the wire already: the client must not take the next answer for records.
        0 => {
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a segment is shorter than its index"))
        }
        sent => Ok(sent as u64),
    }
}
