//! ZkMigrationStateRecord (metadata record 21, versions 0): how far a migration from ZooKeeper has
//! come (KIP-866). Only replayed.

use crate::Message;

/// How far a migration from ZooKeeper has come (KIP-866). Only replayed.
#[derive(Clone, Debug, PartialEq, Message)]
#[message(versions = 0..=0, flexible = 0..)]
pub struct ZkMigrationStateRecord {
    pub zk_migration_state: i8,
}
