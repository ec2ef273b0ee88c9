//! The loops that run beside the connections.

pub(crate) mod alter_partition;
pub(crate) mod assign_directories;
pub(crate) mod broker_lifecycle;
pub(crate) mod cleaner;
pub(crate) mod controller_registration;
pub(crate) mod damage;
pub(crate) mod directory_move;
pub(crate) mod housekeeping;
pub(crate) mod metadata_publisher;
pub(crate) mod replica_fetcher;
