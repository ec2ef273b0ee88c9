//! Many connections that ask once and then do nothing.

use std::net::SocketAddr;

use kalda_protocol::messages::api_versions::ApiVersionsRequest;

use crate::Outcome;
use crate::wire::Connection;

/// Opens so many, each served once; they stay open until the answer is dropped.
pub(crate) fn open(address: SocketAddr, count: usize) -> Outcome<Vec<Connection>> {
    (0..count)
        .map(|_| {
            let mut connection = Connection::open(address)?;
            connection.call(&ApiVersionsRequest::default(), 0)?;
            Ok(connection)
        })
        .collect()
}
