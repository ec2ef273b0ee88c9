//! Bytes from the socket, cut into frames: a big-endian length of four bytes, then that many.
//!
//! An idle connection owns no buffer. Small frames pass through a scratch buffer that all
//! connections of a thread share; a large one is read straight into its own, which grows as its
//! bytes arrive and never on the word of its length alone.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::net::TcpStream;

use super::memory::{MemoryGrant, RequestMemory};

/// Bytes of one read through the shared scratch buffer.
const SCRATCH_LEN: usize = 64 * 1024;
/// A frame is accounted for in full once this much of it is here; below it the scratch bounds it.
const ACCOUNTED_FROM: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_LEN]);
}

/// One request as it arrived, without its length.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) body: Bytes,
    /// Its part of the budget, given back when the frame is dropped.
    pub(crate) _grant: Option<MemoryGrant>,
}

/// Why a connection ends without having been asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// The length is negative or larger than `socket.request.max.bytes`.
    #[error("a frame of {0} bytes is not between 0 and socket.request.max.bytes ({1})")]
    Length(i32, usize),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The unread bytes of one connection.
#[derive(Debug)]
pub(crate) struct Frames {
    buffer: BytesMut,
    memory: Arc<RequestMemory>,
    grant: Option<MemoryGrant>,
    frame_len_max: usize,
}

impl Frames {
    pub(crate) fn new(memory: Arc<RequestMemory>, frame_len_max: usize) -> Self {
        Self { buffer: BytesMut::new(), memory, grant: None, frame_len_max }
    }

    /// The next complete frame, if its last byte is here.
    pub(crate) fn take(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(len) = self.frame_len()? else { return Ok(None) };
        if self.buffer.len() < 4 + len {
            return Ok(None);
        }
        self.buffer.advance(4);
        let body = self.buffer.split_to(len).freeze();
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        Ok(Some(Frame { body, _grant: self.grant.take() }))
    }

    /// Whether a frame has begun and not ended.
    pub(crate) fn is_partial(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Whether the frame that is being read needs a part of the budget before it may grow, and there
    /// is none to be had at once.
    pub(crate) fn must_wait_for_memory(&mut self) -> Result<bool, FrameError> {
        let Some(bytes) = self.unaccounted()? else { return Ok(false) };
        self.grant = self.memory.try_take(bytes);
        Ok(self.grant.is_none())
    }

    /// Waits for the memory of the frame that is being read. The caller first answers what it can:
    /// the budget may be in the hands of its own requests.
    pub(crate) async fn wait_for_memory(&mut self) -> Result<(), FrameError> {
        if let Some(bytes) = self.unaccounted()? {
            self.grant = Some(self.memory.take(bytes).await);
        }
        Ok(())
    }

    /// The bytes that the frame being read takes, if they have to be accounted for and are not.
    fn unaccounted(&self) -> Result<Option<usize>, FrameError> {
        let missing = self.missing()?;
        let is_small = missing <= SCRATCH_LEN && self.buffer.len() < ACCOUNTED_FROM;
        let is_needed = !is_small && self.grant.is_none();
        Ok(is_needed.then_some(self.buffer.len() + missing))
    }

    /// Bytes of the frame being read that are not here yet.
    fn missing(&self) -> Result<usize, FrameError> {
        let len = self.frame_len()?;
        Ok(len.map_or(0, |len| (4 + len).saturating_sub(self.buffer.len())))
    }

    /// Reads what the socket has; 0 at its end. The caller waits for it to be readable, and for the
    /// memory before that.
    pub(crate) fn fill(&mut self, stream: &TcpStream) -> Result<usize, FrameError> {
        let missing = self.missing()?;
        if missing <= SCRATCH_LEN && self.buffer.len() < ACCOUNTED_FROM {
            return self.fill_through_scratch(stream);
        }
        debug_assert!(self.grant.is_some(), "memory is accounted for before it is taken");
        // Doubles what is here, so that a stranger's length costs at most twice its bytes.
        let grow = missing.min(self.buffer.len().max(ACCOUNTED_FROM));
        self.buffer.reserve(grow);
        match stream.try_read_buf(&mut self.buffer) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error.into()),
            Err(_) => Ok(1),
            Ok(read) => Ok(read),
        }
    }

    fn fill_through_scratch(&mut self, stream: &TcpStream) -> Result<usize, FrameError> {
        SCRATCH.with_borrow_mut(|scratch| match stream.try_read(scratch) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error.into()),
            Err(_) => Ok(1),
            Ok(read) => {
                self.buffer.extend_from_slice(&scratch[..read]);
                Ok(read)
            }
        })
    }

    fn frame_len(&self) -> Result<Option<usize>, FrameError> {
        let Some(prefix) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let len = i32::from_be_bytes(*prefix);
        match usize::try_from(len) {
            Ok(valid) if valid <= self.frame_len_max => Ok(Some(valid)),
            _ => Err(FrameError::Length(len, self.frame_len_max)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(bytes: &[u8]) -> Frames {
        let mut frames = Frames::new(RequestMemory::new(1000), 100);
        frames.buffer.extend_from_slice(bytes);
        frames
    }

    #[test]
    fn frames_are_cut_and_the_rest_waits() {
        let mut frames = frames(b"\0\0\0\x02ab\0\0\0\0\0\0\0\x05x");
        assert_eq!(&frames.take().unwrap().unwrap().body[..], b"ab");
        assert_eq!(&frames.take().unwrap().unwrap().body[..], b"");
        assert!(frames.take().unwrap().is_none());
        assert!(frames.is_partial());
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_its_bytes_come() {
        assert!(matches!(
            frames(b"\x7f\xff\xff\xff").take(),
            Err(FrameError::Length(i32::MAX, 100))
        ));
        assert!(matches!(frames(b"\xff\xff\xff\xff").take(), Err(FrameError::Length(-1, 100))));
        assert!(frames(b"\x7f\xff").take().unwrap().is_none());
    }
}
