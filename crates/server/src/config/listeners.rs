//! `listeners`, `advertised.listeners` and the protocols behind their names.

use std::collections::BTreeMap;
use std::fmt;

/// One address that the broker listens on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// Its name, such as `PLAINTEXT`.
    pub name: String,
    /// The host to bind; empty for all of the machine's addresses.
    pub host: String,
    /// The port to bind; 0 for any free one.
    pub port: u16,
    /// What its clients are told to dial.
    pub advertised: AdvertisedHost,
    /// Whether it is named in `controller.listener.names`: nodes ask the controllers there.
    pub is_controllers: bool,
}

/// What a client is told to dial.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AdvertisedHost {
    /// The address that it dialled already: nothing was configured.
    AsDialled,
    /// This one.
    Fixed {
        /// The host.
        host: String,
        /// The port; 0 for the one that was bound.
        port: u16,
    },
}

/// An entry of `listeners` or `advertised.listeners`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Address {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.name, self.host, self.port)
    }
}

/// Reads a list of `NAME://host:port`.
pub(crate) fn parse_addresses(key: &str, list: &str) -> Result<Vec<Address>, String> {
    let mut addresses: Vec<Address> = Vec::new();
    for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let address = parse_address(entry)
            .ok_or_else(|| format!("{key}: `{entry}` is not of the form NAME://host:port"))?;
        if addresses.iter().any(|other| other.name == address.name) {
            return Err(format!("{key}: each listener must have a different name: {list}"));
        }
        addresses.push(address);
    }
    Ok(addresses)
}

fn parse_address(entry: &str) -> Option<Address> {
    let (name, address) = entry.split_once("://")?;
    let (host, port) = address.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = name.trim().to_ascii_uppercase();
    (!name.is_empty()).then_some(())?;
    Some(Address { name, host: host.to_owned(), port: port.trim().parse().ok()? })
}

/// Reads `listener.security.protocol.map`.
pub(crate) fn parse_protocol_map(map: &str) -> BTreeMap<String, String> {
    let pairs = map.split(',').filter_map(|pair| pair.split_once(':'));
    pairs
        .map(|(name, protocol)| {
            (name.trim().to_ascii_uppercase(), protocol.trim().to_ascii_uppercase())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_and_without_host() {
        let parsed = parse_addresses("listeners", "PLAINTEXT://:9092, ssl://[::1]:9093").unwrap();
        let shown: Vec<_> = parsed.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["PLAINTEXT://:9092", "SSL://::1:9093"]);
        assert!(parse_addresses("listeners", "localhost:9092").is_err());
        assert!(parse_addresses("listeners", "A://:1,A://:2").is_err());
    }
}
