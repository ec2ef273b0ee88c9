//! A connection that is no socket of this machine: what a simulated network brings.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};

/// Carries bytes both ways, in order.
pub trait Carrier: Send + Debug {
    /// The address on this side.
    ///
    /// # Errors
    /// The connection is gone.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Reads some bytes; 0 at the end. One task at a time waits.
    fn poll_read(&mut self, context: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Waits until [`Carrier::try_write`] may take something. One task at a time waits.
    fn poll_write_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Takes some of `bytes`.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room, and what ends the connection.
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize>;
}

/// Bytes that are read at once, to know whether there are any.
const READ_LEN: usize = 64 * 1024;

/// A carrier with what was read of it to find out whether something can be read.
#[derive(Debug)]
pub(crate) struct Carried {
    carrier: Box<dyn Carrier>,
    unread: BytesMut,
    has_ended: bool,
}

impl Carried {
    pub(crate) fn new(carrier: Box<dyn Carrier>) -> Self {
        Self { carrier, unread: BytesMut::new(), has_ended: false }
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.carrier.local_addr()
    }

    /// Ready when [`Carried::try_read`] will answer with something else than `WouldBlock`.
    pub(crate) fn poll_read_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unread.is_empty() && !self.has_ended {
            let mut room = vec![0; READ_LEN];
            let read = ready!(self.carrier.poll_read(context, &mut room))?;
            self.has_ended = read == 0;
            self.unread.extend_from_slice(&room[..read]);
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn try_read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.unread.is_empty() && !self.has_ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = room.len().min(self.unread.len());
        room[..len].copy_from_slice(&self.unread[..len]);
        self.unread.advance(len);
        Ok(len)
    }

    pub(crate) fn poll_write_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.carrier.poll_write_ready(context)
    }

    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.carrier.try_write(bytes)
    }
}
