//! The broker as a whole, in this process: a temporary directory, a free port, and a client that
//! speaks the protocol's own structs over a socket.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test may look at the real clock")]

mod client;
mod cluster_probes;
mod rig;

mod compacting;
mod connections;
mod directories;
mod every_version;
mod fetching;
mod group_probes;
mod groups;
mod offsets;
mod producing;
mod topics;
mod transaction_probes;
mod transactions;
