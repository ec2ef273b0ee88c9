//! The addresses that a client starts from: reading `bootstrap.servers` and asking DNS.
//!
//! Called by the configuration and by the cluster when it connects. Every answer of DNS is tried,
//! not only the first.

use std::fmt;

use crate::config::ConfigError;

/// A host and a port, not resolved.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct HostPort {
    /// A name, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl HostPort {
    /// Reads `host:port`, `[v6]:port`, and either with `PROTOCOL://` in front, as Kafka does.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let address = text.rsplit_once("://").map_or(text, |(_, address)| address);
        let (host, port) = address.rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']')?,
            None => host,
        };
        if host.is_empty() {
            return None;
        }
        Some(Self { host: host.to_owned(), port: port.parse().ok()? })
    }
}

/// Reads the value of `bootstrap.servers`.
///
/// # Errors
/// An entry without host or port, or no entry at all.
pub fn parse_servers(value: &str) -> Result<Vec<HostPort>, ConfigError> {
    let mut servers = Vec::new();
    for entry in value.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let server = HostPort::parse(entry).ok_or_else(|| {
            ConfigError::new(format!("Invalid url in bootstrap.servers: {entry}"))
        })?;
        servers.push(server);
    }
    if servers.is_empty() {
        return Err(ConfigError::new("No resolvable bootstrap urls given in bootstrap.servers"));
    }
    Ok(servers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_in_every_form() {
        let servers = parse_servers("a:1, PLAINTEXT://b:2 ,[::1]:9092,").unwrap();
        let texts: Vec<String> = servers.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["a:1", "b:2", "[::1]:9092"]);
    }

    #[test]
    fn bad_entries_are_named() {
        for bad in ["a", "a:", ":9092", "a:70000", "[::1:9092"] {
            let error = parse_servers(bad).unwrap_err();
            assert_eq!(error.to_string(), format!("Invalid url in bootstrap.servers: {bad}"));
        }
        assert!(parse_servers(" , ").is_err());
    }
}
