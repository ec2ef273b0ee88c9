//! turmoil's network behind the seam of `kalda-net`.
//!
//! A packet of turmoil's that does not come through is gone, and with a SYN the wait for it: that looks
//! like a refusal. A real machine hears nothing and knocks again, so this one does.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use kalda_net::{Carrier, Listener, Net, Pending, Stream};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

/// After so long a machine knocks again.
const KNOCK_AGAIN: Duration = Duration::from_secs(1);

/// The links that let nothing through, each in one direction: from, to.
pub(crate) type Cuts = Arc<Mutex<BTreeSet<(String, String)>>>;

/// The network as one machine has it.
#[derive(Debug)]
pub(crate) struct SimNet {
    pub(crate) here: String,
    pub(crate) cuts: Cuts,
}

impl SimNet {
    fn is_cut(&self, host: &str) -> bool {
        let cuts = self.cuts.lock();
        let link = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        cuts.contains(&link(&self.here, host)) || cuts.contains(&link(host, &self.here))
    }
}

impl Net for SimNet {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Pending<'a, Stream> {
        Box::pin(async move {
            loop {
                crate::panics::on_look();
                let was_cut = self.is_cut(host);
                let connected = TcpStream::connect((host, port)).await;
                if !was_cut && !self.is_cut(host) {
                    return Ok(Stream::carried(Box::new(SimStream(connected?))));
                }
                drop(connected);
                tokio::time::sleep(KNOCK_AGAIN).await;
            }
        })
    }

    fn bind(&self, _host: &str, port: u16, _backlog: i32) -> io::Result<Box<dyn Listener>> {
        let bound = pin!(TcpListener::bind(("0.0.0.0", port)));
        match bound.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(listener) => Ok(Box::new(SimListener(listener?))),
            Poll::Pending => Err(io::Error::other("binding waits for nobody")),
        }
    }
}

struct SimListener(TcpListener);

impl std::fmt::Debug for SimListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimListener")
    }
}

impl Listener for SimListener {
    fn local_addr(&self) -> SocketAddr {
        self.0.local_addr().expect("it is bound")
    }

    fn accept(&mut self) -> Pending<'_, (Stream, SocketAddr)> {
        Box::pin(async move {
            let (stream, remote) = self.0.accept().await?;
            Ok((Stream::carried(Box::new(SimStream(stream))), remote))
        })
    }
}

#[derive(Debug)]
struct SimStream(TcpStream);

impl Carrier for SimStream {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn poll_read(&mut self, context: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        crate::panics::on_look();
        let mut buffer = ReadBuf::new(room);
        let read = Pin::new(&mut self.0).poll_read(context, &mut buffer);
        read.map_ok(|()| buffer.filled().len())
    }

    fn poll_write_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(self.0.writable()).poll(context)
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }
}
