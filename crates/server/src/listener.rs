//! Sockets that listen, and the limits on who may connect.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use kalda_net::Net;

use crate::config::Listener;

/// Binds the address of a listener. An empty host is every address of the machine, IPv6 and IPv4.
///
/// # Errors
/// The text says which key to change.
pub(crate) fn bind(
    net: &dyn Net,
    listener: &Listener,
    backlog: i32,
) -> Result<Box<dyn kalda_net::Listener>, String> {
    let bound = net.bind(&listener.host, listener.port, backlog);
    bound.map_err(|error| {
        let Listener { name, host, port, .. } = listener;
        match error.kind() {
            io::ErrorKind::AddrInUse => format!(
                "port {port} is in use: stop the process that has it, or start with `--override listeners={name}://{host}:OTHER_PORT`"
            ),
            io::ErrorKind::PermissionDenied => format!(
                "port {port} may not be opened by this user: choose one above 1023 in `listeners`"
            ),
            _ => format!("cannot listen on {name}://{host}:{port}: {error}; see `listeners`"),
        }
    })
}

/// How many connections there are, in all and from each address (`max.connections`,
/// `max.connections.per.ip`).
#[derive(Debug)]
pub(crate) struct ConnectionLimits {
    all_max: usize,
    per_ip_max: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// A place among the connections, given back when dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPlace {
    limits: Arc<ConnectionLimits>,
    ip: IpAddr,
}

impl ConnectionLimits {
    pub(crate) fn new(all_max: i64, per_ip_max: i64) -> Arc<Self> {
        let bound = |limit: i64| usize::try_from(limit).unwrap_or(usize::MAX);
        let open = Mutex::new(HashMap::new());
        Arc::new(Self { all_max: bound(all_max), per_ip_max: bound(per_ip_max), open })
    }

    /// A place for a client at `ip`, if there is one left.
    pub(crate) fn admit(self: &Arc<Self>, ip: IpAddr) -> Option<ConnectionPlace> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.values().sum::<usize>() >= self.all_max {
            return None;
        }
        let from_ip = open.entry(ip).or_default();
        if *from_ip >= self.per_ip_max {
            return None;
        }
        *from_ip += 1;
        Some(ConnectionPlace { limits: Arc::clone(self), ip })
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        let mut open = self.limits.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_given_back() {
        let limits = ConnectionLimits::new(3, 2);
        let ip = |last| IpAddr::from([127, 0, 0, last]);
        let first = limits.admit(ip(1)).unwrap();
        let _second = limits.admit(ip(1)).unwrap();
        assert!(limits.admit(ip(1)).is_none());
        let _third = limits.admit(ip(2)).unwrap();
        assert!(limits.admit(ip(3)).is_none());
        drop(first);
        assert!(limits.admit(ip(3)).is_some());
    }
}
