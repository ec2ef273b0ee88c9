//! The real network: tokio's sockets.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs as _};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream, lookup_host};

use crate::{Listener, Net, Pending, Stream};

/// The sockets of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemNet;

impl Net for SystemNet {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Pending<'a, Stream> {
        Box::pin(async move {
            let addresses = lookup_host((host, port)).await.map_err(|error| {
                let text = format!("the name cannot be resolved: {error}");
                io::Error::new(error.kind(), text)
            })?;
            let mut refusal = io::Error::other("the name has no address");
            for address in addresses {
                match TcpStream::connect(address).await {
                    Ok(stream) => return Ok(stream.into()),
                    Err(error) => refusal = error,
                }
            }
            Err(refusal)
        })
    }

    /// Every address of the machine is IPv6 and IPv4, where there is both.
    fn bind(&self, host: &str, port: u16, backlog: i32) -> io::Result<Box<dyn Listener>> {
        let socket = match host {
            "" | "::" => bind_address((Ipv6Addr::UNSPECIFIED, port).into(), backlog)
                .or_else(|_| bind_address(([0, 0, 0, 0], port).into(), backlog)),
            host => (host, port).to_socket_addrs().and_then(|mut addresses| {
                let address = addresses.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
                bind_address(address, backlog)
            }),
        }?;
        let address = socket.local_addr()?;
        Ok(Box::new(SystemListener { address, socket: State::Bound(Some(socket)) }))
    }
}

fn bind_address(address: SocketAddr, backlog: i32) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

#[derive(Debug)]
struct SystemListener {
    address: SocketAddr,
    socket: State,
}

/// It is bound before there is an event loop.
#[derive(Debug)]
enum State {
    Bound(Option<std::net::TcpListener>),
    Watched(TcpListener),
}

impl SystemListener {
    fn watched(&mut self) -> io::Result<&TcpListener> {
        if let State::Bound(socket) = &mut self.socket {
            let socket = socket.take().ok_or(io::ErrorKind::NotConnected)?;
            self.socket = State::Watched(TcpListener::from_std(socket)?);
        }
        match &self.socket {
            State::Watched(socket) => Ok(socket),
            State::Bound(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Listener for SystemListener {
    fn local_addr(&self) -> SocketAddr {
        self.address
    }

    fn accept(&mut self) -> Pending<'_, (Stream, SocketAddr)> {
        Box::pin(async move {
            let (stream, remote) = self.watched()?.accept().await?;
            Ok((stream.into(), remote))
        })
    }
}
