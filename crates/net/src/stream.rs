//! A connection, in the hands of an event loop, on its way to one, or as its two directions.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BufMut;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::carrier::{Carried, Carrier};

/// A connection that an event loop watches.
#[derive(Debug)]
pub struct Stream(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpStream),
    /// Its lock is held for no longer than one call.
    Carried(Arc<Mutex<Carried>>),
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self(Kind::Tcp(stream))
    }
}

impl Stream {
    /// A connection that is no socket.
    #[must_use]
    pub fn carried(carrier: Box<dyn Carrier>) -> Self {
        Self(Kind::Carried(Arc::new(Mutex::new(Carried::new(carrier)))))
    }

    /// The socket, if it is one.
    #[must_use]
    pub fn tcp(&self) -> Option<&TcpStream> {
        match &self.0 {
            Kind::Tcp(stream) => Some(stream),
            Kind::Carried(_) => None,
        }
    }

    /// The address on this side.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.0 {
            Kind::Tcp(stream) => stream.local_addr(),
            Kind::Carried(carried) => carried.lock().local_addr(),
        }
    }

    /// Has small writes leave at once.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn set_nodelay(&self) -> io::Result<()> {
        self.tcp().map_or(Ok(()), |stream| stream.set_nodelay(true))
    }

    /// Waits until there may be something to read, or the end.
    pub fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.0 {
            Kind::Tcp(stream) => stream.poll_read_ready(context),
            Kind::Carried(carried) => carried.lock().poll_read_ready(context),
        }
    }

    /// Reads what is there; 0 at the end.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing, and what ends the connection.
    pub fn try_read(&self, room: &mut [u8]) -> io::Result<usize> {
        match &self.0 {
            Kind::Tcp(stream) => stream.try_read(room),
            Kind::Carried(carried) => carried.lock().try_read(room),
        }
    }

    /// [`Stream::try_read`] into what is left of `buffer`.
    ///
    /// # Errors
    /// As there.
    pub fn try_read_buf<B: BufMut>(&self, buffer: &mut B) -> io::Result<usize> {
        match &self.0 {
            Kind::Tcp(stream) => stream.try_read_buf(buffer),
            Kind::Carried(carried) => {
                let mut room = vec![0; buffer.remaining_mut().min(64 * 1024)];
                let read = carried.lock().try_read(&mut room)?;
                buffer.put_slice(&room[..read]);
                Ok(read)
            }
        }
    }

    /// Waits until something may be written.
    pub fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.0 {
            Kind::Tcp(stream) => stream.poll_write_ready(context),
            Kind::Carried(carried) => carried.lock().poll_write_ready(context),
        }
    }

    /// Writes some of `bytes`.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room, and what ends the connection.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Kind::Tcp(stream) => stream.try_write(bytes),
            Kind::Carried(carried) => carried.lock().try_write(bytes),
        }
    }

    /// Writes some of the bytes of `slices`, one after the other.
    ///
    /// # Errors
    /// As [`Stream::try_write`].
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &self.0 {
            Kind::Tcp(stream) => stream.try_write_vectored(slices),
            Kind::Carried(carried) => {
                let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
                carried.lock().try_write(&bytes)
            }
        }
    }

    /// Takes it out of its event loop.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn into_idle(self) -> io::Result<Idle> {
        Ok(match self.0 {
            Kind::Tcp(stream) => Idle(IdleKind::Tcp(stream.into_std()?)),
            Kind::Carried(_) => Idle(IdleKind::Carried(self)),
        })
    }

    /// Its two directions, for tasks of their own.
    #[must_use]
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self.0 {
            Kind::Tcp(stream) => {
                let (reader, writer) = stream.into_split();
                (ReadHalf(ReadKind::Tcp(reader)), WriteHalf(WriteKind::Tcp(writer)))
            }
            Kind::Carried(carried) => {
                let other = Arc::clone(&carried);
                (ReadHalf(ReadKind::Carried(carried)), WriteHalf(WriteKind::Carried(other)))
            }
        }
    }
}

/// A connection that no event loop watches.
#[derive(Debug)]
pub struct Idle(IdleKind);

