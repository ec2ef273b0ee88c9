//! Bytes from the socket, cut into frames: a big-endian length of four bytes, then that many.
//!
//! All that a connection sends arrives in one scratch buffer that the connections of a thread share, and
//! is served there if it can be. What cannot, and the begin of a frame whose end is still to come, is
//! carried in a buffer of the connection's own; so an idle connection owns none. A frame that is larger
//! than the scratch is read straight into its own buffer, once it is accounted for.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use kalda_net::Stream;
use rustix::net::RecvFlags;
use tokio::io::Interest;

use super::memory::{MemoryGrant, RequestMemory};

/// Bytes of one read through the shared scratch buffer.
const SCRATCH_LEN: usize = 256 * 1024;
/// A frame that is not longer is carried until it is whole; a longer one is accounted for in full as soon
/// as it has begun.
const CARRIED_LEN_MAX: usize = 128 * 1024;
/// Room for answers that are written while frames are served in place.
const ANSWERS_LEN: usize = 4 * 1024;
/// It grows if they are longer, and is given back if they were longer than this.
const ANSWERS_LEN_KEPT: usize = 256 * 1024;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        received: vec![0; SCRATCH_LEN],
        answers: BytesMut::with_capacity(ANSWERS_LEN),
    });
}

/// What the connections of a thread share while one of them reads.
struct Scratch {
    received: Vec<u8>,
    answers: BytesMut,
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

/// Who serves frames where they lie.
pub(super) trait InPlaceService {
    type Error: From<FrameError>;

    /// Serves one frame and writes its answer to `answers`; `false` leaves it, and all that follow, for
    /// later.
    fn serve(&mut self, frame: &[u8], answers: &mut BytesMut) -> Result<bool, Self::Error>;

    /// All frames are served that can be: sends what was written.
    fn send(&mut self, answers: &[u8], stream: &Stream) -> Result<(), Self::Error>;
}

/// The unread bytes of one connection.
#[derive(Debug)]
pub(crate) struct Frames {
    carried: BytesMut,
    memory: Arc<RequestMemory>,
    grant: Option<MemoryGrant>,
    frame_len_max: usize,
}

impl Frames {
    pub(crate) fn new(memory: Arc<RequestMemory>, frame_len_max: usize) -> Self {
        Self { carried: BytesMut::new(), memory, grant: None, frame_len_max }
    }

    /// The next complete frame that was not served in place, if its last byte is here.
    pub(crate) fn take(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(len) = self.len_of_first(&self.carried)? else { return Ok(None) };
        if self.carried.len() < 4 + len {
            return Ok(None);
        }
        self.carried.advance(4);
        let body = self.carried.split_to(len).freeze();
        if self.carried.is_empty() {
            self.carried = BytesMut::new();
        }
        Ok(Some(Frame { body, _grant: self.grant.take() }))
    }

    /// Whether a frame has begun and not ended.
    pub(crate) fn is_partial(&self) -> bool {
        !self.carried.is_empty()
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
        let len = self.len_of_first(&self.carried)?.filter(|len| *len > CARRIED_LEN_MAX);
        Ok(len.filter(|_| self.grant.is_none()).map(|len| 4 + len))
    }

    /// Reads what the socket has and serves what can be served where it lies; 0 at the socket's end. The
    /// caller waits for the memory of a large frame before that.
    pub(super) fn poll_fill<S: InPlaceService>(
        &mut self,
        context: &mut Context<'_>,
        stream: &Stream,
        service: &mut S,
    ) -> Poll<Result<usize, S::Error>> {
        if self.grant.is_some() {
            let read = ready!(self.poll_fill_large(context, stream));
            return Poll::Ready(read.map_err(|error| FrameError::Io(error).into()));
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let Scratch { received, answers } = scratch;
            let before = self.carried.len();
            received[..before].copy_from_slice(&self.carried);
            ready!(stream.poll_read_ready(context)).map_err(FrameError::Io)?;
            let read = match receive(stream, &mut received[before..]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                read => read.map_err(FrameError::Io)?,
            };
            let received = &received[..before + read];
            answers.clear();
            let served = self.serve_in_place(received, answers, service)?;
            if !answers.is_empty() {
                service.send(answers, stream)?;
            }
            if answers.capacity() > ANSWERS_LEN_KEPT {
                *answers = BytesMut::with_capacity(ANSWERS_LEN);
            }
            self.carry(&received[served..])?;
            Poll::Ready(Ok(read))
        })
    }

    /// Serves frames from the front; answers how many bytes they took.
    fn serve_in_place<S: InPlaceService>(
        &self,
        received: &[u8],
        answers: &mut BytesMut,
        service: &mut S,
    ) -> Result<usize, S::Error> {
        let mut served = 0;
        while let Some(len) = self.len_of_first(&received[served..])? {
            let Some(frame) = received.get(served + 4..served + 4 + len) else { break };
            if !service.serve(frame, answers)? {
                break;
            }
            served += 4 + len;
        }
        Ok(served)
    }

