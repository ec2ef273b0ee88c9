//! Whole brokers of one cluster: replicas, in-sync replicas, fail-over.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test may look at the real clock")]

#[path = "../broker/client.rs"]
mod client;
mod damage;
mod lost_answers;
mod replicas;
mod rig;
mod throttles;
mod voters;