#[derive(Debug)]
enum IdleKind {
    Tcp(std::net::TcpStream),
    Carried(Stream),
}

impl Idle {
    /// Has the event loop of the caller watch it.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn watch(self) -> io::Result<Stream> {
        match self.0 {
            IdleKind::Tcp(stream) => Ok(TcpStream::from_std(stream)?.into()),
            IdleKind::Carried(stream) => Ok(stream),
        }
    }
}

/// What comes in.
#[derive(Debug)]
pub struct ReadHalf(ReadKind);

#[derive(Debug)]
enum ReadKind {
    Tcp(OwnedReadHalf),
    Carried(Arc<Mutex<Carried>>),
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.0 {
            ReadKind::Tcp(reader) => Pin::new(reader).poll_read(context, buffer),
            ReadKind::Carried(carried) => {
                let mut carried = carried.lock();
                ready!(carried.poll_read_ready(context))?;
                let read = carried.try_read(buffer.initialize_unfilled())?;
                buffer.advance(read);
                Poll::Ready(Ok(()))
            }
        }
    }
}

/// What goes out.
#[derive(Debug)]
pub struct WriteHalf(WriteKind);

#[derive(Debug)]
enum WriteKind {
    Tcp(OwnedWriteHalf),
    Carried(Arc<Mutex<Carried>>),
}

impl AsyncWrite for WriteHalf {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            WriteKind::Tcp(writer) => Pin::new(writer).poll_write(context, bytes),
            WriteKind::Carried(carried) => {
                let mut carried = carried.lock();
                loop {
                    ready!(carried.poll_write_ready(context))?;
                    match carried.try_write(bytes) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        written => return Poll::Ready(written),
                    }
                }
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            WriteKind::Tcp(writer) => Pin::new(writer).poll_flush(context),
            WriteKind::Carried(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            WriteKind::Tcp(writer) => Pin::new(writer).poll_shutdown(context),
            // It ends when both directions are dropped.
            WriteKind::Carried(_) => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Waker;

    use super::*;

    /// An idle connection of a client costs what its socket costs.
    #[test]
    fn a_stream_is_no_larger_than_its_socket() {
        assert_eq!(size_of::<Stream>(), size_of::<TcpStream>());
    }

    /// Gives what it was given in pieces, and takes two bytes at a time.
    #[derive(Debug)]
    struct Pieces {
        coming: VecDeque<Vec<u8>>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Carrier for Pieces {
        fn local_addr(&self) -> io::Result<SocketAddr> {
            Ok(([10, 0, 0, 1], 1).into())
        }

        fn poll_read(
            &mut self,
            _context: &mut Context<'_>,
            room: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            let Some(piece) = self.coming.pop_front() else { return Poll::Pending };
            room[..piece.len()].copy_from_slice(&piece);
            Poll::Ready(Ok(piece.len()))
        }

        fn poll_write_ready(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let len = bytes.len().min(2);
            self.taken.lock().extend_from_slice(&bytes[..len]);
            Ok(len)
        }
    }

    #[test]
    fn what_is_carried_reads_and_writes_as_a_socket_does() {
        let taken = Arc::<Mutex<Vec<u8>>>::default();
        let coming = VecDeque::from([b"abc".to_vec(), b"de".to_vec(), Vec::new()]);
        let stream = Stream::carried(Box::new(Pieces { coming, taken: Arc::clone(&taken) }));
        let mut context = Context::from_waker(Waker::noop());
        let mut room = [0; 2];
        let kind = |outcome: io::Result<usize>| outcome.map_err(|error| error.kind());
        assert_eq!(kind(stream.try_read(&mut room)), Err(io::ErrorKind::WouldBlock));
        for expected in [&b"ab"[..], b"c", b"de", b"", b""] {
            assert!(stream.poll_read_ready(&mut context).is_ready());
            let read = stream.try_read(&mut room).unwrap();
            assert_eq!(&room[..read], expected);
        }
        let slices = [IoSlice::new(b"x"), IoSlice::new(b"yz")];
        assert_eq!(kind(stream.try_write_vectored(&slices)), Ok(2));
        assert_eq!(*taken.lock(), b"xy");
    }
}