    /// Keeps what was not served.
    fn carry(&mut self, rest: &[u8]) -> Result<(), FrameError> {
        if rest.is_empty() {
            self.carried = BytesMut::new();
            return Ok(());
        }
        self.carried.clear();
        // A large frame gets its room at once, if the memory is there, and is not moved again.
        let len = self.len_of_first(rest)?.filter(|len| *len > CARRIED_LEN_MAX);
        if let Some(len) = len.map(|len| 4 + len).filter(|len| *len > rest.len()) {
            self.grant = self.memory.try_take(len);
            if self.grant.is_some() {
                self.carried.reserve(len);
            }
        }
        self.carried.extend_from_slice(rest);
        Ok(())
    }

    /// Reads more of a large frame, and nothing beyond it. Its memory is granted in full; pages that no byte
    /// was written to are none.
    fn poll_fill_large(
        &mut self,
        context: &mut Context<'_>,
        stream: &Stream,
    ) -> Poll<io::Result<usize>> {
        let len = self.carried.first_chunk().map_or(0, |len| u32::from_be_bytes(*len) as usize);
        let missing = (4 + len).saturating_sub(self.carried.len());
        self.carried.reserve(missing);
        loop {
            ready!(stream.poll_read_ready(context))?;
            match stream.try_read_buf(&mut (&mut self.carried).limit(missing)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
        }
    }

    /// The length of the frame that begins there, if that much of it is there.
    fn len_of_first(&self, bytes: &[u8]) -> Result<Option<usize>, FrameError> {
        let Some(prefix) = bytes.first_chunk::<4>() else { return Ok(None) };
        let len = i32::from_be_bytes(*prefix);
        match usize::try_from(len) {
            Ok(valid) if valid <= self.frame_len_max => Ok(Some(valid)),
            _ => Err(FrameError::Length(len, self.frame_len_max)),
        }
    }
}

/// Receives once. Fewer bytes than there is room for are taken for all that there were, so that no call is
/// spent on being told so; of more, the socket tells by itself.
fn receive(stream: &Stream, room: &mut [u8]) -> io::Result<usize> {
    let Some(socket) = stream.tcp() else { return stream.try_read(room) };
    let mut received = 0;
    let outcome = socket.try_io(Interest::READABLE, || {
        (_, received) = rustix::net::recv(socket, &mut *room, RecvFlags::empty())?;
        if 0 < received && received < room.len() {
            // Clears the readiness, as a call that finds nothing does.
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(())
    });
    if received > 0 { Ok(received) } else { outcome.map(|()| 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(bytes: &[u8]) -> Frames {
        let mut frames = Frames::new(RequestMemory::new(1000), 100);
        frames.carried.extend_from_slice(bytes);
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

    /// Takes frames of up to four bytes in place, and echoes them.
    struct Short {
        sent: Vec<u8>,
    }

    impl InPlaceService for Short {
        type Error = FrameError;

        fn serve(&mut self, frame: &[u8], answers: &mut BytesMut) -> Result<bool, FrameError> {
            answers.extend_from_slice(if frame.len() > 4 { b"" } else { frame });
            Ok(frame.len() <= 4)
        }

        fn send(&mut self, answers: &[u8], _: &Stream) -> Result<(), FrameError> {
            self.sent.extend_from_slice(answers);
            Ok(())
        }
    }

    fn framed(body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32).to_be_bytes()[..], body].concat()
    }

    /// However the bytes are cut on their way, all frames come, once and in order, and a large one only
    /// after its memory was granted.
    #[tokio::test(flavor = "current_thread")]
    async fn frames_come_whole_however_they_arrive() {
        let large = vec![7; CARRIED_LEN_MAX + 70_000];
        let bodies: [&[u8]; 6] = [b"one", b"four", b"longer", b"two", &large, b"end"];
        let sent: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
        for step in [1, 5, 13, 4096, sent.len()] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let client = tokio::net::TcpStream::connect(address).await.unwrap();
            let stream = Stream::from(listener.accept().await.unwrap().0);
            let mut frames = Frames::new(RequestMemory::new(1 << 20), 1 << 20);
            let mut service = Short { sent: Vec::new() };
            let mut seen = Vec::new();
            // The begin in small steps, the rest at once.
            let small = sent.len().min(400);
            let steps = sent[..small].chunks(step).chain([&sent[small..]]);
            for piece in steps.filter(|piece| !piece.is_empty()) {
                let (mut written, mut read) = (0, 0);
                while read < piece.len() {
                    if written < piece.len() {
                        written += client.try_write(&piece[written..]).unwrap_or(0);
                    }
                    assert!(!frames.must_wait_for_memory().unwrap());
                    read += std::future::poll_fn(|context| {
                        frames.poll_fill(context, &stream, &mut service)
                    })
                    .await
                    .unwrap();
                    seen.append(&mut std::mem::take(&mut service.sent));
                    while let Some(frame) = frames.take().unwrap() {
                        assert_eq!(frame._grant.is_some(), frame.body.len() > CARRIED_LEN_MAX);
                        seen.extend_from_slice(&frame.body);
                    }
                }
            }
            assert!(!frames.is_partial());
            assert_eq!(seen, bodies.concat(), "in steps of {step}");
        }
    }
}
