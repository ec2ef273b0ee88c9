//! Where a broker's settings come from: the file, the environment, the command line, and what was
//! altered at run time; and what they mean for a listener, a log, a limit.
//!
//! Everything here is read once at start, but [`topic_settings`], which follows the metadata.

mod environment;
mod listeners;
mod properties;
mod quorum;
mod static_config;
pub(crate) mod topic_settings;

pub use listeners::{AdvertisedHost, Listener};
pub use quorum::QuorumConfig;
pub use static_config::{BrokerConfig, ConfigError, Roles, Warning};
