//! The network, as a trait: who connects, who listens, and the connections that come of it.
//!
//! Server and client take a [`Net`] as they take a clock and a disk, so that a simulator can own it.
//! A real connection is a tokio socket and shows it ([`Stream::tcp`]): the hot path calls the system
//! with it as if this crate were not there. Nothing here knows of Kafka.

mod carrier;
mod stream;
mod system;

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

pub use carrier::Carrier;
pub use stream::{Idle, ReadHalf, Stream, WriteHalf};
pub use system::SystemNet;

/// What a network takes its time for.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// A network.
pub trait Net: Send + Sync + Debug {
    /// Connects to the first address of `host` that accepts.
    ///
    /// # Errors
    /// The name has no address, or none of them accepts: the last refusal.
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Pending<'a, Stream>;

    /// Binds an address; the port 0 stands for any. An empty host is every address of the machine.
    ///
    /// # Errors
    /// The address is in use, not of this machine, or may not be had.
    fn bind(&self, host: &str, port: u16, backlog: i32) -> io::Result<Box<dyn Listener>>;
}

/// A bound address, where connections wait.
pub trait Listener: Send + Debug {
    /// The address.
    fn local_addr(&self) -> SocketAddr;

    /// The next connection, and who comes. Called within the event loop that is to watch the
    /// listener, always the same one.
    ///
    /// # Errors
    /// The process has too many files open, or the listener is broken.
    fn accept(&mut self) -> Pending<'_, (Stream, SocketAddr)>;
}
